"""Sessions: found, made, named, noted, thrown away."""

from engine.examples import Example
from sessions.protocol.base import Message, Request
from sessions.rows import NoteRow, SearchHit, SessionDetail, SessionRow


class ListSessions(Request, tag="list_sessions", frozen=True, kw_only=True):
    limit: int = 50
    tag: str | None = None
    trashed: bool = False
    """Those in the trash, and no others."""


class SessionsAnswer(Message, tag="sessions", frozen=True, kw_only=True):
    sessions: tuple[SessionRow, ...]


class SearchSessions(Request, tag="search_sessions", frozen=True, kw_only=True):
    """Answered by SearchResults: sessions that have every word in name, tags, notes, prompts, model or task."""

    text: str
    limit: int = 50


class SearchResults(Message, tag="found", frozen=True, kw_only=True):
    hits: tuple[SearchHit, ...]
    """The best first."""


class ShowSession(Request, tag="show_session", frozen=True, kw_only=True):
    session: str


class SessionDetailAnswer(Message, tag="detail", frozen=True, kw_only=True):
    detail: SessionDetail


class CreateSession(Request, tag="create_session", frozen=True, kw_only=True):
    """Answered by SessionRow. Examples, or a task to make them from at the first run."""

    name: str | None = None
    """None: the host makes one up from the task and the date; a taken name gets a number."""
    model: str
    task: str | None = None
    pairs: int = 0
    """0: as many as a run needs (engine.sample_size), of pairs the model can do."""
    task_seed: int = 0
    examples: tuple[Example, ...] = ()


class SessionAnswer(Message, tag="session", frozen=True, kw_only=True):
    session: SessionRow


class RenameSession(Request, tag="rename_session", frozen=True, kw_only=True):
    """Answered by SessionAnswer; a taken name is refused."""

    session: str
    name: str


class ChangeTags(Request, tag="change_tags", frozen=True, kw_only=True):
    """Answered by SessionAnswer."""

    session: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class WriteNote(Request, tag="write_note", frozen=True, kw_only=True):
    """Answered by NoteAnswer. With `note`, that note's text is changed and its place stays."""

    session: str
    text: str
    run: str | None = None
    """A number within the session, `latest`, or a run's id."""
    head: tuple[int, int] | None = None
    """Of that run, or of the newest where none is given."""
    note: str | None = None


class RemoveNote(Request, tag="remove_note", frozen=True, kw_only=True):
    """Answered by NoteAnswer: what it said."""

    session: str
    note: str


class NoteAnswer(Message, tag="note", frozen=True, kw_only=True):
    note: NoteRow
    session: SessionRow


class TrashSession(Request, tag="trash_session", frozen=True, kw_only=True):
    """Answered by SessionAnswer. One with a run under way is refused."""

    session: str


class RestoreSession(Request, tag="restore_session", frozen=True, kw_only=True):
    """Answered by SessionAnswer; where its name is taken meanwhile, it gets a number."""

    session: str


class DiscardSession(Request, tag="discard_session", frozen=True, kw_only=True):
    """Removes a session for good if nothing came of it, else leaves it as it is. Answered by Emptied.

    For whoever made it: what was refused as wrong input leaves nothing behind.
    """

    session: str


class EmptyTrash(Request, tag="empty_trash", frozen=True, kw_only=True):
    """Removes sessions in the trash for good. Answered by SessionsRemoved."""

    sessions: tuple[str, ...] = ()
    """Empty: all that are there."""


class SessionsRemoved(Message, tag="emptied", frozen=True, kw_only=True):
    sessions: tuple[SessionRow, ...]
    n_bytes: int
    """Of files beside the store that went with them."""
