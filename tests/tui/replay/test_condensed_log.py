"""Seeking is exact: what a condensed log folds to is what the whole log folds to, at every moment of it."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.config import ProbeConfig
from engine.events import EdgesScored, EngineEvent, Scored, StageFinished, StageProgress, StageStarted, TrainStep
from engine.results import EdgeScore
from sessions.condense import condensed, superseded
from sessions.events import (
    DrawingChanged,
    ExamplesSet,
    ExamplesStepped,
    LogEntry,
    RunEnded,
    RunQueued,
    RunStarted,
    VerificationEnded,
    VerificationProgress,
    VerificationRequested,
    ViewChanged,
)
from tui.state.workbench_state import WorkbenchState

_NOT_OF_THE_LOG = (
    "overlay",
    "marks",
    "parts",
    "signs",
    "_views",
    "_offered",
    "_places",
    "_column",
    "subtraction",
    "n_looks_made",
    "_view",
    "codes",
    "link",
    "link_words",
    "failure",
    "worker",
    "stopping",
)


def state_of(state: WorkbenchState) -> dict[str, Any]:
    """Everything folding can change, all the way down."""
    found = {name: value for name, value in vars(state).items() if name not in _NOT_OF_THE_LOG}
    kept = vars(found.pop("session")).copy()
    return found | kept | {"examples": vars(kept["examples"])}


def folded(entries: Sequence[LogEntry]) -> WorkbenchState:
    state = WorkbenchState(model="toy", task="ioi")
    state.session_id = "s"
    state.fold(entries)
    return state


def pictures(entries: Sequence[LogEntry]) -> dict[str | None, RunSnapshot]:
    found: dict[str | None, RunSnapshot] = {}
    for entry in entries:
        if isinstance(entry.event, EngineEvent):
            found[entry.run_id] = fold_event(found.get(entry.run_id, RunSnapshot()), entry.event)
    return found


STAGES = st.sampled_from(["load", "capture", "train", "scores"])
COUNTS = st.integers(0, 9)


@st.composite
def logs(draw: st.DrawFn, nodes: Any, examples: Any) -> list[LogEntry]:
    """Logs that may well make no sense: what holds for them holds for those that do."""
    scores = [nodes(2, 2, progress=share, known=[place]) for share, place in ((0.3, (0, 1)), (0.9, (1, 0)))]
    sets = [examples(count) for count in (1, 2)]
    event = st.one_of(
        st.builds(StageStarted, stage=STAGES, total=COUNTS),
        st.builds(StageProgress, stage=STAGES, done=COUNTS, total=COUNTS),
        st.builds(StageFinished, stage=STAGES, seconds=st.just(0.5)),
        st.builds(Scored, nodes=st.sampled_from(scores), final=st.booleans()),
        st.builds(
            EdgesScored,
            edges=st.builds(
                lambda score: (EdgeScore(source=(0, 0), target=(1, 1), score=score),), st.sampled_from([1.0, 2.0])
            ),
            n_pairs=COUNTS,
        ),
        st.builds(
            TrainStep, step=COUNTS, total=COUNTS, reconstruction=st.just((1.0,)), sparsity=st.just((0.0,)),
            moving=st.just((1,)),
        ),
        st.builds(ViewChanged, measure=st.sampled_from(["overlap", "q_value"]), cut=st.integers(1, 4)),
        st.builds(DrawingChanged, most=st.integers(1, 3), pinned=st.sampled_from([(), ((0, 1),)])),
        st.builds(ExamplesSet, examples=st.sampled_from(sets), content_hash=st.just("h")),
        st.builds(ExamplesStepped, by=st.sampled_from([-1, 1]), version=st.integers(1, 4), content_hash=st.just("h")),
        st.just(RunStarted()),
        st.just(VerificationRequested()),
        st.builds(VerificationProgress, stage=STAGES, done=COUNTS, total=COUNTS),
        st.just(VerificationEnded(state="stopped")),
        st.just(RunEnded(state="done")),
        st.just(RunQueued(config=ProbeConfig(), model="toy")),
    )  # fmt: skip
    entries: list[LogEntry] = []
    runs: list[str] = []
    for seq, each in enumerate(draw(st.lists(event, max_size=40)), start=1):
        run_id: str | None = None
        if isinstance(each, RunQueued):
            runs.append(f"r{len(runs)}")
            run_id = runs[-1]
        elif not isinstance(each, ExamplesSet | ExamplesStepped):
            run_id = draw(st.sampled_from(runs)) if runs else "nobody"
        entries.append(LogEntry(session_id="s", seq=seq, at_us=seq * 1000, run_id=run_id, event=each))
    return entries


@given(data=st.data())
def test_folding_what_is_left_is_folding_all(data: st.DataObject, recorded: Any) -> None:
    entries = data.draw(logs(recorded.nodes, recorded.examples))
    up_to = data.draw(st.integers(0, len(entries)))
    assert state_of(folded(condensed(entries[:up_to]))) == state_of(folded(entries[:up_to]))
    assert pictures(condensed(entries[:up_to])) == pictures(entries[:up_to])


@given(data=st.data())
def test_it_holds_from_any_frame_on(data: st.DataObject, recorded: Any) -> None:
    entries = data.draw(logs(recorded.nodes, recorded.examples))
    up_to = data.draw(st.integers(0, len(entries)))
    start = data.draw(st.integers(0, up_to))
    frame = folded(entries[:start]).freeze()
    state = folded(entries)
    state.rewind(frame, condensed(entries[start:up_to]))
    assert state_of(state) == state_of(folded(entries[:up_to]))
    assert state_of(folded(entries)) == state_of(state) or up_to < len(entries)


def test_of_a_run_little_is_left(recorded: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(), *recorded.events())
    left = condensed(host.entries)
    assert sum(isinstance(entry.event, Scored) for entry in left) == 2
    assert len(msgspec.json.encode(left)) < len(msgspec.json.encode(host.entries)) / 3
    assert left[-1] == host.entries[-1]


def test_scores_that_a_card_was_judged_by_stay() -> None:
    index = [(1, "r", "scored"), (2, "r", "scored"), (3, "r", "cause_scored"), (4, "r", "scored"), (5, "q", "scored")]
    assert superseded(index) == [1]
    assert superseded([*index, (6, "r", "stage_started"), (7, "r", "stage_progress"), (8, "r", "stage_started")]) == [
        7,
        6,
        1,
    ]


def test_a_frame_stays_as_it_was(recorded: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    entries = [msgspec.structs.replace(entry, session_id="s") for entry in host.entries]
    for at in (5, 12, len(entries)):
        state = folded(entries[:at])
        frame, before = state.freeze(), state_of(folded(entries[:at]))
        state.fold(entries[at:])
        state.move_cut(2)
        again = WorkbenchState(model="toy", task="ioi")
        again.session_id = "s"
        again.rewind(frame)
        assert state_of(again) == before


def test_what_the_viewer_chose_survives_a_jump_within_the_run(recorded: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(), ViewChanged(measure="q_value", cut=9), *recorded.events())
    entries = [msgspec.structs.replace(entry, session_id="s") for entry in host.entries]
    end = next(entry.seq for entry in entries if isinstance(entry.event, ViewChanged))
    state = folded(entries[: end - 1])
    state.put_cursor(0, 2)
    state.cycle_measure(1)
    state.move_cut(1)
    mine = (state.measure, state.current_look())
    state.rewind(folded([]).freeze(), condensed(entries[:end]))
    assert (state.measure, state.current_look(), state.cursor) == (*mine, (0, 2))
    # Another run is another matter: there the log's own look holds.
    state.rewind(folded([]).freeze(), condensed(entries))
    assert state.measure.id == "q_value"
    assert state.cursor == state.view().order[0]  # type: ignore[union-attr]
    state.rewind(folded([]).freeze(), condensed(entries[:end]))
    assert (state.measure, state.current_look()) == mine


@pytest.mark.parametrize("at", [0, 1])
def test_nothing_is_left_of_nothing(at: int, recorded: Any) -> None:
    assert condensed(recorded.host().entries[:at]) == recorded.host().entries[:at]
