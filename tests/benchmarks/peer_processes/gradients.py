"""Node scores of EAP-IG (github.com/hannamw/EAP-IG) or of circuitkit, which carries a version of it."""

from typing import Any

import hooked_model
import torch
from child import Answer, Job, logit_difference, padded, repeated, serve
from torch.overrides import TorchFunctionMode


class OnCpu(TorchFunctionMode):
    """Puts tensors that are asked for on "cuda" on the CPU: EAP-IG asks for it by name in every function."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if given.get("device") == "cuda":
            given["device"] = "cpu"
        return func(*args, **given)


def measure(job: Job) -> Answer:
    if job["package"] == "eap":
        from eap import attribute, attribute_node
        from eap.graph import Graph

        readers = [(each, "tokenize_plus") for each in (attribute, attribute_node)]
    else:
        from circuitkit.backends.eap import attribute, attribute_node
        from circuitkit.backends.eap.graph import Graph

        readers = [(each, "tokenize_batch_pair") for each in (attribute, attribute_node)]
    model = hooked_model.load(job["folder"])
    model.set_use_attn_result(True)
    model.set_use_split_qkv_input(True)
    model.set_use_hook_mlp_in(True)
    if model.cfg.n_key_value_heads is not None:
        model.set_ungroup_grouped_query_attention(True)
    positives, last = padded(job["positives"])
    negatives, _ = padded(job["negatives"])
    mask = (torch.arange(positives.shape[1])[None] <= last[:, None]).long()
    own = logit_difference(job, last)

    def one_side(_model: object, tokens: torch.Tensor, *_args: object, **_options: object) -> tuple[Any, ...]:
        return tokens, mask, last + 1, tokens.shape[1]

    def both_sides(_model: object, clean: Any, corrupted: Any, **_options: object) -> tuple[Any, ...]:
        return clean, corrupted, mask, mask, last + 1, clean.shape[1]

    # The peers read texts; here they are given token ids, so that every program reads the same.
    for module, name in readers:
        setattr(module, name, one_side if name == "tokenize_plus" else both_sides)
    nodes = job["level"] == "nodes"
    run = attribute_node.attribute_node if nodes else attribute.attribute
    steps = {"ig_steps": job["steps"]} if job["steps"] else {}

    def work() -> dict[str, object]:
        graph = Graph.from_model(model, node_scores=True)
        metric = lambda logits, _clean, _lengths, _label: own(logits).sum()  # noqa: E731
        method = "EAP-IG-inputs" if job["steps"] else "EAP"
        with OnCpu():
            run(model, graph, [(positives, negatives, None)], metric, method, quiet=True, **steps)
        scores = graph.nodes_scores if nodes else graph.scores.sum(dim=1)
        heads = scores[1:].view(model.cfg.n_layers, model.cfg.n_heads + 1)[:, : model.cfg.n_heads]
        return {"scores": heads.tolist()}

    with torch.no_grad():
        base = float(own(model(positives)).mean())
    work()
    return {**repeated(job, work), "base": base}


if __name__ == "__main__":
    serve(measure, "torch", "transformer-lens", "transformers")
