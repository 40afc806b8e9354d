"""`headcode sessions rename|tag|note|search|delete|restore|empty`: change and search whole sessions."""

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from tui.commands.node_names import parse_one_node
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from sessions.protocol import AnyRequest
    from sessions.rows import SearchHit, SessionRow

SessionArgument = Annotated[str, typer.Argument(metavar="SESSION", help="Name, id or prefix of an id.")]
TagWords = Annotated[list[str] | None, typer.Argument(metavar="[+TAG|-TAG]...", help="+TAG adds, -TAG removes.")]
AddedTags = Annotated[list[str] | None, typer.Option("--add", help="Add this tag; may be given several times.")]
RemovedTags = Annotated[list[str] | None, typer.Option("--remove", help="Remove this tag; may be given several times.")]
_MOST_STDIN = 1 << 20


class TagCommand(TyperCommand):
    """A command that reads `-old` as a tag to remove; only -h and words with -- are options."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own context
        words: list[str] = []
        for word in args:
            if len(word) > 1 and word[0] == "-" and word[1] != "-" and word != "-h":
                words += ["--remove", word[1:]]
            else:
                words.append(word)
        return super().parse_args(ctx, words)


def tags_to_add(words: Sequence[str] | None, add: Sequence[str] | None) -> tuple[str, ...]:
    """Return the tags of +TAG arguments and --add options."""
    return (*(word.removeprefix("+") for word in words or ()), *(add or ()))


def rename(
    session: SessionArgument,
    name: Annotated[str, typer.Argument(help="The new name.")],
    as_json: JsonOption = False,
) -> None:
    """Rename a session."""
    from sessions.protocol import RenameSession

    row = _ask_session(RenameSession(session=session, name=name))
    _tell(row, f"{row.name}  {row.session_id}", as_json=as_json)


def tag(
    session: SessionArgument,
    tags: TagWords = None,
    add: AddedTags = None,
    remove: RemovedTags = None,
    as_json: JsonOption = False,
) -> None:
    """Add and remove tags: headcode sessions tag NAME +ioi -draft. Without tags: show them."""
    from sessions.protocol import ChangeTags
    from tui.headless.wording import format_tags

    row = _ask_session(ChangeTags(session=session, add=tags_to_add(tags, add), remove=tuple(remove or ())))
    _tell(row, f"{row.name}  {format_tags(row.tags) or 'no tags'}", as_json=as_json)


def note(
    session: Annotated[str, typer.Argument(metavar="SESSION[/RUN]", help="Name, id or prefix of an id.")],
    text: Annotated[str | None, typer.Argument(help="The note; - reads stdin. Without text: show the notes.")] = None,
    run: Annotated[str | None, typer.Option(help="On this run: its number, its id, or latest.")] = None,
    head: Annotated[
        str | None, typer.Option(help="On this head, written 9.6, or MLP, m9, of the run or the newest run.")
    ] = None,
    change: Annotated[str | None, typer.Option(metavar="NOTE", help="Replace the text of this note.")] = None,
    remove: Annotated[str | None, typer.Option(metavar="NOTE", help="Remove the note with this id.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write, change, remove or show notes on a session, a run, or a head of a run."""
    from engine.errors import ConfigError
    from sessions.protocol import NoteAnswer, RemoveNote, SessionDetailAnswer, ShowSession, WriteNote
    from tui.headless.host_request import with_host
    from tui.headless.wording import find_session_or_run, format_note_place, print_notes
    from tui.output.console import narrate, print_json, print_line
    from tui.output.node_json import notes_json

    name, number = with_host(lambda client: find_session_or_run(client, session)) if "/" in session else (session, None)
    if number is not None and run is not None:
        raise ConfigError(
            f"{session} already names a run; --run {run} was given, too.", hint="Give NAME/2 or NAME --run 2."
        )
    run = str(number) if number is not None else run
    place = parse_one_node(head) if head is not None else None
    if remove is not None:
        if text is not None or change is not None or run is not None or head is not None:
            raise ConfigError("--remove cannot be combined with text or other options.", hint="Omit them.")
        gone = with_host(lambda client: client.ask(RemoveNote(session=name, note=remove), NoteAnswer))
        if as_json:
            print_json({"schema": "headcode.note/1", "removed": True, "note": notes_json([gone.note])[0]})
        else:
            narrate(f"Removed: {gone.note.text}")
        return
    if text is None and (change is not None or head is not None):
        raise ConfigError("The note has no text.", hint="Give it in quotes, or - to read it from stdin.")
    if text is None:
        detail = with_host(lambda client: client.ask(ShowSession(session=name), SessionDetailAnswer)).detail
        notes = [each for each in detail.notes if run is None or run in (str(each.run_number), each.run_id)]
        if as_json:
            print_json({"schema": "headcode.notes/1", "notes": notes_json(notes)})
        elif notes:
            print_notes(notes)
        else:
            narrate(f"No notes. headcode sessions note {shlex.quote(session)} 'some words' writes one.")
        return
    if change is not None and (run is not None or place is not None):
        raise ConfigError("A changed note stays on its run and head.", hint="Omit --run and --head.")
    words = _stdin() if text == "-" else text
    spot = None if place is None else (place.layer, place.head)
    written = with_host(
        lambda client: client.ask(WriteNote(session=name, text=words, run=run, head=spot, note=change), NoteAnswer)
    )
    if as_json:
        print_json({"schema": "headcode.note/1", "removed": False, "note": notes_json([written.note])[0]})
    else:
        print_line(f"{format_note_place(written.note)}  {written.note.note_id}")


def search(
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="Words; a session must contain all of them.")],
    limit: Annotated[int, typer.Option(help="Maximum number of sessions, best first.", min=1, max=10_000)] = 20,
    as_json: JsonOption = False,
) -> None:
    """Find sessions by words in their names, tags, notes, prompts, models and tasks."""
    print_hits(" ".join(text), find_hits(" ".join(text), limit), as_json=as_json)


def delete(session: SessionArgument, as_json: JsonOption = False) -> None:
    """Move a session to the trash. `restore` brings it back; after 30 days (a setting) it is deleted permanently."""
    from sessions.protocol import TrashSession
    from tui.output.console import narrate

    row = _ask_session(TrashSession(session=session))
    _tell(row, f"{row.name}  {row.session_id}", as_json=as_json)
    if not as_json:
        narrate(f"In the trash. headcode sessions restore {row.session_id} brings it back.")


def restore(session: SessionArgument, as_json: JsonOption = False) -> None:
    """Bring a session back from the trash."""
    from sessions.protocol import RestoreSession

    row = _ask_session(RestoreSession(session=session))
    _tell(row, f"{row.name}  {row.session_id}", as_json=as_json)


def empty(
    sessions: Annotated[
        list[str] | None, typer.Argument(metavar="[SESSION]...", help="Sessions to delete. [default: all in the trash]")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Permanently delete sessions in the trash: events, tables, SAE weights."""
    import msgspec

    from engine.machine.memory import format_bytes
    from sessions.protocol import EmptyTrash, ListSessions, SessionsAnswer, SessionsRemoved
    from tui.headless.host_request import confirm, with_host
    from tui.output.console import narrate, print_json, print_line

    chosen = tuple(sessions or ())
    if not chosen:
        there = with_host(lambda client: client.ask(ListSessions(limit=100_000, trashed=True), SessionsAnswer)).sessions
        if not there and not as_json:
            narrate("The trash is empty.")
            return
        chosen = tuple(row.session_id for row in there)
    what = f"{len(chosen)} session" + ("s" if len(chosen) != 1 else "")
    if chosen and not confirm(f"Permanently delete {what}?", yes=yes):
        raise typer.Abort
    gone: tuple[SessionRow, ...] = ()
    n_bytes = 0
    if chosen:
        answer = with_host(lambda client: client.ask(EmptyTrash(sessions=chosen), SessionsRemoved))
        gone, n_bytes = answer.sessions, answer.n_bytes
    if as_json:
        print_json({"schema": "headcode.emptied/1", "sessions": msgspec.to_builtins(gone), "file_bytes": n_bytes})
        return
    for row in gone:
        print_line(f"{row.name}  {row.session_id}")
    narrate(f"Deleted permanently, with {format_bytes(n_bytes)} of SAE weights.")


# ---- shared with `sessions list` and `sessions show`


def find_hits(text: str, limit: int) -> "tuple[SearchHit, ...]":
    """Return the sessions that contain all words, best first."""
    from sessions.protocol import SearchResults, SearchSessions
    from tui.headless.host_request import with_host

    return with_host(lambda client: client.ask(SearchSessions(text=text, limit=limit), SearchResults)).hits


def print_hits(text: str, hits: "Sequence[SearchHit]", *, as_json: bool) -> None:
    """Print the sessions found, each with its matches."""
    import msgspec

    from tui.output.console import narrate, print_json, print_line

    if as_json:
        print_json({"schema": "headcode.search/1", "text": text, "hits": msgspec.to_builtins(hits)})
        return
    if not hits:
        narrate(f"No session contains {text!r}. headcode sessions list shows all.")
    for hit in hits:
        row = hit.session
        runs = f"{row.n_runs} run" + ("s" if row.n_runs != 1 else "")
        print_line(f"{row.name}  {row.model}  {row.task or '-'}  {runs}  {row.session_id}")
        for match in hit.matches:
            if match.where != "name":
                more = f"  (and {match.more} more)" if match.more else ""
                print_line(f"  {match.where:<6}  {match.text}{more}")


def _ask_session(request: "AnyRequest") -> "SessionRow":
    from sessions.protocol import SessionAnswer
    from tui.headless.host_request import with_host

    return with_host(lambda client: client.ask(request, SessionAnswer)).session


def _tell(row: "SessionRow", words: str, *, as_json: bool) -> None:
    import msgspec

    from tui.output.console import print_json, print_line

    if as_json:
        print_json({"schema": "headcode.session_row/1", "session": msgspec.to_builtins(row)})
    else:
        print_line(words)


def _stdin() -> str:
    from engine.errors import ConfigError

    if sys.stdin.isatty():
        sys.stderr.write("Type the note; Ctrl+D ends it.\n")
    raw = sys.stdin.buffer.read(_MOST_STDIN + 1)
    if len(raw) > _MOST_STDIN:
        raise ConfigError("stdin holds more than 1 MB, too much for a note.", hint="Keep long texts in a file.")
    return raw.decode("utf-8", "replace")
