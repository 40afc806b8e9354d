"""What a person keeps, folded from the log: versions under undo, names, tags, notes, circuits, looks."""

from typing import Any

from engine.config import ProbeConfig
from engine.examples import Example, content_hash
from sessions.events import (
    CircuitDeleted,
    CircuitSaved,
    ExamplesSet,
    ExamplesStepped,
    LogEntry,
    NoteRemoved,
    NoteWritten,
    RunQueued,
    RunVerified,
    SessionCreated,
    SessionImported,
    SessionRenamed,
    SessionRestored,
    SessionTrashed,
    TagsSet,
    ViewChanged,
)
from tui.state.session_state import SessionState
from tui.state.workbench_state import WorkbenchState


def logged(*events: Any, run_id: str | None = None) -> list[LogEntry]:
    return [
        LogEntry(session_id="s", seq=seq, at_us=1000 * seq, run_id=run_id, event=event)
        for seq, event in enumerate(events, start=1)
    ]


def some(*prompts: str) -> tuple[Example, ...]:
    return tuple(Example(prompt=prompt, polarity="positive") for prompt in prompts)


def set_to(*prompts: str) -> ExamplesSet:
    return ExamplesSet(examples=some(*prompts), content_hash=content_hash(some(*prompts)))


def folded(*events: Any) -> SessionState:
    kept = SessionState()
    for entry in logged(*events):
        assert kept.fold(entry)
    return kept


def test_a_step_makes_that_version_current_and_a_change_after_it_is_a_new_one() -> None:
    back = ExamplesStepped(by=-1, version=1, content_hash=set_to("a").content_hash)
    kept = folded(set_to("a"), set_to("b"), back)
    assert (kept.examples.version, kept.examples.current) == (1, some("a"))
    assert kept.examples.content_hash == set_to("a").content_hash
    kept = folded(set_to("a"), set_to("b"), back, set_to("c"))
    assert (kept.examples.version, kept.examples.current) == (3, some("c"))
    assert SessionState().examples.current == ()


def test_a_step_to_a_version_the_log_never_set_changes_nothing() -> None:
    kept = folded(set_to("a"), ExamplesStepped(by=-1, version=9, content_hash="x"))
    assert kept.examples.version == 1
    assert kept.examples.current == some("a")


def test_examples_that_stay_are_kept_once() -> None:
    kept = folded(set_to("a", "b"), set_to("a", "c"))
    assert kept.examples.versions[0][0] is kept.examples.versions[1][0]


def test_names_tags_notes_circuits_and_the_trash() -> None:
    kept = folded(
        SessionCreated(name="one", model="toy", task="ioi"),
        SessionRenamed(name="two"),
        TagsSet(tags=("a", "b")),
        NoteWritten(note_id="n1", text="first", head=(2, 3)),
        NoteWritten(note_id="n2", text="second"),
        NoteWritten(note_id="n1", text="first, better", head=(2, 3)),
        NoteRemoved(note_id="n2"),
        CircuitSaved(name="c", heads=((0, 1),), source="cut"),
        CircuitSaved(name="d", heads=((1, 1),), source="cut"),
        CircuitSaved(name="c", heads=((0, 2),), source="union"),
        CircuitDeleted(name="d"),
        SessionTrashed(),
    )
    assert (kept.name, kept.tags, kept.trashed) == ("two", ("a", "b"), True)
    assert [(note.text, note.head, note.at_us) for note in kept.notes.values()] == [("first, better", (2, 3), 6000)]
    assert [(circuit.heads, circuit.source) for circuit in kept.circuits.values()] == [(((0, 2),), "union")]
    assert not folded(SessionTrashed(), SessionRestored()).trashed
    imported = SessionImported(bundle_sha256="ab", from_session="s0", headcode="0.1.0")
    assert folded(imported).imported == imported
    beside = SessionImported(bundle_sha256="ab", from_session="s0", headcode="0.1.0", name="two 2")
    kept = folded(SessionRenamed(name="two"), SessionTrashed(), beside)
    assert (kept.name, kept.trashed) == ("two 2", False)


def test_the_bench_follows_names_examples_and_verdicts() -> None:
    state = WorkbenchState(model="toy", task="ioi")
    state.session_id = "s"
    state.fold(
        logged(
            SessionCreated(name="one", model="other", task=None),
            SessionRenamed(name="two"),
            set_to("a"),
            set_to("b"),
            ExamplesStepped(by=-1, version=1, content_hash=set_to("a").content_hash),
        )
    )
    assert (state.session_name, state.model, state.task, state.last_seq) == ("two", "other", None, 5)
    assert state.examples == some("a")
    verdict = RunVerified(verdict="same", words="bit for bit")
    state.fold(
        [
            LogEntry(session_id="s", seq=6, at_us=6000, run_id="r", event=RunQueued(
                config=ProbeConfig(), model="toy", again="r0")),
            LogEntry(session_id="s", seq=7, at_us=7000, run_id="r", event=verdict),
        ]
    )  # fmt: skip
    assert (state.runs[0].verified, state.runs[0].again) == (verdict, "r0")


def looked(recorded: Any, *looks: ViewChanged) -> tuple[WorkbenchState, list[LogEntry]]:
    """A state on a finished run, and those looks as further entries of its log."""
    host = recorded.host()
    host.add(*recorded.events())
    state = WorkbenchState(model="toy", task="ioi")
    state.session_id = "s-1"
    state.fold(host.entries)
    done = len(host.entries)
    host.add(*looks)
    return state, host.entries[done:]


def test_a_screen_begins_with_the_last_look_that_was_recorded(recorded: Any) -> None:
    state, entries = looked(recorded, ViewChanged(measure="q_value", cut=9), ViewChanged(measure="overlap", cut=7))
    assert state.fold(entries) >= {"grid", "head"}
    assert state.view().cut == 7  # type: ignore[union-attr]
    assert state.measure.id == "overlap"
    assert state.current_look() == ViewChanged(measure="overlap", cut=7)


def test_a_screen_whose_person_acts_keeps_its_own_look(recorded: Any) -> None:
    state, entries = looked(recorded, ViewChanged(measure="q_value", cut=9))
    state.move_cut(1)
    state.fold(entries)
    assert state.view().cut == 6  # type: ignore[union-attr]
    assert state.measure.id == "total_variation"
    assert state.shown.look == ViewChanged(measure="q_value", cut=9)  # type: ignore[union-attr]


def test_a_look_this_version_does_not_know_is_no_reason_to_stop(recorded: Any) -> None:
    state, entries = looked(recorded, ViewChanged(measure="aura", cut=-4))
    state.fold(entries)
    assert state.measure.id == "total_variation"
    assert state.view().cut == 1  # type: ignore[union-attr]
