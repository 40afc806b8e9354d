"""Text shared by several commands about sessions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.nodes import NodeId

if TYPE_CHECKING:
    from sessions.client.connection import HostClient
    from sessions.rows import NoteRow


def split_run(text: str) -> tuple[str, int | None]:
    """Split NAME/2 into session and run number; None without a number."""
    name, slash, number = text.rpartition("/")
    if slash and number.isdecimal():
        return name, int(number)
    return text, None


async def find_session_or_run(client: "HostClient", text: str) -> tuple[str, int | None]:
    """Return the session and the run number that a text names: NAME, NAME/2, or the name or id of a run.

    Raises the host's refusal if it names neither.
    """
    from sessions.errors import Refusal
    from sessions.protocol import FindRun, RunAnswer, SessionDetailAnswer, ShowSession

    name, number = split_run(text)
    if number is not None:
        return name, number
    try:
        await client.ask(ShowSession(session=text), SessionDetailAnswer)
    except Refusal as no_session:
        try:
            run = (await client.ask(FindRun(run=text), RunAnswer)).run
        except Refusal as no_run:
            # In SESSION/RUN the session exists, so the error is about the run.
            raise (no_run if "/" in text else no_session) from None
        return run.session_id, run.number
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
