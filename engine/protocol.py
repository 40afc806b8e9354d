"""What the host asks of an engine worker and what the worker answers: JSON lines over its stdin and stdout."""

import msgspec

from engine.config import EffectsConfig, ProbeConfig
from engine.errors import Failure
from engine.events import EngineEvent
from engine.examples import Example
from engine.results import CodeWrites, Grade, ModelInfo, PromptTokens

MAX_LINE_BYTES = 64 << 20
"""A longer line is a fault: large arrays travel as files."""


class WorkerRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="order"):
    """The root of what a host may ask."""


class RunProbe(WorkerRequest, tag="probe", frozen=True, kw_only=True):
    """Capture, train, code and score. Answered by JobEvents and one JobDone or JobFailed."""

    job: str
    """The run's id."""
    model: str
    """As a person names it: bundled, fetched, a folder or a hub name."""
    config: ProbeConfig
    examples: tuple[Example, ...] = ()
    """Empty: make them from `task`."""
    task: str | None = None
    """Name of the ready-made task these examples come from (or are to be made from)."""
    made: bool = False
    """Whether the host knows that the task made these examples; else their content decides."""
    pairs: int = 0
    """0: as many as one head among the model's heads needs to stand above chance, of those the model can do as far as
    there are enough (engine.grading.usable_pairs)."""
    task_seed: int = 0
    usable: bool = False
    """Make only pairs the model can do."""
    known: str | None = None
    """The task whose known circuit these examples are to be held against, though they are a person's own."""
    spool: str
    """Folder for this run's arrays; the worker creates it."""
    models: str
    """Folder of fetched models."""
    activations: str
    """Folder of the activation cache."""
    device: str = "auto"
    trust_remote_code: bool = False


class MeasureEffects(WorkerRequest, tag="cause", frozen=True, kw_only=True):
    """Measure what the heads of a run that is over do to the model's answer. Answered by JobEvents and one JobDone or
    JobFailed."""

    job: str
    model: str
    identity: str
    """Of the model the run used: effects in other weights would be another run's."""
    config: EffectsConfig
    examples: tuple[Example, ...]
    """The run's, in its order."""
    position: str
    task: str | None = None
    """The one that made the examples; None: they are a person's own."""
    seed: int = 0
    ranking: tuple[tuple[int, int], ...] = ()
    """All heads by the run's codes, best first."""
    circuit: tuple[tuple[int, int], ...] = ()
    heads: tuple[tuple[int, int], ...] = ()
    """For exact patching: only these; all where there are none."""
    after: tuple[tuple[int, int], ...] = ()
    """Measure the heads with these replaced, too: backups."""
    after_name: str = ""
    models: str
    device: str = "auto"
    trust_remote_code: bool = False


class GradePrompts(WorkerRequest, tag="grade", frozen=True, kw_only=True):
    """Grade examples as they are written. Answered by one GradesMade or JobFailed, between the reports of a run where
    that uses the same model, else when it is over."""

    job: str
    model: str
    examples: tuple[Example, ...]
    position: str = "mean"
    """Which positions are marked as read: a position policy."""
    models: str
    device: str = "auto"
    trust_remote_code: bool = False


class InspectHead(WorkerRequest, tag="inspect", frozen=True, kw_only=True):
    """Look at one head on one prompt. Answered like GradePrompts, by one HeadInspected or JobFailed."""

    job: str
    model: str
    prompt: str
    layer: int
    head: int
    codes: tuple[int, ...] = ()
    """Those whose decoder directions are to be shown as tokens."""
    sae: str = ""
    """The run's SAE weights; empty: none were kept."""
    seed_index: int = 0
    models: str
    device: str = "auto"
    trust_remote_code: bool = False


class MakeExamples(WorkerRequest, tag="make_examples", frozen=True, kw_only=True):
    """The examples of a ready-made task for a model's tokenizer. Answered like GradePrompts, by ExamplesOf."""

    job: str
    model: str
    task: str
    pairs: int = 0
    """0: as many as a run needs; see RunProbe."""
    seed: int = 0
    usable: bool = False
    """Only pairs the model can do, in their order (engine.grading.usable_pairs)."""
    models: str
    device: str = "auto"
    trust_remote_code: bool = False


SideRequest = GradePrompts | MakeExamples | InspectHead
"""What is answered between the reports of a run."""


class CancelJob(WorkerRequest, tag="cancel", frozen=True, kw_only=True):
    job: str


class Quit(WorkerRequest, tag="quit", frozen=True, kw_only=True):
    """End when the present job is over; end of input means the same, at once."""


AnyWorkerRequest = RunProbe | MeasureEffects | GradePrompts | MakeExamples | InspectHead | CancelJob | Quit


class WorkerMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="word"):
    """The root of what a worker says."""


class WorkerReady(WorkerMessage, tag="ready", frozen=True, kw_only=True):
    """Said once, when torch is in memory and orders are taken (orders sent earlier wait in the pipe)."""

    pid: int
    device: str


class JobEvent(WorkerMessage, tag="event", frozen=True, kw_only=True):
    job: str
    event: EngineEvent


class ExamplesOf(WorkerMessage, tag="examples_of", frozen=True, kw_only=True):
    job: str
    examples: tuple[Example, ...]


class GradesMade(WorkerMessage, tag="grades", frozen=True, kw_only=True):
    """What the model makes of the examples of GradePrompts, in their order."""

    job: str
    model: ModelInfo
    grades: tuple[Grade, ...]
    tokens: tuple[PromptTokens, ...]


class HeadInspected(WorkerMessage, tag="inspected", frozen=True, kw_only=True):
    """One head on one prompt."""

    job: str
    model: ModelInfo
    tokens: tuple[str, ...]
    skipped: int
    """Tokens before the first of these: of a long prompt only the end is told."""
    strength: tuple[float, ...]
    """Norm of what the head writes into the residual stream at each token."""
    attention: tuple[tuple[float, ...], ...]
    """Row: the token that looks; column: the one it looks at, up to itself."""
    writes: tuple[CodeWrites, ...]


SideAnswer = GradesMade | ExamplesOf | HeadInspected


class JobDone(WorkerMessage, tag="done", frozen=True, kw_only=True):
    job: str


class JobFailed(WorkerMessage, tag="failed", frozen=True, kw_only=True):
    """The job ended with an error; family 'cancelled' where the person stopped it."""

    job: str
    failure: Failure


AnyWorkerMessage = WorkerReady | JobEvent | GradesMade | ExamplesOf | HeadInspected | JobDone | JobFailed
