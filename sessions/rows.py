"""Define the frozen rows that the store returns, one class per query."""

from typing import Any, Literal

import msgspec

from engine.config import ProbeConfig
from engine.errors import Failure
from engine.results import ModelInfo
from sessions.events import RunState, RunVerified


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session as lists show it."""

    session_id: str
    name: str
    model: str
    task: str | None
    created_us: int
    updated_us: int
    n_runs: int
    n_positive: int
    """Enabled examples of the newest example set; of the newest run where, as in sweeps, runs have their own."""
    n_negative: int
    tags: tuple[str, ...] = ()
    trashed_us: int | None = None
    """When it was moved to the trash; None: it is not in the trash."""


class NoteRow(msgspec.Struct, frozen=True, kw_only=True):
    """A note on a session, on a run, or on a head of a run."""

    note_id: str
    run_id: str | None
    run_number: int | None
    layer: int | None
    head: int | None
    text: str
    written_us: int
    """When it was last changed."""


class SearchMatch(msgspec.Struct, frozen=True, kw_only=True):
    """Where a search found its words in a session, with an excerpt of the text around them."""

    where: str
    """name | tag | run | note | prompt | model | task"""
    text: str
    more: int = 0
    """Number of other texts of that kind that match."""


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """A session that contains every word of a search."""

    session: SessionRow
    matches: tuple[SearchMatch, ...]
    """The best kind first."""


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its state."""

    run_id: str
    session_id: str
    number: int
    """Counted from 1 within the session; the number that users see."""
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
    """The result of its last verification."""
    name: str = ""
    """What the user calls it; empty: by its number."""
    tags: tuple[str, ...] = ()
    n_positive: int | None = None
    """Examples that it used; None until it finished."""
    n_negative: int | None = None
    examples_hash: str | None = None
    """The content of its examples; None until they are known."""


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a list of runs of several sessions."""

    run: RunRow
    session: str
    """The session's name."""
    before: RunRow | None = None
    """The run before it in its session, if that was asked for and there is one."""


class SessionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A session with its runs and notes."""

    session: SessionRow
    runs: tuple[RunRow, ...]
    """Newest first."""
    last_seq: int
    notes: tuple[NoteRow, ...] = ()
    """Oldest first."""


SweepUnitState = Literal["waiting", "queued", "running", "done", "stopped", "failed", "interrupted"]
"""waiting: it has no run yet; the others are those of its run."""


class SweepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep as lists show it."""

    sweep_id: str
    name: str
    planned_us: int
    """When it was planned or extended last."""
    units: int
    done: int
    failed: int
    """With a reason; not those that were stopped or interrupted."""
    running: int
    interrupted: int
    """Stopped, or interrupted by the end of the host or of a worker."""
    sessions: int

    @property
    def left(self) -> int:
        """Units without a finished run."""
        return self.units - self.done


class SweepUnitRow(msgspec.Struct, frozen=True, kw_only=True):
    """A unit of a sweep and its run: the newest that is done, else the newest."""

    key: str
    labels: tuple[tuple[str, str], ...]
    """(axis, value), in the order of the axes."""
    model: str
    draw: int
    """Seed of the task's examples."""
    run_id: str | None
    session_id: str
    """Of the run; without one, of the plan."""
    session: str
    """The name of the run's session; empty without a run."""
    number: int | None
    state: SweepUnitState
    failure: Failure | None
    seconds: float | None
    attempts: int
    """Runs of this unit, in any state."""


class FileGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of file that accumulates on the disk."""

    kind: str
    """activations | weights | spool | fetches | parts | logs | set aside | copies | repairs | trash"""
    about: str
    """Describes what can be deleted."""
    path: str
    n: int
    n_bytes: int
    """The size of all files, including those that stay."""
    n_deletable: int = msgspec.field(name="goes")
    deletable_bytes: int = msgspec.field(name="goes_bytes")


class SqlTable(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an SQL query."""

    columns: tuple[str, ...]
    """All different."""
    types: tuple[str, ...]
    """DuckDB's names of the types."""
    rows: tuple[list[Any], ...]
    """Values that JSON can hold; no infinities."""
    cut: str
    """Describes how a longer result was cut; empty: it is complete."""
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
    """Heads saved under a name."""

    name: str
    session_id: str
    session: str
    """The session's name."""
    run_id: str | None
    """The run it was selected from, if there was exactly one."""
    heads: tuple[tuple[int, int], ...]
    source: str
    kept_us: int


class ComparisonChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a run can be compared with."""

    reference: str
    """A name that GetSides resolves."""
    group: str
    title: str
    detail: str


class CurrentJob(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's current job and the time of its last report."""

    job: str
    """A run_id, or the id of a measurement, a verification or a side request."""
    title: str
    """For users, such as "run 2 of mine"; contains user-written names unchanged."""
    stage: str
    """Empty before its first stage."""
    done: int
    total: int
    unit: str
    run_id: str
    """The run that is executed, measured or verified; empty for a side request."""
    heard_us: int
    """Time of the last report, or of the start."""
    silent: bool
    """It has reported nothing for longer than a healthy job does."""


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the host."""

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
    """A run_id."""
    idle_exit_s: float | None
    """Seconds until the host exits by itself if nothing happens; None while it has work or clients."""
    socket: str = ""
    """The path of the socket."""
    trouble: str = ""
    """Why nothing is recorded any more, and what to do; empty: no problem."""
    at_work: CurrentJob | None = None
    """What all other work waits for; None while the engine is idle."""


MarkerKind = Literal["edit", "run", "cut", "note", "kept"]
"""kept: a name, tags or a circuit."""


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a session worth jumping to."""

    seq: int
    at_us: int
    kind: MarkerKind
    words: str
    """Describes what happened; contains user-written texts unchanged."""
    run_id: str | None
    number: int | None
    """The run's number within the session."""
    asked: bool = False
    """Whether a run was queued."""
    ends: bool = False
    """Whether the run ended."""


class LogPause(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time without entries; if to_us is the smaller, a clock that was set back."""

    seq: int
    """The entry that ended it."""
    from_us: int
    to_us: int


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay needs to know about a session in advance."""

    session: SessionRow
    first_us: int
    last_us: int
    last_seq: int
    markers: tuple[Marker, ...]
    pauses: tuple[LogPause, ...]
    run_id: str | None = None
    """The run, if one was requested."""


class TableHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one table of a store that was checked or repaired."""

    name: str
    rows: int | None
    """The row count that the table's metadata states; None if that cannot be read."""
    kept: int
    """Rows that can be read, or that were saved."""
    words: str = ""
    """Describes the damage, or how the table was saved."""


class StoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of checking or repairing a store's file."""

    store: str
    sound: bool
    """Nothing is damaged; after a repair: nothing is lost."""
    tables: tuple[TableHealth, ...] = ()
    words: str = ""
    network: str | None = None
    """The kind of network file system it is on; None: a local disk, as far as can be told."""
    repaired: str | None = None
    """The new store with what could be saved."""


class AtlasRow(msgspec.Struct, frozen=True):
    """One stored atlas."""

    key: str
    """Hash of all that decides its numbers."""
    model: str
    asked: str
    """The model as the user named it."""
    identity: str
    corpus: str
    digest: str
    """sha256 of the corpus."""
    tokens: int
    passages: int
    seconds: float
    made_us: int
    n_bytes: int
    """In the store."""
