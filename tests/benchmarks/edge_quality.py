"""How well attributed edges find the edges that exact patching finds on other prompts, by where gradients are taken.

    python tests/benchmarks/edge_quality.py MODEL TASK ... [--pairs 10] [--truth-pairs 6] [--points 0 0,.25 .5]

Where the model's edges are known (bundled, planted), against all of them. Else against exact patching of a shortlist:
the hundred largest by each way and as many drawn at random, so those AUCs compare the ways with each other only.
"""

import argparse
import random
import time

import torch
from torch import Tensor

from engine.analysis.ranking import auc
from engine.config import EffectsConfig, LoadOptions
from engine.events import Event
from engine.machine.folders import find_folders
from engine.models.loading import Model, load_model
from engine.patching.edge_attribution import attribute_edges
from engine.patching.edge_patching import Edge, all_edges, measure_edges
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs, prepare
from engine.references.ground_truth import known_truths
from engine.tasks.registry import TASKS

CUTS = (0.02, 0.01, 0.005)
SHORTLIST = 100


class Silent:
    def report(self, event: Event, /) -> None:
        pass

    def cancelled(self) -> bool:
        return False


def prepared(model: Model, name: str, method: str, pairs: int, seed: int) -> tuple[ForwardPasses, PatchingInputs]:
    task, monitor = TASKS[name], Silent()
    passes = ForwardPasses(model, monitor)
    examples = task.make(model, pairs=pairs, seed=seed)
    config = EffectsConfig(method=method)
    return passes, prepare(model, passes, examples, config, position="mean", task=task.metric, monitor=monitor)


def sizes(found: Tensor, edges: list[Edge], n_heads: int) -> Tensor:
    places = [(source.layer * n_heads + source.head, target.layer * n_heads + target.head) for source, target in edges]
    return torch.stack([found[place].abs() for place in places])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--truth-pairs", type=int, default=6)
    parser.add_argument("--points", nargs="+", default=["0", ".5", "0,.25", ".25,.75", ".1,.3,.5,.7,.9"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(given.model, find_folders().models, LoadOptions(device="cpu"))
    n_heads = model.info.n_heads
    edges = all_edges(model.layout("heads"))
    for name in given.tasks:
        passes, inputs = prepared(model, name, "attribution", given.pairs, 0)
        ways = {}
        for text in given.points:
            begun, before = time.process_time(), passes.work
            found = attribute_edges(passes, inputs, points=[float(word) for word in text.split(",")])
            cost = (passes.work - before) / (inputs.tokens.numel() * passes.n_layers)
            ways[text] = (sizes(found, edges, n_heads), cost, time.process_time() - begun)
        known = next(
            (one for one in known_truths(given.model, model.folder).truths.get(name, ()) if one.level == "edges"), None
        )
        chosen = list(range(len(edges)))
        truths: dict[str, list[bool]] = {}
        if known is not None:
            truths[known.source] = [(tuple(a), tuple(b)) in known.edges for a, b in edges]
        else:
            best = {place for way, *_ in ways.values() for place in way.argsort(descending=True)[:SHORTLIST].tolist()}
            rest = [place for place in chosen if place not in best]
            chosen = sorted(best) + random.Random(0).sample(rest, SHORTLIST)
            begun = time.process_time()
            passes, inputs = prepared(model, name, "exact", given.truth_pairs, 1000)
            exact = measure_edges(passes, inputs, [edges[place] for place in chosen]) - inputs.base_by_row
            share = exact.mean(dim=1).abs() / abs(inputs.base)
            print(f"{name}: {len(chosen)} edges exactly, {time.process_time() - begun:.1f} s of processor time")
            truths = {f"{cut:.1%} of the base": (share >= cut).tolist() for cut in CUTS}
        for source, truth in truths.items():
            print(f"{model.info.name} {name}: {sum(truth)} of {len(truth)} edges ({source})")
            for text, (way, cost, seconds) in ways.items():
                found_auc = auc(way[chosen].tolist(), truth)
                output = "-" if found_auc is None else f"{found_auc:.3f}"
                words = f"AUC {output}  {cost:5.1f} passes, {seconds:.1f} s of processor time"
                print(f"    at {text:<16} {words}", flush=True)


if __name__ == "__main__":
    main()
