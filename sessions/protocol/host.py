"""Requests about the host, the engine and the whole store."""

from sessions.protocol.base import PROTOCOL, Message, Request
from sessions.rows import FileGroup, HostStatus, SqlTable


class Hello(Request, tag="hello", frozen=True, kw_only=True):
    """The first request on a connection. Answered by Welcome."""

    version: str
    protocol: int = PROTOCOL


class Welcome(Message, tag="welcome", frozen=True, kw_only=True):
    """What the client needs to know about this host."""

    version: str
    pid: int
    store: str
    protocol: int = PROTOCOL
    notice: str = ""
    """A message about this host or store that every client should show."""


class GetStatus(Request, tag="status", frozen=True, kw_only=True):
    """Return the state of the host. Answered by StatusAnswer."""


class FollowEngine(Request, tag="follow_engine", frozen=True, kw_only=True):
    """Wait for a change of the engine's state.

    Answered by StatusAnswer, concurrently with other requests: as soon as the state differs from this one, or after
    some seconds.
    """

    seen: str = ""
    """The `worker_state` of the last answer; empty: answer at once."""
    job: str = ""
    """The job of the last answer; empty: none."""
    silent: bool = False
    """Whether that job had reported nothing for a long time."""


class StatusAnswer(Message, tag="status", frozen=True, kw_only=True):
    """The state of the host."""

    status: HostStatus


class WarmUp(Request, tag="warm_up", frozen=True, kw_only=True):
    """Start the worker now, so that torch loads while the user reads. Answered by Done."""


class EndWork(Request, tag="end_work", frozen=True, kw_only=True):
    """End the engine that runs this job, whoever requested it; queued work continues on a new one.

    Answered by StatusAnswer with the state before.
    """

    job: str = ""
    """Empty: whatever it is running."""


class StopHost(Request, tag="stop_host", frozen=True, kw_only=True):
    """End the host; unfinished runs are recorded as interrupted. Answered by Done."""


class QuerySql(Request, tag="ask_sql", frozen=True, kw_only=True):
    """Run one SQL query. Answered by SqlAnswer. An empty query returns the views and their columns."""

    sql: str
    limit: int = 1_000


class SqlAnswer(Message, tag="table", frozen=True, kw_only=True):
    """The result of the query."""

    table: SqlTable


class CollectGarbage(Request, tag="collect_garbage", frozen=True, kw_only=True):
    """List files that can be deleted, or delete them. Answered by GarbageReport."""

    remove: bool = False
    """Delete the files and report what was deleted; otherwise only list them."""
    cache_days: float = 30
    cache_bytes: int | None = None


class GarbageReport(Message, tag="garbage", frozen=True, kw_only=True):
    """The files that can be deleted, or were."""

    piles: tuple[FileGroup, ...]
    """Groups without files are left out."""
    removed: bool
    removed_bytes: int
