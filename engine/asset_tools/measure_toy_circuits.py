"""Measure a model's circuits by exact patching.

`python -m engine.asset_tools.measure_toy_circuits [MODEL] [--pairs 48]`

Every single head (circuits.json) and every single edge from head to head (edges.json), with the engine's own patching.
"""

import argparse
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import torch

from engine.capture.head_outputs import read_examples
from engine.catalog.local_models import BUNDLED
from engine.config import EffectsConfig, LoadOptions, ProbeConfig
from engine.errors import TaskError
from engine.events import SilentMonitor
from engine.grading.rules import grade_examples
from engine.models.loading import Model, load_model
from engine.nodes import NodeChoice, NodeId
from engine.patching.edge_patching import all_edges, measure_edges
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs, prepare
from engine.patching.node_patching import measure_replaced, one_each
from engine.references.ground_truth import Edge
from engine.tasks.base import Metric
from engine.tasks.registry import TASKS

CUT = 0.05
"""A head is in the circuit if patching it moves the metric by this share of its base."""
EDGE_CUT = 0.02
"""The same for an edge: one of several paths between heads carries less than a head."""
TASK_SEED = 1000
"""Not the 0 that probes use: the circuit is measured on other prompts than those probed later."""


class MeasuredTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task's reference circuit in one model."""

    metric: Metric
    base: float
    """The metric's mean over the positives."""
    cut: float
    pairs: int
    task_seed: int
    effects: list[list[float]]
    """[layer][head]: patched minus base. Below 0: the head helps."""
    heads: list[tuple[int, int]]
    """Those whose effect is at least cut times base either way, the largest first."""
    others: dict[str, float]
    """Effects of the embedding and the MLPs, by name."""
    edges: list[tuple[tuple[int, int], tuple[int, int]]] = []
    """Those of edges.json that move it by EDGE_CUT of its base, the largest first."""


class MeasuredCircuits(msgspec.Struct, frozen=True, kw_only=True):
    """The content of circuits.json."""

    schema: str = "headcode.circuits/1"
    model: str
    identity: str
    measured: str
    versions: dict[str, str]
    tasks: dict[str, MeasuredTask]


class MeasuredEdges(msgspec.Struct, frozen=True, kw_only=True):
    """One task's edges in one model, by exact patching of every single edge (engine.patching.edge_patching)."""

    metric: str
    base: float
    """The metric's mean over the positives."""
    cut: float
    """An edge is in the circuit if replacing it moves the metric by this share of its base."""
    pairs: int
    task_seed: int
    effects: list[list[float]]
    """A row per target head from layer 1 on, a number per head of the earlier layers in it: patched minus base."""

    def by_edge(self, n_heads: int) -> dict[Edge, float]:
        """Return every edge's effect."""
        return {
            (divmod(source, n_heads), divmod(target + n_heads, n_heads)): effect
            for target, row in enumerate(self.effects)
            for source, effect in enumerate(row)
        }


class MeasuredEdgesFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of edges.json."""

    schema: str = "headcode.edges/1"
    model: str
    identity: str
    measured: str
    versions: dict[str, str]
    tasks: dict[str, MeasuredEdges]


def inputs_for_task(
    model: Model, name: str, *, pairs: int, seed: int = TASK_SEED, nodes: NodeChoice = "heads"
) -> tuple[ForwardPasses, PatchingInputs]:
    """Return the inputs of a task's measurement. Raises TaskError if the model's tokenizer cannot express the task."""
    task, monitor = TASKS[name], SilentMonitor()
    examples = task.make(model, pairs=pairs, seed=seed)
    passes = ForwardPasses(model, monitor, nodes)
    config = EffectsConfig(method="exact", replacement="pair", metric=task.metric, examples=pairs)
    return passes, prepare(model, passes, examples, config, position="mean", task=task.metric, monitor=monitor)


def can_do(model: Model, name: str, *, pairs: int = 48, seed: int = TASK_SEED) -> bool:
    """Return True if the model answers the positives more often than not.

    Raises TaskError if the model's tokenizer cannot express the task.
    """
    examples = TASKS[name].make(model, pairs=pairs, seed=seed)
    with torch.inference_mode():
        reading = read_examples(model, list(examples), ProbeConfig(), SilentMonitor(), None)
    grades = grade_examples(model, examples, reading)
    return sum(grade.verdict == "ok" for grade in grades if examples[grade.index].positive) > pairs / 2


def measure_task(model: Model, name: str, *, pairs: int, seed: int = TASK_SEED) -> MeasuredTask:
    """Return the exact effect of every head on the task, one at a time. Raises TaskError as `inputs_for_task` does."""
    passes, inputs = inputs_for_task(model, name, pairs=pairs, seed=seed, nodes="all")
    info, nodes, n_heads = model.info, passes.layout.ids, passes.layout.n_heads_in_all
    heads = nodes[:n_heads]
    every = measure_replaced(passes, inputs, one_each(nodes, passes.layout)).mean(dim=1) - inputs.base
    found = every[:n_heads]
    order = sorted(range(len(heads)), key=lambda place: -abs(float(found[place])))
    return MeasuredTask(
        metric=TASKS[name].metric,
        base=round(inputs.base, 4),
        cut=CUT,
        pairs=pairs,
        task_seed=seed,
        effects=[_rounded(row) for row in found.view(info.n_layers, info.n_heads)],
        others=dict(zip(map(str, nodes[n_heads:]), _rounded(every[n_heads:]), strict=True)),
        heads=[heads[place] for place in order if abs(float(found[place])) >= CUT * abs(inputs.base)],
    )


def measure_task_edges(model: Model, name: str, *, pairs: int, seed: int = TASK_SEED) -> MeasuredEdges:
    """Return the exact effect of every edge on the task, one at a time. Raises TaskError as `inputs_for_task` does."""
    passes, inputs = inputs_for_task(model, name, pairs=pairs, seed=seed)
    edges = all_edges(passes.layout)
    effects = measure_edges(passes, inputs, edges).mean(dim=1) - inputs.base
    rows: dict[NodeId, dict[NodeId, float]] = {}
    for (source, target), effect in zip(edges, effects, strict=True):
        rows.setdefault(target, {})[source] = round(float(effect), 4)
    return MeasuredEdges(
        metric=TASKS[name].metric,
        base=round(inputs.base, 4),
        cut=EDGE_CUT,
        pairs=pairs,
        task_seed=seed,
        effects=[[row[source] for source in sorted(row)] for _, row in sorted(rows.items())],
    )


def main() -> None:
    """Measure every task the model can express; write circuits.json and edges.json beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default=BUNDLED, help="toy, adder, or a folder")
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--seed", type=int, default=TASK_SEED)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(given.model, Path(), LoadOptions(device="cpu"))
    tasks, edges = {}, {}
    for name in TASKS:
        try:
            if not can_do(model, name):
                print(f"{name}: left out. The model cannot do it.")
                continue
            tasks[name] = measure_task(model, name, pairs=given.pairs, seed=given.seed)
        except TaskError as error:
            print(f"{name}: left out. {error.message}")
            continue
        edges[name] = measure_task_edges(model, name, pairs=given.pairs, seed=given.seed)
        effects = edges[name].by_edge(model.info.n_heads)
        passing = sorted(effects, key=lambda edge: (-abs(effects[edge]), edge))
        passing = [edge for edge in passing if abs(effects[edge]) >= EDGE_CUT * abs(edges[name].base)]
        found = tasks[name] = msgspec.structs.replace(tasks[name], edges=passing)
        print(f"{name}: base {found.base}, {len(found.heads)} heads and {len(passing)} edges pass", flush=True)
    about: dict[str, Any] = {
        "model": model.info.name,
        "identity": model.info.identity,
        "versions": {name: version(name) for name in ("torch", "transformers", "transformer-lens")},
    }
    circuits = MeasuredCircuits(
        measured="exact head patching from the paired negative: the head's z at all positions, one head at a time; "
        "mean over pairs of the task's metric, patched minus base",
        tasks=tasks,
        **about,
    )
    between_heads = MeasuredEdgesFile(
        measured="exact edge patching from the paired negative: what the source writes, as the target alone reads it "
        "(queries, keys and values together), at all positions, one edge at a time; mean over pairs of the task's "
        "metric, patched minus base",
        tasks=edges,
        **about,
    )
    for file, content in (("circuits.json", circuits), ("edges.json", between_heads)):
        lines = msgspec.json.format(msgspec.json.encode(content), indent=1).decode()
        (model.folder / file).write_text(_rows_on_one_line(lines) + "\n", encoding="utf-8")


def _rounded(row: torch.Tensor) -> list[float]:
    return [round(float(value), 4) for value in row]


def _rows_on_one_line(text: str) -> str:
    """Put each list of plain numbers, and each edge, on one line of the JSON."""
    rows = re.sub(
        r"\[[-\d.,\s]+\]", lambda found: re.sub(r"\s+", " ", found[0]).replace("[ ", "[").replace(" ]", "]"), text
    )
    return re.sub(r"\[\s+(\[\d+, \d+\]),\s+(\[\d+, \d+\])\s+\]", r"[\1, \2]", rows)


if __name__ == "__main__":
    main()
