"""Text shared by several commands about sessions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.nodes import NodeId

if TYPE_CHECKING:
    from sessions.rows import NoteRow


def split_run(text: str) -> tuple[str, int | None]:
    """Split NAME/2 into session and run number; None without a number."""
    name, slash, number = text.rpartition("/")
    if slash and number.isdecimal():
        return name, int(number)
    return text, None


def print_notes(notes: "Sequence[NoteRow]") -> None:
    """Print notes with their places, times and ids."""
    from tui.output.console import print_line
    from tui.terminal.times import moment

    for each in notes:
        print_line(f"note on {format_note_place(each)}  {moment(each.written_us)}  {each.note_id}")
        for line in each.text.split("\n"):
            print_line(f"  {line}")


def format_tags(tags: Sequence[str]) -> str:
    """Format tags as #one #two."""
    return " ".join(f"#{each}" for each in tags)


def format_note_place(note: "NoteRow") -> str:
    """Format a note's place: the session, run 2, head 9.6 of run 2, m8 of run 2."""
    if note.run_id is None:
        return "the session"
    run = f"run {note.run_number}"
    if note.layer is None or note.head is None:
        return run
    node = NodeId(note.layer, note.head)
    return f"{'head ' if node.is_head else ''}{node} of {run}"
