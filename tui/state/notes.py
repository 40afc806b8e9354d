"""Notes as the screen sees them: which stand at a place, and which of them a person goes on writing."""

from collections.abc import Iterable
from typing import Literal

from tui.state.session_state import Note
from tui.state.workbench_state import Bench

Place = Literal["head", "run", "session"]


def notes_at(bench: Bench, place: Place) -> list[Note]:
    """The notes on the head at the cursor in the run that is shown, on that run, or on the session; newest first."""
    run = bench.shown
    if place != "session" and run is None:
        return []
    wanted_run = None if place == "session" or run is None else run.run_id
    head = tuple(bench.cursor) if place == "head" else None
    return newest(note for note in bench.kept.notes.values() if (note.run_id, note.head) == (wanted_run, head))


def elsewhere(bench: Bench) -> list[Note]:
    """Notes on the head at the cursor in other runs of the session."""
    run = bench.shown
    here = run.run_id if run is not None else None
    notes = bench.kept.notes.values()
    return newest(note for note in notes if note.head == tuple(bench.cursor) and note.run_id != here)


def newest(notes: Iterable[Note]) -> list[Note]:
    return sorted(notes, key=lambda note: (-note.at_us, note.note_id))


def place_words(bench: Bench, place: Place) -> str:
    """What a note at that place speaks of."""
    run = bench.shown
    number = f"run {run.number}" if run is not None else "the session"
    return {"head": f"head {bench.cursor} of {number}", "run": number, "session": "the session"}[place]


def place_at_hand(bench: Bench, wanted: Place) -> Place:
    """The place that is meant: a head needs scores, a run needs to be there."""
    if wanted == "head" and (bench.shown is None or bench.view() is None):
        wanted = "run"
    return "session" if wanted == "run" and bench.shown is None else wanted
