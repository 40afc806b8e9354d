"""The protocol between a face and the host: JSON lines over a Unix-domain socket."""

from typing import Literal

import msgspec

from engine.config import CauseConfig, ProbeConfig
from engine.errors import Failure
from engine.events import Stage
from engine.examples import Example
from engine.results import CodeWrites, Grade, ModelInfo, PromptTokens
from sessions.bundle_format import Exported, Imported
from sessions.compare import Side
from sessions.log import LogEntry, LookChanged
from sessions.rows import (
    Choice,
    CircuitRow,
    HeadCodes,
    Hit,
    HostStatus,
    NoteRow,
    Pile,
    RunRow,
    SessionDetail,
    SessionRow,
    SqlTable,
    Timeline,
)
from sessions.verify import VerifyReport

PROTOCOL = 1
MAX_LINE_BYTES = 64 << 20


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="ask"):
    """The root of what a client may ask. Sessions are named by id, unique beginning of an id, or name;
    runs by id, unique beginning, or SESSION/NUMBER."""


class Hello(Request, tag="hello", frozen=True, kw_only=True):
    """The first thing said on a connection."""

    version: str
    protocol: int = PROTOCOL


class GetStatus(Request, tag="status", frozen=True, kw_only=True):
    pass


class ListSessions(Request, tag="list_sessions", frozen=True, kw_only=True):
    limit: int = 50
    tag: str | None = None
    trashed: bool = False
    """Those in the trash, and no others."""


class SearchSessions(Request, tag="search_sessions", frozen=True, kw_only=True):
    """Answered by Found: sessions that have every word in name, tags, notes, prompts, model or task."""

    text: str
    limit: int = 50


class RenameSession(Request, tag="rename_session", frozen=True, kw_only=True):
    """Answered by Session; a taken name is refused."""

    session: str
    name: str


class ChangeTags(Request, tag="change_tags", frozen=True, kw_only=True):
    """Answered by Session."""

    session: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class WriteNote(Request, tag="write_note", frozen=True, kw_only=True):
    """Answered by Note. With `note`, that note's text is changed and its place stays."""

    session: str
    text: str
    run: str | None = None
    """A number within the session, `latest`, or a run's id."""
    head: tuple[int, int] | None = None
    """Of that run, or of the newest where none is given."""
    note: str | None = None


class RemoveNote(Request, tag="remove_note", frozen=True, kw_only=True):
    """Answered by Note: what it said."""

    session: str
    note: str


class TrashSession(Request, tag="trash_session", frozen=True, kw_only=True):
    """Answered by Session. One with a run under way is refused."""

    session: str


class RestoreSession(Request, tag="restore_session", frozen=True, kw_only=True):
    """Answered by Session; where its name is taken meanwhile, it gets a number."""

    session: str


class AskSql(Request, tag="ask_sql", frozen=True, kw_only=True):
    """Answered by Table. An empty question is answered with the views and their columns."""

    sql: str
    limit: int = 1_000


class CollectGarbage(Request, tag="collect_garbage", frozen=True, kw_only=True):
    """Answered by Garbage: what no session needs."""

    remove: bool = False
    """Remove it, and say what was removed; else only say what is there."""
    cache_days: float = 30
    cache_bytes: int | None = None


class EmptyTrash(Request, tag="empty_trash", frozen=True, kw_only=True):
    """Removes sessions in the trash for good. Answered by Emptied."""

    sessions: tuple[str, ...] = ()
    """Empty: all that are there."""


class ShowSession(Request, tag="show_session", frozen=True, kw_only=True):
    session: str


class CreateSession(Request, tag="create_session", frozen=True, kw_only=True):
    """Answered by SessionRow. Examples, or a task to make them from at the first run."""

    name: str | None = None
    """None: the host makes one up from the task and the date; a taken name gets a number."""
    model: str
    task: str | None = None
    pairs: int = 10
    task_seed: int = 0
    examples: tuple[Example, ...] = ()


class QueueRun(Request, tag="queue_run", frozen=True, kw_only=True):
    """Answered by RunRow as soon as it is recorded. The run uses the session's newest example set, or its task."""

    session: str = ""
    config: ProbeConfig = ProbeConfig()
    model: str | None = None
    """None: the session's."""
    device: str = "auto"
    trust_remote_code: bool = False
    again: str | None = None
    """That run once more, in its session: its examples, config, model and device; what else is said here is not
    looked at."""


class CancelRun(Request, tag="cancel_run", frozen=True, kw_only=True):
    run: str
    force: bool = False
    """End the worker itself: for one that hangs."""


class SetExamples(Request, tag="set_examples", frozen=True, kw_only=True):
    """A new version of the session's examples, drafts included. Answered by SessionRow."""

    session: str
    examples: tuple[Example, ...]
    over: str | None = None
    """Content hash of the set the change was made on; refused where another is current. None: whatever there is."""


class StepExamples(Request, tag="step_examples", frozen=True, kw_only=True):
    """Undo (-1) or redo (1) of the session's examples. Answered by SessionRow."""

    session: str
    by: Literal[-1, 1]


class GetExamples(Request, tag="get_examples", frozen=True, kw_only=True):
    """Answered by ExampleSet."""

    session: str


class MakeExamples(Request, tag="make_examples", frozen=True, kw_only=True):
    """The examples of a ready-made task, for the session's model. Recorded nowhere. Answered by Made."""

    session: str
    task: str
    pairs: int = 10
    task_seed: int = 0


class GradeExamples(Request, tag="grade_examples", frozen=True, kw_only=True):
    """What the session's model makes of these examples. Recorded nowhere. Answered by Grades, beside other requests.

    A newer request of the same desk ends this one: it is refused as Cancelled.
    """

    session: str
    examples: tuple[Example, ...]
    position: str = "mean"
    """The policy by which tokens are marked as read."""
    desk: str = ""
    """Who asks, in a name of their own; empty: nobody's request is replaced."""


class LookAtHead(Request, tag="look_at_head", frozen=True, kw_only=True):
    """One head of a run on one of its prompts, by the run's model. Recorded nowhere. Answered by HeadLook, beside other
    requests."""

    run: str
    layer: int
    head: int
    example: int
    """Counted from 0 in the run's set."""
    seed: int | None = None
    """Whose codes; None: the run's first."""


class Subscribe(Request, tag="subscribe", frozen=True, kw_only=True):
    """Answered by Subscribed, then Pushed batches: all entries after `after_seq`, old ones first, then live ones.

    A later Refused with the same id ends it: what happens can no longer be recorded.
    """

    session: str
    after_seq: int = 0
    run: str | None = None
    """Only entries of this run (and of the session itself)."""


class Unsubscribe(Request, tag="unsubscribe", frozen=True, kw_only=True):
    """No more of what was subscribed to. Answered by Done."""

    subscription: int
    """The id of the Ask that subscribed."""


class GetCodes(Request, tag="get_codes", frozen=True, kw_only=True):
    run: str
    layer: int
    head: int
    seed: int | None = None
    """None: the run's first."""


class ReadLog(Request, tag="read_log", frozen=True, kw_only=True):
    """A piece of a session's log, for replay. Answered by LogPiece; ask again after its `up_to` for more."""

    session: str
    after_seq: int = 0
    up_to: int | None = None
    """None: all there is."""
    up_to_us: int | None = None
    """At most what was recorded by that time."""
    condensed: bool = False
    """Without the entries that later ones, up to `up_to`, replace wholly: folding gives the same picture."""
    most_bytes: int = 1 << 20
    """0: no entries, only `goal`. Else at least one, however large."""


class ReadTimeline(Request, tag="read_timeline", frozen=True, kw_only=True):
    """Answered by Times."""

    session: str
    """Or a run; the answer then says which."""
    pause_us: int = 3_000_000
    """Stretches without an entry that are longer are listed."""


class SetLook(Request, tag="set_look", frozen=True, kw_only=True):
    """A person looks at this run by another measure, or with another cut, from now on. Answered by Done."""

    run: str
    look: LookChanged


class WarmUp(Request, tag="warm_up", frozen=True, kw_only=True):
    """Start the worker now, so that torch loads while the person reads."""


class ExportSession(Request, tag="export_session", frozen=True, kw_only=True):
    """Write the session into one file. Answered by BundleExported."""

    session: str
    path: str
    """The whole path: the host stands elsewhere."""
    sae: bool = False
    """With the SAE weights of its runs, as far as they are there."""
    force: bool = False
    """Replace a file that is there."""


class ImportBundle(Request, tag="import_bundle", frozen=True, kw_only=True):
    """Take in a session from such a file. Answered by BundleImported."""

    path: str
    name: str | None = None
    """What to call it here; None: its own name, with a number where that is taken."""
    as_copy: bool = False
    """Under ids of its own, beside the session it may be here as already."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: Literal["whole", "number", "yes"]
    """yes: true or false."""


class WriteTable(Request, tag="write_table", frozen=True, kw_only=True):
    """Write these rows as a Parquet file. Answered by Done."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[bool | int | float | None, ...], ...]
    path: str
    force: bool = False


class StopHost(Request, tag="stop_host", frozen=True, kw_only=True):
    """End the host; runs under way are recorded as interrupted."""


class GetSides(Request, tag="get_sides", frozen=True, kw_only=True):
    """Two things to be compared, named as sessions.sides says. Answered by Sides."""

    a: str
    b: str


class ListComparable(Request, tag="list_comparable", frozen=True, kw_only=True):
    """What a run can be held against. Answered by Comparable."""

    run: str


class ListCircuits(Request, tag="list_circuits", frozen=True, kw_only=True):
    session: str | None = None
    """None: of all sessions."""


class KeepCircuit(Request, tag="keep_circuit", frozen=True, kw_only=True):
    """Heads under a name; the same name again replaces them. Answered by Circuit."""

    session: str
    name: str
    heads: tuple[tuple[int, int], ...]
    source: str
    run: str | None = None
    """The run they were cut from."""


SetOperation = Literal["union", "intersection", "subtract"]


class CombineCircuits(Request, tag="combine_circuits", frozen=True, kw_only=True):
    """A circuit made of kept ones, kept in its turn. Answered by Circuit."""

    session: str
    operation: SetOperation
    """subtract: the first less all others."""
    of: tuple[str, ...]
    name: str


class VerifyRun(Request, tag="verify_run", frozen=True, kw_only=True):
    """Do a run again and see whether it comes out the same. Answered by VerifyJob at once."""

    run: str


class AskCause(Request, tag="ask_cause", frozen=True, kw_only=True):
    """Measure what the heads of a run that is done do to the answer; nothing is trained again. Answered by Done; what
    is found comes as entries of the run's log, CauseEnded last. CancelRun stops it."""

    run: str
    config: CauseConfig
    heads: tuple[tuple[int, int], ...] = ()
    """Only these, for exact patching; none: all."""


class FollowVerify(Request, tag="follow_verify", frozen=True, kw_only=True):
    """How far a verification is. Answered by VerifyState when there is something new, within about a second."""

    job: str
    seen: int = 0
    """The `news` of the last answer."""


class CancelVerify(Request, tag="cancel_verify", frozen=True, kw_only=True):
    job: str
    force: bool = False


class DropCircuit(Request, tag="drop_circuit", frozen=True, kw_only=True):
    session: str
    name: str


AnyRequest = (
    Hello
    | GetStatus
    | ListSessions
    | ShowSession
    | CreateSession
    | QueueRun
    | SearchSessions
    | RenameSession
    | ChangeTags
    | WriteNote
    | RemoveNote
    | TrashSession
    | RestoreSession
    | EmptyTrash
    | CollectGarbage
    | AskSql
    | CancelRun
    | SetExamples
    | StepExamples
    | GetExamples
    | MakeExamples
    | GradeExamples
    | LookAtHead
    | Subscribe
    | Unsubscribe
    | GetCodes
    | GetSides
    | ListComparable
    | ListCircuits
    | KeepCircuit
    | CombineCircuits
    | DropCircuit
    | ReadLog
    | ReadTimeline
    | SetLook
    | VerifyRun
    | AskCause
    | FollowVerify
    | CancelVerify
    | WarmUp
    | ExportSession
    | ImportBundle
    | WriteTable
    | StopHost
)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request and the number its answer will carry."""

    id: int
    request: AnyRequest


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """The root of what the host sends."""


class Welcome(Message, tag="welcome", frozen=True, kw_only=True):
    version: str
    pid: int
    store: str
    protocol: int = PROTOCOL
    notice: str = ""
    """Something about this host or store that every face should show."""


class Done(Message, tag="done", frozen=True, kw_only=True):
    pass


class Status(Message, tag="status", frozen=True, kw_only=True):
    status: HostStatus


class Sessions(Message, tag="sessions", frozen=True, kw_only=True):
    sessions: tuple[SessionRow, ...]


class Session(Message, tag="session", frozen=True, kw_only=True):
    session: SessionRow


class Found(Message, tag="found", frozen=True, kw_only=True):
    hits: tuple[Hit, ...]
    """The best first."""


class Note(Message, tag="note", frozen=True, kw_only=True):
    note: NoteRow
    session: SessionRow


class Emptied(Message, tag="emptied", frozen=True, kw_only=True):
    sessions: tuple[SessionRow, ...]
    n_bytes: int
    """Of files beside the store that went with them."""


class Garbage(Message, tag="garbage", frozen=True, kw_only=True):
    piles: tuple[Pile, ...]
    """Kinds of which there is nothing are left out."""
    removed: bool
    removed_bytes: int


class Table(Message, tag="table", frozen=True, kw_only=True):
    table: SqlTable


class Detail(Message, tag="detail", frozen=True, kw_only=True):
    detail: SessionDetail


class Run(Message, tag="run", frozen=True, kw_only=True):
    run: RunRow


class Codes(Message, tag="codes", frozen=True, kw_only=True):
    codes: HeadCodes


class ExampleSet(Message, tag="example_set", frozen=True, kw_only=True):
    """The session's current examples, drafts included."""

    session: SessionRow
    version: int
    """Counted from 1; 0 while there is none."""
    content_hash: str
    examples: tuple[Example, ...]


class Made(Message, tag="made", frozen=True, kw_only=True):
    examples: tuple[Example, ...]


class Grades(Message, tag="grades", frozen=True, kw_only=True):
    """Grades and tokens of the examples of GradeExamples, in their order; `equal_length` is left open."""

    model: ModelInfo
    grades: tuple[Grade, ...]
    tokens: tuple[PromptTokens, ...]


class HeadLook(Message, tag="head_look", frozen=True, kw_only=True):
    """The head on the prompt, and its codes with what they write; `code` is the prompt's own."""

    model: ModelInfo
    tokens: tuple[str, ...]
    skipped: int
    """Tokens of the prompt before the first of these."""
    strength: tuple[float, ...]
    attention: tuple[tuple[float, ...], ...]
    code: int | None
    """None where the run kept no codes."""
    writes: tuple[CodeWrites, ...]


class Sides(Message, tag="sides", frozen=True, kw_only=True):
    a: Side
    b: Side


class Comparable(Message, tag="comparable", frozen=True, kw_only=True):
    choices: tuple[Choice, ...]


class Circuits(Message, tag="circuits", frozen=True, kw_only=True):
    circuits: tuple[CircuitRow, ...]


class VerifyJob(Message, tag="verify_job", frozen=True, kw_only=True):
    job: str
    run_id: str
    title: str


class VerifyState(Message, tag="verify_state", frozen=True, kw_only=True):
    """Over as soon as there is a report or a failure."""

    news: int
    stage: Stage | None
    """None: it waits its turn."""
    done: int
    total: int
    unit: str
    report: VerifyReport | None
    failure: Failure | None


class Circuit(Message, tag="circuit", frozen=True, kw_only=True):
    circuit: CircuitRow


class LogPiece(Message, tag="log_piece", frozen=True, kw_only=True):
    session_id: str
    entries: tuple[LogEntry, ...]
    up_to: int
    """Every entry up to here is among the entries, or replaced by one that is."""
    goal: int
    """The last entry that was asked for; where it is past `up_to`, there is more to ask for."""
    last_seq: int
    """Of the session, when this was read."""


class Times(Message, tag="times", frozen=True, kw_only=True):
    times: Timeline


class BundleExported(Message, tag="bundle_exported", frozen=True, kw_only=True):
    exported: Exported


class BundleImported(Message, tag="bundle_imported", frozen=True, kw_only=True):
    imported: Imported


class Subscribed(Message, tag="subscribed", frozen=True, kw_only=True):
    session_id: str
    last_seq: int


class Refused(Message, tag="refused", frozen=True, kw_only=True):
    failure: Failure


AnyAnswer = (
    Welcome
    | Done
    | Status
    | Sessions
    | Session
    | Found
    | Note
    | Emptied
    | Table
    | Garbage
    | Detail
    | Run
    | Codes
    | ExampleSet
    | Made
    | Grades
    | HeadLook
    | Sides
    | Comparable
    | Circuits
    | Circuit
    | LogPiece
    | Times
    | VerifyJob
    | VerifyState
    | BundleExported
    | BundleImported
    | Subscribed
    | Refused
)


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reply"):
    """The answer to Ask `id`."""

    id: int
    answer: AnyAnswer


class Pushed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="pushed"):
    """Log entries for the subscription made by Ask `id`."""

    id: int
    entries: tuple[LogEntry, ...]


FromHost = Reply | Pushed
