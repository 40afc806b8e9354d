"""AutoCircuit's pruning by the edges, or by the nodes, of an importance JSON: the logit difference that circuits keep.

AutoCircuit reads no such file: an edge's score becomes the score of its edge of the same ends. By nodes, an edge has
the smaller score of its two ends; input and logits count as the largest.
"""

import json
import re
from pathlib import Path

import hooked_model
import torch
from child import Answer, Job, logit_difference, padded, serve


def measure(job: Job) -> Answer:
    from auto_circuit.data import PromptPairBatch
    from auto_circuit.prune import run_circuits
    from auto_circuit.types import AblationType, PatchType
    from auto_circuit.utils.graph_utils import patchable_model

    model = hooked_model.load(job["folder"])
    model.set_use_attn_result(True)
    model.set_use_split_qkv_input(True)
    model.set_use_hook_mlp_in(True)
    positives, last = padded(job["positives"])
    negatives, _ = padded(job["negatives"])
    assert int((last == last[0]).sum()) == len(last), "prompts of one length: AutoCircuit reads the last position"
    metric = logit_difference(job, torch.zeros_like(last))
    with torch.no_grad():
        answers = model(positives)[:, -1:], model(negatives)[:, -1:]
    full, empty = (float(metric(each).mean()) for each in answers)
    patchable = patchable_model(model, factorized=True, slice_output="last_seq", separate_qkv=True)
    file = json.loads(Path(job["file"]).read_text())
    nodes = {name: abs(entry["score"]) for name, entry in file["nodes"].items() if "score" in entry}
    largest = max(nodes.values(), default=1.0)
    by_node = {**dict.fromkeys(file["nodes"], 0.0), **nodes, "input": largest, "logits": largest}
    batch = PromptPairBatch(
        key=0, batch_diverge_idx=0, clean=positives, corrupt=negatives,
        answers=torch.tensor(job["expected"])[:, None], wrong_answers=torch.tensor(job["foils"])[:, None],
    )  # fmt: skip
    found, unknown = [], 0
    for by in ("edges", "nodes"):
        scores = patchable.new_prune_scores() if hasattr(patchable, "new_prune_scores") else None
        if scores is None:
            scores = {}
            for edge in patchable.edges:
                mask = edge.dest.module(patchable).patch_mask
                scores.setdefault(edge.dest.module_name, torch.zeros_like(mask.data))
        n_scored = 0
        for edge in patchable.edges:
            name = f"{node_name(edge.src.name)}->{node_name(edge.dest.name)}"
            entry = file["edges"].get(name)
            if entry is None:
                unknown += 1
                continue
            source, target = name.split("->")
            score = entry["score"] if by == "edges" else min(by_node[source], by_node[target.partition("<")[0]])
            n_scored += score != 0
            scores[edge.dest.module_name][edge.patch_idx] = float(score)
        for n in sorted({*job["counts"], n_scored, min(n_scored + 1, len(patchable.edges))}):
            outputs = run_circuits(
                patchable, [batch], [n], scores, patch_type=PatchType.TREE_PATCH, ablation_type=AblationType.RESAMPLE
            )  # type: ignore[arg-type]  # an iterable is enough
            for count, by_batch in outputs.items():
                kept = (float(metric(by_batch[0].view(len(last), 1, -1)).mean()) - empty) / (full - empty)
                found.append({"by": by, "scored": n_scored, "asked": n, "edges": int(count), "faithfulness": kept})
    n_edges = len(patchable.edges)
    return {"found": found, "full": full, "empty": empty, "edges": n_edges, "unknown": unknown}


def node_name(theirs: str) -> str:
    """Return the file's name of an AutoCircuit node: A0.1.Q is a0.h1<q>."""
    if theirs in ("Resid Start", "Resid End"):
        return "input" if theirs == "Resid Start" else "logits"
    head = re.fullmatch(r"A(\d+)\.(\d+)(?:\.([QKV]))?", theirs)
    if head is not None:
        return f"a{head[1]}.h{head[2]}" + (f"<{head[3].lower()}>" if head[3] else "")
    return f"m{theirs.removeprefix('MLP ')}"


if __name__ == "__main__":
    serve(measure, "auto-circuit", "transformer-lens")
