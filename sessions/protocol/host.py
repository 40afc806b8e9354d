"""Asking the host about itself, and what belongs to the whole store."""

from sessions.protocol.base import PROTOCOL, Message, Request
from sessions.rows import FileGroup, HostStatus, SqlTable


class Hello(Request, tag="hello", frozen=True, kw_only=True):
    """The first thing said on a connection."""

    version: str
    protocol: int = PROTOCOL


class Welcome(Message, tag="welcome", frozen=True, kw_only=True):
    version: str
    pid: int
    store: str
    protocol: int = PROTOCOL
    notice: str = ""
    """Something about this host or store that every face should show."""


class GetStatus(Request, tag="status", frozen=True, kw_only=True):
    pass


class FollowEngine(Request, tag="follow_engine", frozen=True, kw_only=True):
    """How the engine is. Answered by Status, beside other requests: as soon as it is in another state than this, or
    after some seconds all the same."""

    seen: str = ""
    """The `worker_state` of the last answer; empty: answer at once."""
    job: str = ""
    """What it was at by the last answer; empty: nothing."""
    silent: bool = False
    """Whether that had reported nothing for long."""


class StatusAnswer(Message, tag="status", frozen=True, kw_only=True):
    status: HostStatus


class WarmUp(Request, tag="warm_up", frozen=True, kw_only=True):
    """Start the worker now, so that torch loads while the person reads."""


class EndWork(Request, tag="end_work", frozen=True, kw_only=True):
    """End the engine that is at this job, whoever asked for it; what waits goes on with a new one. Answered by Status
    as it was before."""

    job: str = ""
    """Empty: whatever it is at."""


class StopHost(Request, tag="stop_host", frozen=True, kw_only=True):
    """End the host; runs under way are recorded as interrupted."""


class QuerySql(Request, tag="ask_sql", frozen=True, kw_only=True):
    """Answered by SqlAnswer. An empty question is answered with the views and their columns."""

    sql: str
    limit: int = 1_000


class SqlAnswer(Message, tag="table", frozen=True, kw_only=True):
    table: SqlTable


class CollectGarbage(Request, tag="collect_garbage", frozen=True, kw_only=True):
    """Answered by GarbageReport: what no session needs."""

    remove: bool = False
    """Remove it, and say what was removed; else only say what is there."""
    cache_days: float = 30
    cache_bytes: int | None = None


class GarbageReport(Message, tag="garbage", frozen=True, kw_only=True):
    piles: tuple[FileGroup, ...]
    """Kinds of which there is nothing are left out."""
    removed: bool
    removed_bytes: int
