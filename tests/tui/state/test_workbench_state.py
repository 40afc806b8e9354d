"""The state alone: folding the log, ranking, cutting, moving; and how lines are fitted."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from engine.analysis.ranking import has_signal
from engine.events import EffectsMeasured
from engine.measures import DEFAULT_MEASURE, MEASURES, NODE_SCORE, find_measure
from engine.results import NodeEffect
from sessions.events import EffectsEnded, LogEntry, RunStarted
from tui.state.grid_view import make_grid_view
from tui.state.number_text import format_fixed, format_number
from tui.state.workbench_state import ALL_PARTS, WorkbenchState
from tui.widgets.line_widget import changed_regions
from tui.widgets.progress_strip import format_seconds, mean_losses
from tui.widgets.styled_line import bar, fit, fit_end, sparkline, wrap

from ...run_parts import effects_measured


def folded(recorded: Any, **more: Any) -> WorkbenchState:
    host = recorded.host()
    host.add(*recorded.events(**more))
    state = WorkbenchState(model="toy", task="ioi")
    state.session_id = "s-1"
    assert state.fold(host.entries) <= ALL_PARTS
    return state


def test_entries_seen_before_change_nothing(recorded: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    state = WorkbenchState(model="toy", task="ioi")
    state.session_id = "s-1"
    state.fold(host.entries)
    steps = len(state.shown.picture.steps)  # type: ignore[union-attr]
    assert state.fold(host.entries) == frozenset()
    assert state.fold(host.entries[-3:]) == frozenset()
    assert len(state.shown.picture.steps) == steps  # type: ignore[union-attr]


async def test_new_entries_and_another_session_wake_whoever_waits_for_them(recorded: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    state = WorkbenchState(model="toy", task="ioi")
    for wake in (lambda: state.fold(host.entries), state.forget):
        waiting = [asyncio.create_task(state.wait_for_entries()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        wake()
        await asyncio.gather(*waiting)
    gone = asyncio.create_task(state.wait_for_entries())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    state.forget()
    assert not state._waiting


def test_the_cursor_waits_on_the_best_head_until_it_is_moved(recorded: Any) -> None:
    state = folded(recorded, until="train")
    assert state.view() is not None
    assert state.cursor == state.view().order[0]  # type: ignore[union-attr]
    state.put_cursor(0, 0)
    host = recorded.host()
    host.add(*recorded.events())
    state.last_seq = 1 + len(recorded.events(until="train"))
    state.fold(host.entries)
    assert state.cursor == (0, 0)


def test_cutting_changes_precision_and_recall_and_not_the_auc(recorded: Any) -> None:
    state = folded(recorded)
    first = state.view()
    assert first is not None
    assert (first.cut, first.agreement.precision, first.agreement.recall) == (5, 1.0, 1.0)  # type: ignore[union-attr]
    state.move_cut(1)
    state.move_cut(1)
    more = state.view()
    assert more is not None
    assert more.agreement.precision == pytest.approx(5 / 7)  # type: ignore[union-attr]
    assert more.agreement.auc == first.agreement.auc  # type: ignore[union-attr]
    for _ in range(20):
        state.move_cut(-1)
    assert state.view().cut == 1  # type: ignore[union-attr]


def test_the_cut_stops_at_the_last_head_with_a_signal(recorded: Any) -> None:
    state = folded(recorded)
    for measure in state.measures():
        view = state.view()
        assert view is not None
        assert view.measure is measure
        spoken = sum(has_signal(node, measure) for node in view.nodes)
        for _ in range(60):
            state.move_cut(1)
        most = len(state.view().circuit)  # type: ignore[union-attr]
        assert most == spoken
        if most > 1:
            assert state.move_cut(-1)
            assert len(state.view().circuit) == most - 1  # type: ignore[union-attr]
        state.cycle_measure(1)


def test_every_measure_can_be_looked_at(recorded: Any) -> None:
    state = folded(recorded)
    for measure in state.measures():
        view = state.view()
        assert view is not None
        assert view.measure is measure
        assert sorted(view.rank.values()) == list(range(1, 49))
        assert all(intensity is None or 0 <= intensity <= 1 for intensity in map(view.intensity_of, view.order))
        state.cycle_measure(1)
    assert state.measure is MEASURES[0]
    state.cycle_measure(-1)
    assert state.measure is MEASURES[-1]


def test_a_third_of_a_code_is_not_drawn_as_the_loudest(recorded: Any) -> None:
    nodes = recorded.nodes(2, 3, progress=0.01, known=[(0, 0)])
    view = make_grid_view(nodes, measure=NODE_SCORE, cut=None, reference=None, final=True)
    assert max(view.intensity_of(head) or 0.0 for head in view.order) < 0.2


def test_walking_the_ranking_stops_at_its_ends(recorded: Any) -> None:
    state = folded(recorded)
    order = state.view().order  # type: ignore[union-attr]
    state.put_cursor(*order[0])
    assert not state.walk_ranking(-1)
    assert state.walk_ranking(1)
    assert state.cursor == order[1]
    state.put_cursor(*order[-1])
    assert not state.walk_ranking(1)


@given(st.text(max_size=60), st.integers(0, 40))
def test_fitted_text_never_exceeds_its_room(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) <= width
    assert cell_len(fit_end(text, width)) <= width


@given(st.text(max_size=80), st.integers(2, 30), st.integers(1, 4))
def test_wrapped_text_keeps_to_its_lines(text: str, width: int, most: int) -> None:
    lines = wrap(text, width, most)
    assert len(lines) <= most
    assert all(cell_len(line) <= width for line in lines)


def test_the_end_of_a_prompt_is_what_stays() -> None:
    assert fit_end("When Mary and John went to the shop", 12) == "…to the shop"
    assert fit("When Mary", 6) == "When …"


@pytest.mark.parametrize(("value", "shown"), [
    (7.0, "7"), (0.25, ".250"), (6.3333, "6.33"), (-0.02, "-.020"), (None, "–"), (123456.0, "123456"),
])  # fmt: skip
def test_numbers_are_short(value: float | None, shown: str) -> None:
    assert format_number(value) == shown
    assert format_fixed(0.125, 3) == ".125"
    assert format_fixed(2.0) == "2.00"
    assert format_seconds(0.45) == ".45 s"


def test_losses_that_are_not_finite_are_left_out_of_the_curve(recorded: Any) -> None:
    import msgspec

    state = folded(recorded, until="train")
    steps = state.shown.picture.steps  # type: ignore[union-attr]
    broken = msgspec.structs.replace(steps[3], reconstruction=(None, float("nan"), float("inf")))
    assert len(mean_losses([*steps[:3], broken])) == 3
    assert sparkline([1.0, 1.0], 5) == "▁▁"
    assert sparkline([0.0, 1.0], 5) == "▁█"
    assert sparkline([], 5) == ""
    assert bar(0.5, 4) == ("━━", "──")


def test_only_what_changed_is_drawn_again() -> None:
    from textual.geometry import Region, Size

    old = [Strip([Segment("same "), Segment("old"), Segment(" same")])]
    new = [Strip([Segment("same "), Segment("new"), Segment(" same")])]
    assert changed_regions(old, new, Size(20, 5)) == [Region(5, 0, 3, 1)]
    assert changed_regions(new, new, Size(20, 5)) == []


def caused() -> tuple[EffectsMeasured, EffectsEnded]:
    """What a measurement of two heads reports."""
    effects = tuple(NodeEffect(layer=layer, head=0, effect=-1.0 - layer, error=0.1) for layer in (0, 1))
    scored = effects_measured(effects, method="combined")
    return scored, EffectsEnded(state="done")


def tell(state: WorkbenchState, *events: Any) -> None:
    run = state.runs[-1].run_id
    entries = [
        LogEntry(session_id="s-1", seq=state.last_seq + 1 + place, run_id=run, at_us=1, event=event)
        for place, event in enumerate(events)
    ]
    state.fold(entries)


def test_whoever_asks_for_causes_sees_them_and_whoever_looked_elsewhere_is_left_alone(recorded: Any) -> None:
    state = folded(recorded)
    tell(state, *caused())
    assert state.measure is DEFAULT_MEASURE, "nobody asked on this screen"
    state.expect_effects()
    tell(state, *caused())
    assert state.measure.id == "combined"
    assert state.cursor == (1, 0), "the head that does most"
    state.pick_measure(DEFAULT_MEASURE)
    state.expect_effects()
    state.cycle_measure(1)
    chosen = state.measure
    tell(state, *caused())
    assert state.measure is chosen
    state.pick_measure(find_measure("combined"))
    tell(state, RunStarted())
    assert state.measure is DEFAULT_MEASURE, "a run that begins has no causes to show"
