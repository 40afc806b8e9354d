"""Define every request and answer between a client and the host, one file per subject, and the bundle manifest.

May import: root, comparison, verification.
"""

import msgspec

from sessions.events import LogEntry
from sessions.protocol.atlas import (
    AtlasAnswer,
    AtlasesAnswer,
    AtlasProgress,
    DeleteAtlas,
    GetAtlas,
    GetOnPrompts,
    ListAtlases,
    OnPrompts,
    ReadOn,
)
from sessions.protocol.base import MAX_LINE_BYTES, PROTOCOL, Done, Message, Refused, Request
from sessions.protocol.comparison import (
    CircuitAnswer,
    CircuitsAnswer,
    CombineCircuits,
    ComparisonChoices,
    DeleteCircuit,
    GetSides,
    ListCircuits,
    ListComparable,
    SaveCircuit,
    SetOperation,
    SidesAnswer,
)
from sessions.protocol.examples import (
    ExampleSet,
    GetExamples,
    GradeExamples,
    Grades,
    MakeTaskExamples,
    SetExamples,
    StepExamples,
    TaskExamplesMade,
)
from sessions.protocol.explanations import (
    CodesCompared,
    CompareCodes,
    Explained,
    Families,
    GetExplanation,
    GetFamilies,
)
from sessions.protocol.files import BundleExported, BundleImported, ExportSession, ImportBundle, TableColumn, WriteTable
from sessions.protocol.host import (
    CollectGarbage,
    EndWork,
    FollowEngine,
    GarbageReport,
    GetStatus,
    Hello,
    QuerySql,
    SqlAnswer,
    StatusAnswer,
    StopHost,
    WarmUp,
    Welcome,
)
from sessions.protocol.node_parts import (
    Ablation,
    GetAblation,
    GetGrid,
    GetMlp,
    GetNeuron,
    GetPlaces,
    GetSpecificity,
    GetThrough,
    MlpInspection,
    NeuronInspection,
    Places,
    SpecificityOfRun,
    StreamGrid,
    Through,
)
from sessions.protocol.results import (
    AlikeGroup,
    AlikeNodes,
    CodesAnswer,
    FindAlike,
    GetCodes,
    GetHeadInspection,
    HeadInspection,
    LogPiece,
    ReadLog,
    ReadTimeline,
    SetDrawing,
    SetView,
    Subscribe,
    Subscribed,
    TimelineAnswer,
    Unsubscribe,
)
from sessions.protocol.runs import (
    CancelRun,
    ChooseOptions,
    FindRun,
    GetPreflight,
    GetVerification,
    LabelRun,
    ListRuns,
    MeasureRunEffects,
    PreflightAnswer,
    QueueRun,
    RunAnswer,
    RunsAnswer,
    TaskExamples,
    VerificationAnswer,
    VerificationStarted,
    VerifyRun,
)
from sessions.protocol.sessions import (
    AdoptFirstSession,
    ChangeTags,
    CreateSession,
    DiscardSession,
    EmptyTrash,
    ListSessions,
    NoteAnswer,
    RemoveNote,
    RenameSession,
    RestoreSession,
    SearchResults,
    SearchSessions,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsAnswer,
    SessionsRemoved,
    ShowSession,
    TrashSession,
    WriteNote,
)
from sessions.protocol.steering import CheckSteering, GetSteering, ListSteerings, Steering, SteeringsAnswer
from sessions.protocol.sweeps import (
    CancelSweep,
    EstimateSweep,
    FollowSweep,
    GatherSweep,
    GetBirths,
    GetSweep,
    GetSweepMeasures,
    ListSweeps,
    RetrySweep,
    StartSweep,
    SweepAnswer,
    SweepBirths,
    SweepDetail,
    SweepEstimate,
    SweepGathered,
    SweepGroup,
    SweepMeasures,
    SweepProgress,
    SweepsAnswer,
    SweepWorker,
    UnitProblem,
)

__all__ = [
    "MAX_LINE_BYTES",
    "PROTOCOL",
    "Ablation",
    "AdoptFirstSession",
    "AlikeGroup",
    "AlikeNodes",
    "AnyAnswer",
    "AnyRequest",
    "AtlasAnswer",
    "AtlasProgress",
    "AtlasesAnswer",
    "BundleExported",
    "BundleImported",
    "CancelRun",
    "CancelSweep",
    "ChangeTags",
    "CheckSteering",
    "ChooseOptions",
    "CircuitAnswer",
    "CircuitsAnswer",
    "CodesAnswer",
    "CodesCompared",
    "CollectGarbage",
    "CombineCircuits",
    "CompareCodes",
    "ComparisonChoices",
    "CreateSession",
    "DeleteAtlas",
    "DeleteCircuit",
    "DiscardSession",
    "Done",
    "EmptyTrash",
    "EndWork",
    "EstimateSweep",
    "ExampleSet",
    "Explained",
    "ExportSession",
    "Families",
    "FindAlike",
    "FindRun",
    "FollowEngine",
    "FollowSweep",
    "FromHost",
    "GarbageReport",
    "GatherSweep",
    "GetAblation",
    "GetAtlas",
    "GetBirths",
    "GetCodes",
    "GetExamples",
    "GetExplanation",
    "GetFamilies",
    "GetGrid",
    "GetHeadInspection",
    "GetMlp",
    "GetNeuron",
    "GetOnPrompts",
    "GetPlaces",
    "GetPreflight",
    "GetSides",
    "GetSpecificity",
    "GetStatus",
    "GetSteering",
    "GetSweep",
    "GetSweepMeasures",
    "GetThrough",
    "GetVerification",
    "GradeExamples",
    "Grades",
    "HeadInspection",
    "Hello",
    "ImportBundle",
    "LabelRun",
    "ListAtlases",
    "ListCircuits",
    "ListComparable",
    "ListRuns",
    "ListSessions",
    "ListSteerings",
    "ListSweeps",
    "LogPiece",
    "MakeTaskExamples",
    "MeasureRunEffects",
    "Message",
    "MlpInspection",
    "NeuronInspection",
    "NoteAnswer",
    "NumberedRequest",
    "OnPrompts",
    "Places",
    "PreflightAnswer",
    "Pushed",
    "QuerySql",
    "QueueRun",
    "ReadLog",
    "ReadOn",
    "ReadTimeline",
    "Refused",
    "RemoveNote",
    "RenameSession",
    "Reply",
    "Request",
    "RestoreSession",
    "RetrySweep",
    "RunAnswer",
    "RunsAnswer",
    "SaveCircuit",
    "SearchResults",
    "SearchSessions",
    "SessionAnswer",
    "SessionDetailAnswer",
    "SessionsAnswer",
    "SessionsRemoved",
    "SetDrawing",
    "SetExamples",
    "SetOperation",
    "SetView",
    "ShowSession",
    "SidesAnswer",
    "SpecificityOfRun",
    "SqlAnswer",
    "StartSweep",
    "StatusAnswer",
    "Steering",
    "SteeringsAnswer",
    "StepExamples",
    "StopHost",
    "StreamGrid",
    "Subscribe",
    "Subscribed",
    "SweepAnswer",
    "SweepBirths",
    "SweepDetail",
    "SweepEstimate",
    "SweepGathered",
    "SweepGroup",
    "SweepMeasures",
    "SweepProgress",
    "SweepWorker",
    "SweepsAnswer",
    "TableColumn",
    "TaskExamples",
    "TaskExamplesMade",
    "Through",
    "TimelineAnswer",
    "TrashSession",
    "UnitProblem",
    "Unsubscribe",
    "VerificationAnswer",
    "VerificationStarted",
    "VerifyRun",
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
    | GetPreflight
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
    | QuerySql
    | CancelRun
    | SetExamples
    | StepExamples
    | GetExamples
    | MakeTaskExamples
    | GradeExamples
    | GetHeadInspection
    | GetPlaces
    | GetSpecificity
    | GetGrid
    | GetThrough
    | GetAblation
    | GetSteering
    | CheckSteering
    | ListSteerings
    | GetMlp
    | GetNeuron
    | GetExplanation
    | GetFamilies
    | CompareCodes
    | ReadOn
    | ListAtlases
    | GetAtlas
    | DeleteAtlas
    | GetOnPrompts
    | Subscribe
    | Unsubscribe
    | GetCodes
    | GetSides
    | ListComparable
    | ListCircuits
    | SaveCircuit
    | CombineCircuits
    | DeleteCircuit
    | ReadLog
    | ReadTimeline
    | SetView
    | SetDrawing
    | FindAlike
    | VerifyRun
    | MeasureRunEffects
    | FindRun
    | LabelRun
    | ListRuns
    | GetVerification
    | WarmUp
    | ExportSession
    | ImportBundle
    | AdoptFirstSession
    | WriteTable
    | StopHost
    | EstimateSweep
    | StartSweep
    | RetrySweep
    | ListSweeps
    | GetSweep
    | GetSweepMeasures
    | GetBirths
    | FollowSweep
    | CancelSweep
    | GatherSweep
)


class NumberedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request with the number that its answer will carry."""

    id: int
    request: AnyRequest


AnyAnswer = (
    Welcome
    | Done
    | StatusAnswer
    | SessionsAnswer
    | SessionAnswer
    | SearchResults
    | NoteAnswer
    | SessionsRemoved
    | SqlAnswer
    | GarbageReport
    | SessionDetailAnswer
    | RunAnswer
    | RunsAnswer
    | CodesAnswer
    | AlikeNodes
    | ExampleSet
    | TaskExamplesMade
    | Grades
    | HeadInspection
    | Places
    | SpecificityOfRun
    | StreamGrid
    | Through
    | Ablation
    | Steering
    | SteeringsAnswer
    | MlpInspection
    | NeuronInspection
    | Explained
    | Families
    | CodesCompared
    | AtlasProgress
    | AtlasesAnswer
    | AtlasAnswer
    | OnPrompts
    | SidesAnswer
    | ComparisonChoices
    | CircuitsAnswer
    | CircuitAnswer
    | LogPiece
    | TimelineAnswer
    | VerificationStarted
    | VerificationAnswer
    | PreflightAnswer
    | BundleExported
    | BundleImported
    | SweepEstimate
    | SweepsAnswer
    | SweepDetail
    | SweepMeasures
    | SweepBirths
    | SweepAnswer
    | SweepGathered
    | Subscribed
    | Refused
)


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reply"):
    """The answer to the request numbered `id`."""

    id: int
    answer: AnyAnswer


class Pushed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="pushed"):
    """Log entries for the subscription that request `id` made."""

    id: int
    entries: tuple[LogEntry, ...]


FromHost = Reply | Pushed
