"""The benchmark of circuits: which runs to do, and how finished runs are scored against ground truth. Torch-free."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import fmean, pstdev

import msgspec

from engine.analysis.ranking import strengths
from engine.analysis.ranking_metrics import QUALITIES, RankingQuality, quality
from engine.config import Dtype, EffectsConfig, Precision, ProbeConfig, Recipe, find_recipe
from engine.events import EdgesAttributed
from engine.measures import MEASURES, Measure, value_of
from engine.nodes import NodeChoice
from engine.references.ground_truth import Edge, GroundTruth, Level
from engine.results import MOST_EDGES, EdgeScore, ModelInfo, NodeScores

SAES = 3
"""SAEs per run; scores are averaged over them, as in every probe."""
RANDOM = "random"
"""Name of `baseline_random` in a benchmark, which also has a random ranking of edges."""
EDGE_CODES = "edge_score"
EDGE_EFFECTS = "attribution"
WITHOUT_CODES = ("attribution", "exact_effect")
"""Effects that do not depend on codes; for `combined`, codes choose some of the heads that are patched."""
MEASURED = tuple(measure for measure in MEASURES if measure.id != "backup")
"""What a benchmark scores. It replaces no circuit, so `backup` is left out."""
NO_RECIPE = "none"
"""The recipe of measures that need no SAE."""


class BenchmarkRun(msgspec.Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """One run of a benchmark."""

    model: str
    task: str
    examples: int
    """Number of pairs."""
    draw: int
    """Number of the draw: decides the prompts and the SAE seeds."""
    recipe: Recipe
    usable: bool = False
    """Use only pairs that the model can do, as the references were measured on."""
    dtype: Dtype = "auto"
    """The precision that was asked for."""
    nodes: NodeChoice = "heads"
    """all: the run looks at MLPs, too, to judge them."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the SAE seeds: different ones for every draw, so that the spread over draws covers both."""
        return tuple(range(SAES * self.draw, SAES * (self.draw + 1)))

    def config(self, *, cause: bool, edges: bool) -> ProbeConfig:
        """Return the configuration of this run."""
        method = EffectsConfig(method="combined", edges=edges) if cause else EffectsConfig()
        return ProbeConfig(sae=find_recipe(self.recipe), seeds=self.seeds, cause=method, nodes=self.nodes)


class BenchmarkResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished run contributes to the benchmark."""

    cell: BenchmarkRun
    model: ModelInfo
    nodes: tuple[NodeScores, ...]
    edges: tuple[EdgeScore, ...]
    n_pairs: int
    """Number of head pairs that `edges` are the best of."""
    edge_effects: EdgesAttributed | None
    seconds: dict[str, float]
    """By stage: capture, codes (with training and scoring) and, where measured, attribution, edges, combined."""
    dtype: Precision = "float32"
    """The precision that the model had."""


class BenchmarkRow(msgspec.Struct, frozen=True, kw_only=True):
    """One measure on one task, over all draws."""

    model: str
    task: str
    level: Level
    measure: str
    recipe: str
    """none: the measure needs no SAE."""
    examples: int
    """Pairs per run."""
    auc: float
    average_precision: float
    precision_at_size: float
    f1: float
    spread: float | None
    """Standard deviation of the AUC over draws of prompts and SAEs; None for one draw."""
    seconds: float
    """Cost per run: capturing the prompts and everything after it, without loading the model."""
    cut: float | None
    """Share of the base from which a head belongs to the circuit; None: the source of the ground truth decided."""
    n_true: int
    n_all: int
    draws: int
    spreads: dict[str, float]
    """Of all four metrics; empty for one draw."""
    truth: str
    usable: bool = False
    """True where the runs had only pairs that the model can do."""
    dtype: Precision = "float32"
    """The precision of the model's weights and forward pass."""


def plan_runs(
    tasks: Mapping[str, Sequence[str]],
    recipes: Sequence[Recipe],
    examples: Sequence[int],
    draws: Sequence[int],
    *,
    usable: bool = False,
    dtype: Dtype = "auto",
    mlps: Collection[tuple[str, str]] = (),
) -> list[BenchmarkRun]:
    """Return every run of the benchmark, model by model, the smaller runs of a model first.

    `mlps`: models and tasks whose MLPs are judged, too.
    """
    return [
        BenchmarkRun(
            model=model,
            task=task,
            examples=n,
            draw=draw,
            recipe=recipe,
            usable=usable,
            dtype=dtype,
            nodes="all" if (model, task) in mlps else "heads",
        )
        for model, names in tasks.items()
        for n in examples
        for draw in draws
        for task in names
        for recipe in recipes
    ]


def measure_names() -> tuple[str, ...]:
    """Return the values of --measures: every measure of the table, and those of edges."""
    return tuple(dict.fromkeys([*(_name(measure) for measure in MEASURED), EDGE_CODES]))


def benchmark_rows(
    taken: Iterable[BenchmarkResult],
    truths: Mapping[tuple[str, str], Sequence[GroundTruth]],
    only: Collection[str] = (),
) -> list[BenchmarkRow]:
    """Return one row per measure, ground truth, recipe and number of examples.

    `truths`: ground truths by model and task. `only`: names of the measures to report; empty: all that have a value for
    every head.
    """
    found: dict[tuple[object, ...], list[tuple[RankingQuality, float]]] = {}
    about: dict[tuple[object, ...], dict[str, object]] = {}
    runs = list(taken)
    capture: dict[tuple[str, str, int, int, Precision], float] = {}
    for run in runs:  # of several runs on the same prompts, the first captures them and the others hit the cache
        prompts = (run.cell.model, run.cell.task, run.cell.examples, run.cell.draw, run.dtype)
        capture[prompts] = max(capture.get(prompts, 0.0), run.seconds.get("capture", 0.0))
    counted: set[tuple[object, ...]] = set()
    places = {key: place for place, key in enumerate(truths)}
    for run in sorted(runs, key=lambda run: (places.get((run.cell.model, run.cell.task), -1), run.cell)):
        cell = run.cell
        read = capture[cell.model, cell.task, cell.examples, cell.draw, run.dtype]
        for truth in truths.get((cell.model, cell.task), ()):
            for name, recipe, ranking, true, seconds in _rankings(run, truth, read):
                kind = (cell.examples, cell.usable, run.dtype)
                key = (cell.model, cell.task, truth.level, truth.cut, name, recipe, *kind)
                judged = quality(ranking, true)
                # A measure without SAEs has the same values in the runs of every recipe: it counts once per draw.
                if judged is None or (only and name not in only) or (*key, cell.draw) in counted:
                    continue
                counted.add((*key, cell.draw))
                found.setdefault(key, []).append((judged, seconds))
                about[key] = {"n_true": sum(true), "n_all": len(true), "truth": truth.source}
    return [_row(key, about[key], values) for key, values in found.items()]


def _row(key: tuple[object, ...], about: dict[str, object], values: list[tuple[RankingQuality, float]]) -> BenchmarkRow:
    model, task, level, cut, name, recipe, examples, usable, dtype = key
    means = {each: round(fmean(getattr(judged, each) for judged, _ in values), 4) for each in QUALITIES}
    spreads = {each: round(pstdev(getattr(judged, each) for judged, _ in values), 4) for each in QUALITIES}
    several = len(values) > 1
    row = {
        **{"model": model, "task": task, "level": level, "cut": cut, "measure": name, "recipe": recipe},
        **{"examples": examples, "usable": usable, "dtype": dtype, "draws": len(values)},
        **{"spread": spreads["auc"] if several else None, "spreads": spreads if several else {}},
        **{"seconds": round(fmean(seconds for _, seconds in values), 3)},
    }
    return msgspec.convert({**row, **means, **about}, type=BenchmarkRow)


_Ranking = tuple[str, str, list[float], list[bool], float]
"""(measure, recipe, strengths, truth, seconds)."""


def _rankings(run: BenchmarkResult, truth: GroundTruth, capture: float) -> list[_Ranking]:
    return _edge_rankings(run, truth, capture) if truth.level == "edges" else _node_rankings(run, truth, capture)


def _node_rankings(run: BenchmarkResult, truth: GroundTruth, capture: float) -> list[_Ranking]:
    """Rank the nodes of the truth's level; a run of heads says nothing about the others."""
    kinds = {"heads": ("head",), "mlps": ("mlp",), "nodes": ("head", "mlp")}[truth.level]
    nodes = [node for node in run.nodes if node.id.kind in kinds]
    if set(kinds) - {node.id.kind for node in nodes}:
        return []
    true = [(node.layer, node.head) in truth.heads for node in nodes]
    found: list[_Ranking] = []
    for measure in MEASURED:
        values = [value_of(node, measure) for node in nodes]
        if any(value is None or math.isnan(value) for value in values):
            continue  # does not apply, or was measured for some heads only
        recipe = NO_RECIPE if measure.baseline or measure.id in WITHOUT_CODES else run.cell.recipe
        found.append((_name(measure), recipe, strengths(nodes, measure), true, _seconds(run, measure, capture)))
    return found


def _edge_rankings(run: BenchmarkResult, truth: GroundTruth, capture: float) -> list[_Ranking]:
    """Rank edges by codes, by one gradient, by the product of both ends' baselines, and at random.

    Only where all pairs have a value: gaps would distort the score of a list of the best. Between heads, or between
    heads and MLPs where the truth covers them; a run of heads is judged by the edges between heads.
    """
    ends = [node for node in run.model.layout.ids if node.is_head or (truth.covers == "all" and node.in_circuits)]
    place = run.model.layout.place
    pairs = [(source, target) for source in ends for target in ends if place(source) < place(target)]
    true = [pair in truth.edges for pair in pairs]
    if not any(true):
        return []
    found: list[_Ranking] = []

    def add(name: str, recipe: str, strengths: Mapping[Edge, float], seconds: float) -> None:
        found.append((name, recipe, [strengths.get(pair, 0.0) for pair in pairs], true, seconds))

    codes = capture + run.seconds.get("codes", 0.0)
    if _is_complete(len(run.edges), run.n_pairs):
        # Ties are broken as in the list of edges, by contrast length.
        keys = {(e.source, e.target): (e.score, 0.0 if e.length is None else e.length) for e in run.edges}
        places = {key: float(place) for place, key in enumerate(sorted(set(keys.values())))}
        add(EDGE_CODES, run.cell.recipe, {edge: places[key] for edge, key in keys.items()}, codes)
    effects = run.edge_effects
    if effects is not None and _is_complete(len(effects.edges), effects.n_pairs):
        by_gradient = {(e.source, e.target): abs(e.effect) for e in effects.edges}
        add(EDGE_EFFECTS, NO_RECIPE, by_gradient, run.seconds.get("attribution", 0.0) + run.seconds.get("edges", 0.0))
    for measure in MEASURED:
        value = {node.id: value_of(node, measure) for node in run.nodes if node.id in ends}
        known = {head: number for head, number in value.items() if number is not None}
        if measure.baseline and len(known) == len(value):
            both: dict[Edge, float] = {(a, b): known[a] * known[b] for a, b in pairs}
            add(_name(measure), NO_RECIPE, both, 0.0 if _name(measure) == RANDOM else capture)
    return found


def _is_complete(n_listed: int, n_pairs: int) -> bool:
    """Return True if the list holds all edges (those without effect may be missing), not only the best of many."""
    return n_listed in range(1, n_pairs + 1) and (n_listed != MOST_EDGES or n_pairs == MOST_EDGES)


def _seconds(run: BenchmarkResult, measure: Measure, capture: float) -> float:
    if _name(measure) == RANDOM:
        return 0.0
    if measure.baseline:
        return capture
    if measure.id in WITHOUT_CODES:
        return run.seconds.get("exact" if measure.id == "exact_effect" else measure.id, 0.0)
    codes = capture + run.seconds.get("codes", 0.0)
    return codes + run.seconds.get("combined", 0.0) if measure.cause else codes


def _name(measure: Measure) -> str:
    return RANDOM if measure.id == "baseline_random" else measure.id
