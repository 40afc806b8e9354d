"""What several commands about sessions say in the same words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sessions.rows import NoteRow


def split_run(text: str) -> tuple[str, int | None]:
    """Session and run number of NAME/2; no number where none is given."""
    name, slash, number = text.rpartition("/")
    if slash and number.isdecimal():
        return name, int(number)
    return text, None


def print_notes(notes: "Sequence[NoteRow]") -> None:
    """Notes with their places, times and ids."""
    from tui.output.console import print_line
    from tui.terminal.times import moment

    for each in notes:
        print_line(f"note on {format_note_place(each)}  {moment(each.written_us)}  {each.note_id}")
        for line in each.text.split("\n"):
            print_line(f"  {line}")


def format_tags(tags: Sequence[str]) -> str:
    return " ".join(f"#{each}" for each in tags)


def format_note_place(note: "NoteRow") -> str:
    """What a note speaks of: the session, run 2, head 9.6 of run 2."""
    if note.run_id is None:
        return "the session"
    run = f"run {note.run_number}"
    return run if note.layer is None else f"head {note.layer}.{note.head} of {run}"
