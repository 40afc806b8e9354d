"""Notes at a place (head, run or session), and which note is edited next."""

from collections.abc import Iterable
from typing import Literal

from tui.state.node_words import name_node
from tui.state.session_state import SessionNote
from tui.state.workbench_state import WorkbenchState

Place = Literal["head", "run", "session"]


def list_notes_at(state: WorkbenchState, place: Place) -> list[SessionNote]:
    """Return the notes on the current head in the shown run, on that run, or on the session; newest first."""
    run = state.shown
    if place != "session" and run is None:
        return []
    wanted_run = None if place == "session" or run is None else run.run_id
    head = tuple(state.cursor) if place == "head" else None
    return sort_newest_first(
        note for note in state.session.notes.values() if (note.run_id, note.head) == (wanted_run, head)
    )


def list_notes_in_other_runs(state: WorkbenchState) -> list[SessionNote]:
    """Return the notes on the current head in other runs of the session."""
    run = state.shown
    here = run.run_id if run is not None else None
    notes = state.session.notes.values()
    return sort_newest_first(note for note in notes if note.head == tuple(state.cursor) and note.run_id != here)


def sort_newest_first(notes: Iterable[SessionNote]) -> list[SessionNote]:
    """Return the notes, newest first."""
    return sorted(notes, key=lambda note: (-note.at_us, note.note_id))


def format_place(state: WorkbenchState, place: Place) -> str:
    """Format the place of a note."""
    run = state.shown
    number = f"run {run.number}" if run is not None else "the session"
    return {"head": f"{name_node(state.cursor)} of {number}", "run": number, "session": "the session"}[place]


def resolve_place(state: WorkbenchState, wanted: Place) -> Place:
    """Return the place if it exists, else the next larger one: a head needs scores, a run must exist."""
    if wanted == "head" and (state.shown is None or state.view() is None):
        wanted = "run"
    return "session" if wanted == "run" and state.shown is None else wanted
