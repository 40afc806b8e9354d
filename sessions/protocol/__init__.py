"""Every request and answer between a face and the host, one file per subject, and the bundle manifest.

May import: root, comparison, verification.
"""

import msgspec

from sessions.events import LogEntry
from sessions.protocol.base import MAX_LINE_BYTES, PROTOCOL, Done, Message, Refused, Request
from sessions.protocol.comparison import (
    Circuit,
    Circuits,
    CombineCircuits,
    Comparable,
    DropCircuit,
    GetSides,
    KeepCircuit,
    ListCircuits,
    ListComparable,
    SetOperation,
    Sides,
)
from sessions.protocol.examples import (
    ExampleSet,
    GetExamples,
    GradeExamples,
    Grades,
    Made,
    MakeExamples,
    SetExamples,
    StepExamples,
)
from sessions.protocol.files import BundleExported, BundleImported, Column, ExportSession, ImportBundle, WriteTable
from sessions.protocol.host import (
    AskSql,
    CollectGarbage,
    EndWork,
    FollowEngine,
    Garbage,
    GetStatus,
    Hello,
    Status,
    StopHost,
    Table,
    WarmUp,
    Welcome,
)
from sessions.protocol.results import (
    Codes,
    GetCodes,
    HeadLook,
    LogPiece,
    LookAtHead,
    ReadLog,
    ReadTimeline,
    SetLook,
    Subscribe,
    Subscribed,
    Times,
    Unsubscribe,
)
from sessions.protocol.runs import (
    AskCause,
    AskPreflight,
    CancelRun,
    CancelVerify,
    ChooseOptions,
    FindRun,
    FollowVerify,
    MadeFrom,
    Preflighted,
    QueueRun,
    Run,
    VerifyJob,
    VerifyRun,
    VerifyState,
)
from sessions.protocol.sessions import (
    ChangeTags,
    CreateSession,
    Detail,
    DiscardSession,
    Emptied,
    EmptyTrash,
    Found,
    ListSessions,
    Note,
    RemoveNote,
    RenameSession,
    RestoreSession,
    SearchSessions,
    Session,
    Sessions,
    ShowSession,
    TrashSession,
    WriteNote,
)

__all__ = [
    "MAX_LINE_BYTES",
    "PROTOCOL",
    "AnyAnswer",
    "AnyRequest",
    "Ask",
    "AskCause",
    "AskPreflight",
    "AskSql",
    "BundleExported",
    "BundleImported",
    "CancelRun",
    "CancelVerify",
    "ChangeTags",
    "ChooseOptions",
    "Circuit",
    "Circuits",
    "Codes",
    "CollectGarbage",
    "Column",
    "CombineCircuits",
    "Comparable",
    "CreateSession",
    "Detail",
    "DiscardSession",
    "Done",
    "DropCircuit",
    "Emptied",
    "EmptyTrash",
    "EndWork",
    "ExampleSet",
    "ExportSession",
    "FindRun",
    "FollowEngine",
    "FollowVerify",
    "Found",
    "FromHost",
    "Garbage",
    "GetCodes",
    "GetExamples",
    "GetSides",
    "GetStatus",
    "GradeExamples",
    "Grades",
    "HeadLook",
    "Hello",
    "ImportBundle",
    "KeepCircuit",
    "ListCircuits",
    "ListComparable",
    "ListSessions",
    "LogPiece",
    "LookAtHead",
    "Made",
    "MadeFrom",
    "MakeExamples",
    "Message",
    "Note",
    "Preflighted",
    "Pushed",
    "QueueRun",
    "ReadLog",
    "ReadTimeline",
    "Refused",
    "RemoveNote",
    "RenameSession",
    "Reply",
    "Request",
    "RestoreSession",
    "Run",
    "SearchSessions",
    "Session",
    "Sessions",
    "SetExamples",
    "SetLook",
    "SetOperation",
    "ShowSession",
    "Sides",
    "Status",
    "StepExamples",
    "StopHost",
    "Subscribe",
    "Subscribed",
    "Table",
    "Times",
    "TrashSession",
    "Unsubscribe",
    "VerifyJob",
    "VerifyRun",
    "VerifyState",
    "WarmUp",
    "Welcome",
    "WriteNote",
    "WriteTable",
]

AnyRequest = (
    Hello
    | GetStatus
    | ListSessions
    | ShowSession
    | CreateSession
    | QueueRun
    | ChooseOptions
    | AskPreflight
    | EndWork
    | FollowEngine
    | SearchSessions
    | RenameSession
    | ChangeTags
    | WriteNote
    | RemoveNote
    | TrashSession
    | RestoreSession
    | DiscardSession
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
    | FindRun
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
    | Preflighted
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
