"""Headcode's side of the comparison, one measurement per process."""

import time
from pathlib import Path
from typing import Any

import msgspec
import torch
from child import Answer, Job, repeated, serve

from engine.code_scores.code_measures import code_measures
from engine.code_scores.edge_scores import score_edges
from engine.config import EffectsConfig, LoadOptions, ProbeConfig, find_recipe
from engine.events import EffectsMeasured, SilentMonitor
from engine.examples import Example
from engine.models.loading import Model, load_model
from engine.nodes import NodeId, NodeLayout
from engine.patching.effects_stage import EffectsStage
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import prepare as prepare_inputs
from engine.patching.node_patching import measure_replaced, one_each
from engine.sae.training import codes_of, contrast_lengths, prepare, train_saes
from engine.scoring.code_occurrences import CodeOccurrences
from engine.scoring.score_table import ScoreTable, pair_rows


class Listening(SilentMonitor):
    """Keeps the last effects of each method."""

    def __init__(self) -> None:
        self.effects: dict[str, EffectsMeasured] = {}

    def report(self, event: Any, /) -> None:
        if isinstance(event, EffectsMeasured):
            self.effects[event.method] = event


def measure(job: Job) -> Answer:
    examples = msgspec.convert(job["examples"], tuple[Example, ...])
    if job["what"] in ("codes", "everything"):
        return _codes(job, examples)
    model = load_model(job["folder"], Path(job["folder"]).parent, LoadOptions(device="cpu"))
    for example, ids in zip(examples, job["ids"], strict=True):
        assert model.encode(example.prompt)[0] == ids, example.prompt
    return _exact(job, model, examples) if job["what"] == "exact" else _gradients(job, model, examples)


def _exact(job: Job, model: Model, examples: tuple[Example, ...]) -> Answer:
    heads = [NodeId(layer, head) for layer in range(model.info.n_layers) for head in range(model.info.n_heads)]
    config = EffectsConfig(method="exact", metric="logit_difference", examples=len(examples))

    def inputs_of(passes: ForwardPasses) -> Any:
        return prepare_inputs(model, passes, examples, config, position="mean", task=None, monitor=SilentMonitor())

    def work() -> dict[str, object]:
        passes = ForwardPasses(model, SilentMonitor())
        inputs = inputs_of(passes)
        masks = one_each(heads, passes.layout)
        effects = (measure_replaced(passes, inputs, masks) - inputs.base_by_row).mean(dim=1)
        return {"scores": effects.view(model.info.n_layers, -1).tolist(), "base": inputs.base}

    inputs_of(ForwardPasses(model, SilentMonitor()))  # both sides once
    return repeated(job, work)


def _gradients(job: Job, model: Model, examples: tuple[Example, ...]) -> Answer:
    config = EffectsConfig(
        method=job["what"], metric="logit_difference", gradient_steps=job["steps"], examples=len(examples)
    )

    def work() -> dict[str, object]:
        listening = Listening()
        stage = EffectsStage(model, examples, config, listening, position="mean", task=None)
        stage.find(ranking=[], circuit=[])
        found = listening.effects[job["what"]]
        scores = [each.effect for each in found.effects]
        return {"scores": torch.tensor(scores).view(model.info.n_layers, -1).tolist(), "base": found.base}

    work()
    return repeated(job, work)


def _codes(job: Job, examples: tuple[Example, ...]) -> Answer:
    """Training, codes and scores from the heads' outputs: `codes` without, `everything` with the evidence.

    The evidence is baselines, p-values and stability.
    """
    from safetensors.torch import load_file

    arrays = load_file(job["arrays"])
    outputs, apart, n_heads = arrays["outputs"], arrays["apart"], job["heads"]
    layout = NodeLayout(n_layers=outputs.shape[1] // n_heads, n_heads=n_heads)
    pairs = pair_rows(examples)
    positive = torch.tensor([example.positive for example in examples])
    sae = msgspec.structs.replace(find_recipe(job["recipe"]), sparsity=job["sparsity"], n_codes=job["codes"])
    config = ProbeConfig(sae=sae, seeds=tuple(range(job["seeds"])))

    def work() -> dict[str, object]:
        times = [time.perf_counter()]
        shape = (pairs, n_heads, sae, apart)
        x = prepare(outputs, *shape)
        length = contrast_lengths(x, outputs, *shape)
        table = None
        if job["what"] == "everything":
            table = ScoreTable(outputs, examples, config, layout, length=length, keys=range(len(examples)))
        times.append(time.perf_counter())
        saes = train_saes(x, positive, config, SilentMonitor(), lambda _codes: None, pairs)
        times.append(time.perf_counter())
        codes = codes_of(saes, x)
        times.append(time.perf_counter())
        if table is None:
            measures = code_measures(CodeOccurrences(codes).per_side(positive))
            named = (("unique", "unique_positive"), ("variation", "total_variation"))
            nodes = {short: measures[name].mean(axis=0).tolist() for short, name in named}
            times.append(time.perf_counter())
            mean = length[positive].mean(dim=0)
            edges = score_edges(codes.numpy(), positive.numpy(), layout, (mean / mean.mean()).numpy())
            times.append(time.perf_counter())
            names = ("prepare", "train", "codes", "nodes", "edges")
        else:
            scored, edges = table.final(codes, SilentMonitor())
            table.stability(codes, table.circuit_size)
            nodes = {"unique": [each.unique_positive for each in scored]}
            nodes["variation"] = [each.total_variation for each in scored]
            times.append(time.perf_counter())
            names = ("prepare and baselines", "train", "codes", "scores, edges, evidence")
        stages = {name: times[place + 1] - times[place] for place, name in enumerate(names)}
        return {"nodes": nodes, "from_edges": edges.per_node().tolist(), "stages": stages}

    work()
    return repeated(job, work)


if __name__ == "__main__":
    serve(measure, "headcode", "torch", "transformer-lens", "transformers")
