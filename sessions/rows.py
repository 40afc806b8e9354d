"""What the store answers with: frozen rows, one class per question."""

from typing import Any, Literal

import msgspec

from engine.config import ProbeConfig
from engine.errors import Failure
from engine.results import ModelInfo
from sessions.events import RunState, RunVerified


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    session_id: str
    name: str
    model: str
    task: str | None
    created_us: int
    updated_us: int
    n_runs: int
    n_positive: int
    """Enabled examples of the newest example set."""
    n_negative: int
    tags: tuple[str, ...] = ()
    trashed_us: int | None = None
    """When it was put into the trash; None: it is not there."""


class NoteRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wrote on a session, on a run, or on a head of a run."""

    note_id: str
    run_id: str | None
    run_number: int | None
    layer: int | None
    head: int | None
    text: str
    written_us: int
    """When it was last changed."""


class SearchMatch(msgspec.Struct, frozen=True, kw_only=True):
    """Where a search found its words in a session, and the piece of text around them."""

    where: str
    """name | tag | note | prompt | model | task"""
    text: str
    more: int = 0
    """How many other texts of that kind match, too."""


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """A session that has every word that was searched for."""

    session: SessionRow
    matches: tuple[SearchMatch, ...]
    """The best kind first."""


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    run_id: str
    session_id: str
    number: int
    """Counted from 1 within the session: how a person names it."""
    state: RunState
    model: str
    model_info: ModelInfo | None
    """None until the model was loaded."""
    task: str | None
    config: ProbeConfig
    queued_us: int
    started_us: int | None
    ended_us: int | None
    failure: Failure | None
    verified: RunVerified | None = None
    """What came out when it was last done again."""


class SessionDetail(msgspec.Struct, frozen=True, kw_only=True):
    session: SessionRow
    runs: tuple[RunRow, ...]
    """Newest first."""
    last_seq: int
    notes: tuple[NoteRow, ...] = ()
    """Oldest first."""


class FileGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of thing that collects on the disk."""

    kind: str
    """activations | weights | spool | fetches | parts | logs | set aside | copies | repairs | trash"""
    about: str
    """What goes of it, in words."""
    path: str
    n: int
    n_bytes: int
    """All that is there, the part that stays included."""
    goes: int
    goes_bytes: int


class SqlTable(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a question in SQL."""

    columns: tuple[str, ...]
    """Each name once."""
    types: tuple[str, ...]
    """As DuckDB calls them."""
    rows: tuple[list[Any], ...]
    """Values as JSON holds them; no infinities."""
    cut: str
    """What of a longer answer this is, in words; empty: all of it."""
    seconds: float


class HeadCodes(msgspec.Struct, frozen=True, kw_only=True):
    """One head's code on every example of a run, in the order of the run's examples."""

    run_id: str
    layer: int
    head: int
    seed: int
    """The seed itself, not its index."""
    codes: tuple[int, ...]


class CircuitRow(msgspec.Struct, frozen=True, kw_only=True):
    """Heads kept under a name."""

    name: str
    session_id: str
    session: str
    """Its name."""
    run_id: str | None
    """The run it was cut from, as far as it was one."""
    heads: tuple[tuple[int, int], ...]
    source: str
    kept_us: int


class ComparisonChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Something a run can be held against."""

    reference: str
    """What GetSides understands."""
    group: str
    title: str
    detail: str


class CurrentJob(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine is at, and when that last reported."""

    job: str
    """run_id, or the id of a measurement, a verification, a request beside the runs."""
    title: str
    """For a person: run 2 of mine; a person's own names are in it as they wrote them."""
    stage: str
    """Empty before its first."""
    done: int
    total: int
    unit: str
    run_id: str
    """The run that it is, measures or verifies; empty for what is asked beside the runs."""
    heard_us: int
    """When it last reported, or was begun."""
    silent: bool
    """It has reported nothing for longer than jobs do that go well."""


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    version: str
    protocol: int
    store: str
    store_bytes: int
    uptime_s: float
    clients: int
    worker_pid: int | None
    worker_state: str
    """none | starting | warm | busy"""
    worker_model: str | None
    queued: int
    running: str | None
    """run_id"""
    idle_exit_s: float | None
    """Seconds until the host leaves by itself if nothing happens; None while something does."""
    socket: str = ""
    """Where it listens."""
    trouble: str = ""
    """Why nothing more is recorded, and what to do; empty while all is well."""
    at_work: CurrentJob | None = None
    """What everything else waits for; None while the engine has nothing to do."""


MarkerKind = Literal["edit", "run", "cut", "note", "kept"]
"""kept: a name, tags, a circuit."""


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a session worth jumping to."""

    seq: int
    at_us: int
    kind: MarkerKind
    words: str
    """What happened; people's own texts are in it as they wrote them."""
    run_id: str | None
    number: int | None
    """The run's, within the session."""
    asked: bool = False
    """Whether a run was asked for."""
    ends: bool = False
    """Whether the run is over with it."""


class LogPause(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time in which nothing was recorded; or, where to_us is the smaller, a clock that was set back."""

    seq: int
    """The entry that ended it."""
    from_us: int
    to_us: int


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay must know of a session beforehand."""

    session: SessionRow
    first_us: int
    last_us: int
    last_seq: int
    markers: tuple[Marker, ...]
    pauses: tuple[LogPause, ...]
    run_id: str | None = None
    """The run, where one was asked for."""


class TableHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One table of a store that was looked into, or saved."""

    name: str
    rows: int | None
    """What it says it holds; None where that cannot be read."""
    kept: int
    """Rows that can be read, or that came over."""
    words: str = ""
    """What is wrong with it, or how it was saved."""


class StoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a look into a store's file, or its repair, found."""

    store: str
    sound: bool
    """Nothing is damaged; after a repair: nothing is lost."""
    tables: tuple[TableHealth, ...] = ()
    words: str = ""
    network: str | None = None
    """The kind of network file system it lies on; None: a disk of this machine, as far as can be told."""
    repaired: str | None = None
    """The new store with what could be saved."""
