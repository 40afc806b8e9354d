"""Births over checkpoints: shares of effects, the order of nodes, gaps to the behaviour, circuits, curves."""

import math

import pytest

from engine.errors import ConfigError
from engine.sweeps.births import CheckpointRun, birth_table, share_units
from engine.sweeps.curves import chart_along
from engine.sweeps.run_measures import RunMeasures, find_cell_measure, jaccard, value_of_run
from engine.sweeps.series import series_of, step_of_labels, varying

STEPS = (0, 100, 200, 400, 600, 800, 1000, 1200, 1400)


def run(step: int, draw: int = 0, **more: object) -> CheckpointRun:
    jitter = 0.01 * ((step // 100 + 3 * draw) % 4)
    fields: dict[str, object] = {
        "step": step,
        "draw": str(draw),
        "examples": f"x{draw}",
        "accuracy": (0.95 if step >= 700 else 0.05) + jitter,
        "values": {
            "0.1": (0.8 if step >= 300 else 0.1) + jitter,
            "1.0": 0.2 + jitter,
            "m1": (0.1 if step >= 900 else 0.9) + jitter,
        },
        "circuit": ("0.1", "m1") if step >= 300 else ("1.0", "m1"),
    }
    return CheckpointRun(**{**fields, **more})  # type: ignore[arg-type]


def test_nodes_come_in_order_with_the_steps_to_the_behaviour() -> None:
    table = birth_table([run(step, draw) for step in STEPS for draw in range(3)], measure="total_variation")
    assert (table.steps, table.draws, table.same_examples) == (STEPS, 3, True)
    assert [each.node for each in table.nodes] == ["0.1", "m1", "1.0"]  # rises, falls, none
    first, second, third = table.nodes
    assert (first.transition.rises, second.transition.rises, third.transition.verdict) == (True, False, "none")
    # No checkpoint is within a jump: the midpoints lie between its neighbours, and so does the gap.
    assert 200 < (first.transition.midpoint or 0) < 400
    assert 600 < (table.behaviour.midpoint or 0) < 800
    assert first.gap is not None
    assert first.gap.settled
    assert 200 <= first.gap.steps <= 600
    assert third.gap is None


def test_an_effect_is_a_share_of_a_base_that_counts_as_a_quarter_of_the_largest_at_least() -> None:
    assert share_units([("a", 8.0), ("a", 0.1), ("a", -3.0), ("b", 1.0), ("b", None)]) == [8.0, 2.0, 3.0, 1.0, None]
    assert share_units([("a", 0.0)]) == [None]
    found = birth_table(
        [run(0, values={"0.1": -1.0}, base=0.001), run(100, values={"0.1": -4.0}, base=8.0)],
        measure="exact_effect",
    )
    assert found.nodes[0].curve.draws == ((0.5, 0.5),)
    assert {each.name: each.curve.draws for each in found.metrics}["answer"] == ((pytest.approx(0.000125), 1.0),)


def test_circuits_are_compared_with_the_one_before_the_last_and_other_draws() -> None:
    runs = [run(step, draw) for step in STEPS for draw in range(2)]
    runs = [run(0, 1, circuit=("0.1",)) if (each.step, each.draw) == (0, "1") else each for each in runs]
    circuits = {each.step: each for each in birth_table(runs, measure="total_variation").circuits}
    assert circuits[0].with_previous is None
    assert circuits[0].between_draws == 0.0
    assert circuits[400].with_previous == pytest.approx(1 / 3)
    assert circuits[200].with_last == pytest.approx(1 / 3)
    assert (circuits[1400].with_last, circuits[1400].between_draws, circuits[1400].size) == (1.0, 1.0, 2.0)


def test_trained_and_held_out_examples_have_curves_of_their_own() -> None:
    runs = [run(step, trained=float(step >= 100), held_out=float(step >= 700)) for step in STEPS]
    table = birth_table(runs, measure="total_variation")
    assert [each.name for each in table.metrics] == ["accuracy", "trained", "held_out"]
    assert table.learnt is not None
    assert 400 < table.learnt.steps < 800
    assert birth_table([run(step) for step in STEPS], measure="total_variation").learnt is None


def test_other_examples_at_every_checkpoint_are_noticed() -> None:
    assert not birth_table([run(step, examples=f"{step}") for step in STEPS], measure="total_variation").same_examples


def test_series_are_the_axes_besides_checkpoint_and_draw() -> None:
    labels = (("task", "a"), ("checkpoint", "step100"), ("draw", "1"), ("lambda", ".5"))
    assert series_of(labels) == (("task", "a"), ("lambda", ".5"))
    assert step_of_labels(labels) == 100
    assert step_of_labels((("task", "a"),)) is None
    assert varying([(("task", "a"), ("lambda", "1")), (("task", "a"), ("lambda", "2"))]) == [
        (("lambda", "1"),),
        (("lambda", "2"),),
    ]


def test_a_chart_averages_draws_and_parts_other_axes() -> None:
    points = [
        ((("task", task), ("checkpoint", step), ("draw", draw)), {"": float(step) + float(draw)})
        for task in ("a", "b")
        for step in ("0", "100", "1000")
        for draw in ("0", "2")
    ]
    chart = chart_along("title", "checkpoint", ["0", "100", "1000"], points)
    assert [each.name for each in chart.curves] == ["task a", "task b"]
    assert chart.curves[0].values == (1.0, 101.0, 1001.0)
    assert (chart.curves[0].low, chart.curves[0].high) == ((0.0, 100.0, 1000.0), (2.0, 102.0, 1002.0))
    assert chart.places == (0.0, 0.1, 1.0)
    far = chart_along("", "lambda", ["1", "10", "1000"], [((("lambda", v),), {"": 1.0}) for v in ("1", "10", "1000")])
    assert far.places[1] == pytest.approx(math.log(11 / 2) / math.log(1001 / 2))
    words = chart_along("", "task", ["a", "b"], points)
    assert words.places == (0.0, 1.0)
    with pytest.raises(ConfigError, match="no axis 'seeds'"):
        chart_along("", "seeds", [], points)


def test_what_a_run_found_is_one_number_by_the_measure() -> None:
    found = RunMeasures(
        run_id="r",
        verdict="weak",
        auc=0.75,
        accuracy=0.5,
        trained=None,
        held_out=None,
        examples="x",
        circuit=("0.1", "m0"),
        values=(-2.0, None),
        base=8.0,
        unit=4.0,
    )
    names = ("auc", "accuracy", "seconds")
    by_name = {name: value_of_run(find_cell_measure(name), found, seconds=3.0) for name in names}
    assert by_name == {"auc": 0.75, "accuracy": 0.5, "seconds": 3.0}
    assert value_of_run(find_cell_measure("verdict"), found) == 3.0
    assert value_of_run(find_cell_measure("exact_effect"), found, place=0) == 0.5
    assert value_of_run(find_cell_measure("exact_effect"), found, place=1) is None
    assert value_of_run(find_cell_measure("auc"), None) is None
    assert jaccard(found, found) == 1.0
    assert jaccard(found, None) is None
    with pytest.raises(ConfigError, match="no measure 'nothing'"):
        find_cell_measure("nothing")
