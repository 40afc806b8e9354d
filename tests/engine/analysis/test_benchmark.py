"""Test the comparison of finished runs with the ground truth: which rankings count, averages over draws, costs."""

import random

import msgspec
import pytest

from engine.analysis.benchmark import NO_RECIPE, BenchmarkResult, BenchmarkRow, BenchmarkRun, benchmark_rows, plan_runs
from engine.events import EdgesAttributed
from engine.measures import MEASURES
from engine.nodes import EMBEDDING, NO_HEAD, mlp
from engine.references.ground_truth import LEVELS, GroundTruth, at_levels
from engine.results import MOST_EDGES, EdgeEffect, EdgeScore, ModelInfo, NodeScores

LAYERS, HEADS = 2, 20
INFO = ModelInfo(
    name="toy", identity="ab" * 32, n_layers=LAYERS, n_heads=HEADS, d_model=4, d_head=2, context=8, vocabulary=9
)
PLACES = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
TRUE = frozenset({(0, 3), (1, 7), (1, 8)})
HEADS_TRUTH = GroundTruth(level="heads", cut=0.05, source="by hand", heads=TRUE)
EDGES_TRUTH = GroundTruth(
    level="edges", cut=None, source="by hand", edges=frozenset({((0, 3), (1, 7)), ((0, 3), (1, 8))})
)
KEY = ("toy", "ioi")


def node(place: tuple[int, int], **values: float | None) -> NodeScores:
    every: dict[str, float | None] = {
        name: None if name in ("attribution", "exact_effect", "combined") else 0.5
        for name in NodeScores.__struct_fields__
        if name not in ("layer", "head", "other")
    }
    return msgspec.convert({"layer": place[0], "head": place[1], **every, **values}, type=NodeScores)


def taken(
    draw: int = 0,
    recipe: str = "contrast",
    n_edges: int | None = None,
    seconds: dict[str, float] | None = None,
    **values: dict[tuple[int, int], float | None],
) -> BenchmarkResult:
    """A run; `values`: by measure, numbers of some heads. `n_edges`: how many of all edges it reports."""
    cell = msgspec.convert(
        {"model": "toy", "task": "ioi", "examples": 10, "draw": draw, "recipe": recipe}, type=BenchmarkRun
    )
    pairs = [((0, a), (1, b)) for a in range(HEADS) for b in range(HEADS)]
    ordered = sorted(pairs, key=lambda pair: pair not in EDGES_TRUTH.edges)[:n_edges]
    nodes = [node(p, **{name: known.get(p, 0.0) for name, known in values.items()}) for p in PLACES]
    return BenchmarkResult(
        cell=cell,
        model=INFO,
        nodes=tuple(nodes),
        edges=tuple(EdgeScore(source=a, target=b, score=float(-n)) for n, (a, b) in enumerate(ordered)),
        n_pairs=len(pairs),
        edge_effects=None,
        seconds=seconds or {"capture": 1.0, "codes": 2.0},
    )


def test_runs_of_two_precisions_have_separate_rows() -> None:
    one = taken(unique_positive={(0, 0): 1.0})
    half = msgspec.structs.replace(
        taken(unique_positive={(0, 3): 1.0}), dtype="bfloat16", cell=msgspec.structs.replace(one.cell, dtype="bfloat16")
    )
    rows = [
        row for row in benchmark_rows([one, half], {KEY: [HEADS_TRUTH]}, ("unique_positive",)) if row.level == "heads"
    ]
    assert sorted((row.dtype, row.draws) for row in rows) == [("bfloat16", 1), ("float32", 1)]
    assert len({row.auc for row in rows}) == 2


def by_name(rows: list[BenchmarkRow], level: str = "heads") -> dict[tuple[str, str], BenchmarkRow]:
    return {(row.measure, row.recipe): row for row in rows if row.level == level}


def test_cells_come_a_model_after_the_other_and_small_sets_first() -> None:
    cells = plan_runs({"a": ["ioi", "docstring"], "b": ["ioi"]}, ["contrast", "published"], [10, 250], [0, 1])
    assert len(cells) == len(set(cells)) == (2 + 1) * 2 * 2 * 2
    assert [cell.model for cell in cells] == ["a"] * 16 + ["b"] * 8
    assert [cell.examples for cell in cells[:16]] == [10] * 8 + [250] * 8
    seeds = [cell.seeds for cell in cells if cell.draw == 1]
    assert set(seeds) == {(3, 4, 5)}
    assert cells[0].config(cause=True, edges=True).cause.method == "combined"
    assert cells[0].config(cause=False, edges=True).cause.method == "none"


def test_a_measure_that_points_downwards_is_turned_round() -> None:
    low = {place: 0.1 if place in TRUE else 0.9 for place in PLACES}
    rows = by_name(benchmark_rows([taken(overlap=low)], {KEY: [HEADS_TRUTH]}))
    assert rows["overlap", "contrast"].auc == 1
    assert rows["total_variation", "contrast"].auc == 0.5  # all heads level
    assert rows["overlap", "contrast"].n_true == 3
    assert rows["overlap", "contrast"].n_all == LAYERS * HEADS


def test_each_level_judges_its_own_nodes() -> None:
    mlps = [(layer, NO_HEAD) for layer in range(LAYERS)]
    others = [*mlps, EMBEDDING]
    found = taken(combined=dict.fromkeys(TRUE, 0.5))
    more = tuple(node(place, combined=0.9 if place == mlp(1) else 0.0) for place in others)
    run = msgspec.structs.replace(found, nodes=(*found.nodes, *more))
    nodes = GroundTruth(level="nodes", cut=0.05, source="by hand", heads=TRUE | {mlp(1)})
    truths = {KEY: at_levels([HEADS_TRUTH, nodes], LEVELS)}
    rows = {row.level: row for row in benchmark_rows([run], truths, ("combined",))}
    assert {level: (row.n_true, row.n_all, row.auc) for level, row in rows.items()} == {
        "heads": (3, 40, 1.0),
        "mlps": (1, 2, 1.0),
        "nodes": (4, 42, 1.0),
    }
    # Codes of heads and of MLPs are ranked each among their own.
    low = msgspec.structs.replace(run, nodes=tuple(_variation(each) for each in run.nodes))
    row = next(row for row in benchmark_rows([low], truths, ("total_variation",)) if row.level == "nodes")
    assert row.auc == 1
    # A run of heads says nothing about MLPs.
    assert {row.level for row in benchmark_rows([found], truths, ("combined",))} == {"heads"}


def _variation(scores: NodeScores) -> NodeScores:
    """The true nodes first among their kind; every MLP is above every head."""
    true = scores.id in TRUE or scores.id == mlp(1)
    low = 0.3 if true else 0.1
    return msgspec.structs.replace(scores, total_variation=low if scores.id.is_head else low + 0.5)


def test_cells_of_tasks_with_known_mlps_look_at_all_nodes() -> None:
    cells = plan_runs({"a": ["ioi", "docstring"]}, ["contrast"], [10], [0], mlps={("a", "ioi")})
    assert [(cell.task, cell.nodes, cell.config(cause=False, edges=False).nodes) for cell in cells] == [
        ("ioi", "all", "all"),
        ("docstring", "heads", "heads"),
    ]


def test_draws_are_averaged_and_spread() -> None:
    right = dict.fromkeys(TRUE, 1.0)
    wrong = {place: 1.0 for place in PLACES if place not in TRUE}
    rows = benchmark_rows([taken(0, paired_flips=right), taken(1, paired_flips=wrong)], {KEY: [HEADS_TRUTH]})
    row = by_name(rows)["paired_flips", "contrast"]
    assert (row.auc, row.spread, row.draws) == (0.5, 0.5, 2)
    assert row.spreads["auc"] == row.spread
    single = by_name(benchmark_rows([taken(0, paired_flips=right)], {KEY: [HEADS_TRUTH]}))["paired_flips", "contrast"]
    assert (single.auc, single.spread, single.spreads) == (1, None, {})


def test_what_knows_no_sae_counts_once_a_draw_however_many_recipes_were_run() -> None:
    runs = [taken(draw, recipe) for draw in (0, 1) for recipe in ("contrast", "published")]
    rows = by_name(benchmark_rows(runs, {KEY: [HEADS_TRUTH]}))
    assert rows["baseline_mean_difference", NO_RECIPE].draws == 2
    assert rows["random", NO_RECIPE].draws == 2
    assert {rows["unique_positive", recipe].draws for recipe in ("contrast", "published")} == {2}


def test_a_measure_of_some_heads_alone_is_not_judged() -> None:
    some = dict.fromkeys(PLACES[:-1], 1.0) | {PLACES[-1]: None}
    every = dict.fromkeys(PLACES, 1.0)
    rows = by_name(benchmark_rows([taken(exact_effect=some, combined=every)], {KEY: [HEADS_TRUTH]}))
    assert ("exact_effect", NO_RECIPE) not in rows
    assert ("attribution", NO_RECIPE) not in rows
    assert ("combined", "contrast") in rows
    assert {name for name, _ in rows} <= {measure.id for measure in MEASURES} | {"random"}


def test_seconds_are_those_of_all_a_measure_needs_and_reading_is_charged_to_every_recipe() -> None:
    every = dict.fromkeys(PLACES, 1.0)
    causes = {"capture": 4.0, "codes": 2.0, "attribution": 0.5, "exact": 9.0, "combined": 7.0}
    runs = [
        taken(0, "contrast", seconds=causes, attribution=every, combined=every, exact_effect=every),
        taken(0, "published", seconds={"capture": 0.1, "codes": 20.0}),  # found its prompts in the cache
    ]
    rows = by_name(benchmark_rows(runs, {KEY: [HEADS_TRUTH]}))
    assert rows["unique_positive", "contrast"].seconds == 6
    assert rows["unique_positive", "published"].seconds == 24
    assert rows["combined", "contrast"].seconds == 13
    assert rows["attribution", NO_RECIPE].seconds == 0.5
    assert rows["exact_effect", NO_RECIPE].seconds == 9
    assert rows["baseline_paired_difference", NO_RECIPE].seconds == 4
    assert rows["random", NO_RECIPE].seconds == 0


def test_edges_are_judged_over_all_pairs_or_not_at_all() -> None:
    whole = by_name(benchmark_rows([taken()], {KEY: [EDGES_TRUTH]}), "edges")
    assert whole["edge_score", "contrast"].auc == 1
    assert (whole["edge_score", "contrast"].n_true, whole["edge_score", "contrast"].n_all) == (2, HEADS * HEADS)
    best_alone = by_name(benchmark_rows([taken(n_edges=MOST_EDGES)], {KEY: [EDGES_TRUTH]}), "edges")
    assert ("edge_score", "contrast") not in best_alone
    # By gradient, pairs of no effect are not told; the sign of an effect does not matter.
    effects = EdgesAttributed(
        metric="logit_difference", replacement="pair", base=1.0, n_examples=10, n_pairs=HEADS * HEADS, passes=6.0,
        edges=tuple(EdgeEffect(source=a, target=b, effect=-1.0) for a, b in EDGES_TRUTH.edges), seconds=2.0,
    )  # fmt: skip
    run = msgspec.structs.replace(taken(), edge_effects=effects)
    by_gradient = by_name(benchmark_rows([run], {KEY: [EDGES_TRUTH]}), "edges")["attribution", NO_RECIPE]
    assert (by_gradient.auc, by_gradient.f1) == (1, 1)
    both_ends = {place: 1.0 if place in TRUE else 0.1 for place in PLACES}
    rows = by_name(benchmark_rows([taken(baseline_mean_difference=both_ends)], {KEY: [EDGES_TRUTH]}), "edges")
    assert rows["baseline_mean_difference", NO_RECIPE].auc == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_order_in_which_runs_are_told_changes_nothing(seed: int) -> None:
    right = dict.fromkeys(TRUE, 1.0)
    runs = [taken(draw, recipe, paired_flips=right) for draw in (0, 1, 2) for recipe in ("contrast", "published")]
    output = benchmark_rows(runs, {KEY: [HEADS_TRUTH, EDGES_TRUTH]})
    random.Random(seed).shuffle(runs)
    assert benchmark_rows(runs, {KEY: [HEADS_TRUTH, EDGES_TRUTH]}) == output


def test_only_the_measures_that_are_asked_for() -> None:
    rows = benchmark_rows([taken()], {KEY: [HEADS_TRUTH]}, ("paired_flips", "random"))
    assert {row.measure for row in rows} == {"paired_flips", "random"}
    assert not benchmark_rows([taken()], {("toy", "docstring"): [HEADS_TRUTH]})
