"""Requests that list, search, create, describe and delete sessions."""

from engine.examples import Example
from sessions.protocol.base import Message, Request
from sessions.rows import NoteRow, SearchHit, SessionDetail, SessionRow


class ListSessions(Request, tag="list_sessions", frozen=True, kw_only=True):
    """List sessions. Answered by SessionsAnswer."""

    limit: int = 50
    tag: str | None = None
    trashed: bool = False
    """Only the sessions in the trash."""


class SessionsAnswer(Message, tag="sessions", frozen=True, kw_only=True):
    """Sessions, the most recently changed first."""

    sessions: tuple[SessionRow, ...]


class AdoptFirstSession(Request, tag="adopt_first_session", frozen=True, kw_only=True):
    """Import the recorded session that comes with Headcode, if the store never had a session.

    Answered by SessionsAnswer, with the sessions that there are then; empty if there was none and the recording cannot
    be used.
    """

    limit: int = 50


class SearchSessions(Request, tag="search_sessions", frozen=True, kw_only=True):
    """Find sessions that have every word in name, tags, notes, prompts, model or task.

    Answered by SearchResults.
    """

    text: str
    limit: int = 50


class SearchResults(Message, tag="found", frozen=True, kw_only=True):
    """The sessions that were found."""

    hits: tuple[SearchHit, ...]
    """The best match first."""


class ShowSession(Request, tag="show_session", frozen=True, kw_only=True):
    """Return a session with its runs and notes. Answered by SessionDetailAnswer."""

    session: str


class SessionDetailAnswer(Message, tag="detail", frozen=True, kw_only=True):
    """A session with its runs and notes."""

    detail: SessionDetail


class CreateSession(Request, tag="create_session", frozen=True, kw_only=True):
    """Create a session with examples, or with a task that the first run generates them from.

    Answered by SessionAnswer.
    """

    name: str | None = None
    """None: the host makes a name from the task and the date. A number is added to a name that is taken."""
    model: str
    task: str | None = None
    pairs: int = 0
    """0: as many as a run needs (engine.sample_size), of pairs that the model answers correctly."""
    task_seed: int = 0
    examples: tuple[Example, ...] = ()


class SessionAnswer(Message, tag="session", frozen=True, kw_only=True):
    """A session, as it is after the request."""

    session: SessionRow


class RenameSession(Request, tag="rename_session", frozen=True, kw_only=True):
    """Rename a session; a name that is taken is refused. Answered by SessionAnswer."""

    session: str
    name: str


class ChangeTags(Request, tag="change_tags", frozen=True, kw_only=True):
    """Add and remove tags. Answered by SessionAnswer."""

    session: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class WriteNote(Request, tag="write_note", frozen=True, kw_only=True):
    """Write a note, or change the text of `note`, which keeps its place. Answered by NoteAnswer."""

    session: str
    text: str
    run: str | None = None
    """A number within the session, `latest`, or a run's id."""
    head: tuple[int, int] | None = None
    """A head of that run, or of the newest if none is given."""
    note: str | None = None


class RemoveNote(Request, tag="remove_note", frozen=True, kw_only=True):
    """Remove a note. Answered by NoteAnswer with its last text."""

    session: str
    note: str


class NoteAnswer(Message, tag="note", frozen=True, kw_only=True):
    """A note and its session."""

    note: NoteRow
    session: SessionRow


class TrashSession(Request, tag="trash_session", frozen=True, kw_only=True):
    """Move a session to the trash; refused while it has an unfinished run. Answered by SessionAnswer."""

    session: str


class RestoreSession(Request, tag="restore_session", frozen=True, kw_only=True):
    """Take a session out of the trash; a number is added to its name if that is taken.

    Answered by SessionAnswer.
    """

    session: str


class DiscardSession(Request, tag="discard_session", frozen=True, kw_only=True):
    """Delete a session that was never used; leave any other unchanged. Answered by SessionsRemoved.

    The client that created the session sends this after its input was refused, or after it was left without an example,
    so that nothing is left behind.
    """

    session: str
    edited: bool = False
    """Also if its examples were edited, provided that none is left and nothing was run."""


class EmptyTrash(Request, tag="empty_trash", frozen=True, kw_only=True):
    """Delete sessions in the trash permanently. Answered by SessionsRemoved."""

    sessions: tuple[str, ...] = ()
    """Empty: all sessions in the trash."""


class SessionsRemoved(Message, tag="emptied", frozen=True, kw_only=True):
    """The sessions that were deleted."""

    sessions: tuple[SessionRow, ...]
    n_bytes: int
    """The size of the files outside the store that were deleted with them."""
