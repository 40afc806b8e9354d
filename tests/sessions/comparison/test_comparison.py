"""Test comparisons: laws that hold for any two sides."""

import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.rank_correlation import kendall, ranks, spearman
from engine.analysis.ranking import has_signal
from engine.config import ProbeConfig, SAEConfig
from engine.examples import Example
from engine.measures import MEASURES, find_measure
from engine.results import ModelInfo, NodeScores
from sessions.comparison.circuit_sets import intersection, jaccard, subtract, union
from sessions.comparison.comparison import (
    CannotCompare,
    ComparisonSide,
    compare,
    compare_grids,
    select_circuit,
)
from sessions.comparison.example_diff import compare_examples

from ...run_parts import scores_of

NUMBERS = tuple(name for name in NodeScores.__struct_fields__ if name not in ("layer", "head", "other"))
heads = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=12)
few = st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.25])


def nodes_of(values: list[float | None], n_heads: int) -> tuple[NodeScores, ...]:
    return tuple(
        scores_of(
            *divmod(place, n_heads),
            **dict.fromkeys(NUMBERS, value or 0.0) | {"p_value": value, "q_value": value, "silent": 0.0},
            other={"code_accuracy": value or 0.0, "direct_effect": value or 0.0},
        )
        for place, value in enumerate(values)
    )


def side(values: list[float | None], *, n_heads: int = 5, **more: Any) -> ComparisonSide:
    given_ = {
        "reference": "r1",
        "title": "one/1",
        "kind": "run",
        "n_layers": len(values) // n_heads,
        "n_heads": n_heads,
        "nodes": nodes_of(values, n_heads),
        "config": ProbeConfig(circuit_size=4),
    }
    return ComparisonSide(**(given_ | more))


grids = st.lists(few, min_size=20, max_size=20).map(side)
measures = st.sampled_from(MEASURES)


@given(grids, measures)
def test_a_grid_less_itself_is_nothing(a: ComparisonSide, measure: Any) -> None:
    grid = compare_grids(a, a, measure=measure)
    assert [cell.difference for cell in grid.cells] == [0.0] * 20
    assert grid.largest == 0
    assert grid.only_a == grid.only_b == ()
    # Without scored heads both circuits are empty, and there is nothing to agree about.
    agreed = 1 if grid.circuit_a else None
    assert (grid.jaccard, grid.precision, grid.recall) == (agreed, agreed, agreed)
    assert grid.spearman in (None, pytest.approx(1))
    assert grid.kendall in (None, pytest.approx(1))


@given(grids, grids, measures, st.integers(1, 20))
def test_changing_sides_changes_the_sign_and_nothing_else(
    a: ComparisonSide, b: ComparisonSide, measure: Any, cut: int
) -> None:
    there, back = compare_grids(a, b, measure=measure, cut=cut), compare_grids(b, a, measure=measure, cut=cut)
    assert [cell.difference for cell in there.cells] == [-(cell.difference or 0.0) for cell in back.cells]
    assert (there.jaccard, there.spearman, there.kendall) == (
        back.jaccard,
        pytest.approx(back.spearman) if back.spearman is not None else None,
        pytest.approx(back.kendall) if back.kendall is not None else None,
    )
    assert (there.only_a, there.only_b, there.auc_a_finds_b) == (back.only_b, back.only_a, back.auc_b_finds_a)
    assert set(there.both) == set(back.both)
    for of, found in ((a, there.circuit_a), (b, there.circuit_b)):
        assert len(found) == min(cut, sum(has_signal(node, measure) for node in of.nodes))


@given(heads, heads, heads)
def test_circuits_are_sets(a: Any, b: Any, c: Any) -> None:
    assert set(union(a, b)) == set(a) | set(b)
    assert set(intersection(a, b, c)) == set(a) & set(b) & set(c)
    assert set(subtract(a, b, c)) == set(a) - set(b) - set(c)
    assert union(a, a) == union(a) == intersection(a, a)
    assert subtract(a, a) == ()
    assert set(union(intersection(a, b), subtract(a, b))) == set(a)
    assert set(subtract(union(a, b), c)) == set(union(subtract(a, c), subtract(b, c)))
    assert jaccard(a, b) == jaccard(b, a)
    if a:
        assert jaccard(a, a) == 1
    if a and b and not set(a) & set(b):
        assert jaccard(a, b) == 0


pairs = st.lists(st.tuples(few, few), min_size=2, max_size=30)


@given(pairs)
def test_rank_correlations_hold_against_their_definitions(values: list[tuple[float, float]]) -> None:
    one, other = [a for a, _ in values], [b for _, b in values]
    agree = sum(
        math.copysign(1, (a - c) * (b - d))
        for i, (a, b) in enumerate(values)
        for c, d in values[:i]
        if a != c and b != d
    )
    untied = [sum(x != y for i, x in enumerate(side_) for y in side_[:i]) for side_ in (one, other)]
    found = kendall(one, other)
    if 0 in untied:
        assert found is None
        assert spearman(one, other) is None
        return
    assert found == pytest.approx(agree / math.sqrt(untied[0] * untied[1]))
    a, b = ranks(one), ranks(other)
    mean = sum(a) / len(a)
    top = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    below = sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)
    assert spearman(one, other) == pytest.approx(top / math.sqrt(below))
    assert spearman(one, [-value for value in one]) == pytest.approx(-1)


def test_correlations_of_a_textbook_case() -> None:
    # Kendall, Rank Correlation Methods (1970), ch. 3: tau-b and rho of two rankings with ties.
    one, other = [1, 2.5, 2.5, 4.5, 4.5, 6.5, 6.5, 8, 9.5, 9.5], [1, 2, 4.5, 4.5, 4.5, 4.5, 8, 8, 8, 10]
    assert kendall(one, other) == pytest.approx(0.859, abs=5e-4)
    assert spearman(one, other) == pytest.approx(0.917, abs=5e-3)


def test_a_measure_where_low_speaks_ranks_backwards_and_subtracts_as_it_is() -> None:
    overlap = find_measure("overlap")
    a = side([0.1] + [1.0] * 19)
    b = side([1.0] * 19 + [0.2])
    grid = compare_grids(a, b, measure=overlap, cut=1)
    assert grid.only_a == ((0, 0),)
    assert grid.only_b == ((3, 4),)
    assert grid.cells[0].difference == -0.9
    assert grid.largest == 0.9


def test_a_head_without_a_value_has_no_difference() -> None:
    a, b = side([None, 1.0] + [0.5] * 18), side([0.5] * 20)
    grid = compare_grids(a, b, measure=find_measure("p_value"), cut=3)
    assert grid.cells[0].difference is None
    assert grid.cells[1].difference == 0.5
    assert grid.largest == 0.5


def test_each_side_is_cut_as_it_was_looked_at() -> None:
    values = [float(place) for place in range(20)]
    looked = side(values, measure="total_variation", cut=2)
    assert len(select_circuit(looked)) == 2
    by_flips = find_measure("paired_flips")
    assert len(select_circuit(looked, by_flips)) == 4  # viewed by another measure: as it was run
    assert len(select_circuit(looked, cut=7)) == 7
    assert len(select_circuit(side(values, config=ProbeConfig()))) == 3
    assert len(select_circuit(looked, cut=99)) == 19  # a head of score 0 is not in a circuit


def test_a_run_against_a_circuit_compares_membership() -> None:
    run = side([float(place) for place in range(20)])
    circuit = ComparisonSide(reference="circuit:x", title="circuit x", kind="circuit", heads=((3, 4), (0, 0)))
    grid = compare_grids(run, circuit)
    assert grid.measure == "membership"
    assert grid.only_a == ((3, 3), (3, 2), (3, 1))
    assert grid.only_b == ((0, 0),)
    assert grid.both == ((3, 4),)
    assert {cell.difference for cell in grid.cells} == {-1.0, 0.0, 1.0}
    assert (grid.precision, grid.recall) == (0.25, 0.5)
    assert grid.auc_a_finds_b == pytest.approx(0.5)
    assert grid.auc_b_finds_a is None
    two = compare_grids(circuit, msgspec.structs.replace(circuit, heads=((3, 4), (1, 1))))
    assert two.cells == ()
    assert two.jaccard == pytest.approx(1 / 3)


def test_what_cannot_be_compared_is_said_with_both_names() -> None:
    info = ModelInfo(name="toy", identity="a", n_layers=4, n_heads=5, d_model=8, d_head=2, context=9, vocabulary=9)
    a = side([0.0] * 20, model=info)
    b = side([0.0] * 12, n_heads=3, title="two/1")
    with pytest.raises(CannotCompare, match=r"one/1 has 4 layers x 5 heads \(toy\), two/1 has 4 layers x 3 heads"):
        compare(a, b)
    far = ComparisonSide(reference="circuit:x", title="circuit x", kind="circuit", heads=((9, 6),))
    with pytest.raises(CannotCompare, match=r"circuit x has the head 9\.6; one/1 has 4 layers"):
        compare(a, far)
    with pytest.raises(CannotCompare, match="one/1 has no scores"):
        compare(side([]), a)
    texts = ComparisonSide(reference="s@v1", title="one examples v1", kind="examples", examples=())
    with pytest.raises(CannotCompare, match="circuit x has no examples"):
        compare(texts, far)


def test_settings_differ_field_by_field() -> None:
    a = side([0.0] * 20, asked={"model": "toy", "task": "ioi"})
    b = side(
        [0.0] * 20,
        asked={"model": "toy", "task": "docstring"},
        config=ProbeConfig(seeds=(4,), sae=SAEConfig(n_codes=64), circuit_size=4),
    )
    found = compare(a, b).config
    assert found is not None
    assert {each.field: (each.a, each.b) for each in found} == {
        "sae.n_codes": (200, 64),
        "seeds": ((0, 1, 2), (4,)),
        "task": ("ioi", "docstring"),
    }
    assert compare(a, a).config == ()


# ---- examples


def example(prompt: str, polarity: str = "positive", **more: Any) -> Example:
    return Example(prompt=prompt, polarity=polarity, **more)  # type: ignore[arg-type]


def test_examples_are_told_apart_by_content() -> None:
    a = [
        example("When Mary met John, Mary gave a book to", expected=("John",), pair=1),
        example("When Mary met John, Ruth gave a book to", "negative", expected=("John",), pair=1),
        example("Stay as you are"),
        example("Gone"),
    ]
    b = [
        example("Stay as you are", pair=7),
        example("When Mary met John, Mary gave a ring to", expected=("John",), pair=1),
        example("When Mary met John, Ruth gave a book to", "negative", expected=("John", "Paul"), pair=1),
        example("Quite new", "negative"),
    ]
    found = compare_examples(a, b)
    assert found.same == 1
    assert [(change.a.prompt[-9:], change.b.prompt[-9:], change.fields) for change in found.changed] == [
        ("a book to", "a book to", ("expected",)),
        ("a book to", "a ring to", ("prompt",)),
    ]
    assert [each.prompt for each in found.only_a] == ["Gone"]
    assert [each.prompt for each in found.only_b] == ["Quite new"]
    assert not found.order


prompts = st.lists(
    st.builds(example, st.sampled_from(["a b c", "a b d", "x", "y z"]), st.sampled_from(["positive", "negative"])),
    max_size=12,
)


@given(prompts, prompts)
def test_every_example_is_counted_once(a: list[Example], b: list[Example]) -> None:
    found = compare_examples(a, b)
    assert found.same + len(found.changed) + len(found.only_a) == len(a)
    assert found.same + len(found.changed) + len(found.only_b) == len(b)
    assert compare_examples(a, a).none
    back = compare_examples(b, a)
    assert (back.same, back.order) == (found.same, found.order)


@given(prompts, st.randoms())
def test_another_order_is_only_that(a: list[Example], draw: random.Random) -> None:
    b = list(a)
    draw.shuffle(b)
    found = compare_examples(a, b)
    assert found.same == len(a)
    assert found.only_a == found.only_b == found.changed == ()
    assert found.order == (a != b)


def foreign(values: dict[str, float], shape: tuple[int, int] = (2, 2)) -> ComparisonSide:
    return ComparisonSide(
        reference="file:x.json", title="x.json", kind="file", n_layers=shape[0], n_heads=shape[1], scores=values
    )


def test_a_file_of_another_tool_is_compared_by_shares_of_the_largest() -> None:
    ours = ComparisonSide(
        reference="r", title="one/1", kind="run", n_layers=2, n_heads=2, nodes=nodes_of([4.0, 0.0, 1.0, 2.0], 2)
    )
    grid = compare_grids(ours, foreign({"0.0": -8.0, "0.1": 0.5, "1.1": 4.0}), cut=2)
    assert grid.measure == "share"
    found = {(cell.layer, cell.head): (cell.a, cell.b, cell.difference) for cell in grid.cells}
    assert found[0, 0] == (1.0, 1.0, 0.0)
    assert found[0, 1] == (0.0, 0.0625, -0.0625)
    assert found[1, 0] == (0.25, None, None)
    assert found[1, 1] == (0.5, 0.5, 0.0)
    assert grid.circuit_a == grid.circuit_b == ((0, 0), (1, 1))
    assert grid.jaccard == 1.0


@given(st.lists(few, min_size=6, max_size=6), st.sampled_from([1e-6, 3.0, 1e9]))
def test_the_unit_of_a_file_does_not_matter(values: list[float], unit: float) -> None:
    ours = ComparisonSide(reference="r", title="one/1", kind="run", n_layers=2, n_heads=3, nodes=nodes_of([*values], 3))
    names = [f"{place // 3}.{place % 3}" for place in range(6)]
    one, other = (
        compare_grids(ours, foreign({name: value * by for name, value in zip(names, values, strict=True)}, (2, 3)))
        for by in (1.0, unit)
    )
    assert (one.circuit_b, one.spearman, one.auc_a_finds_b) == (other.circuit_b, other.spearman, other.auc_a_finds_b)
    assert one.largest == pytest.approx(0.0, abs=1e-6)


def test_a_file_for_another_shape_is_refused() -> None:
    ours = ComparisonSide(reference="r", title="one/1", kind="run", n_layers=2, n_heads=2, nodes=nodes_of([1.0] * 4, 2))
    with pytest.raises(CannotCompare, match=r"3 layers x 2 heads"):
        compare_grids(ours, foreign({"2.1": 1.0}, (3, 2)))
