"""Track a worker's jobs: a run or a measurement, its side requests, and when each last reported."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from engine.errors import Failure
from engine.events import EngineEvent, Stage, StageFinished, StageProgress, StageStarted, TrainStep
from engine.nodes import NodeId
from engine.protocol import (
    AblateNodes,
    ExplainCode,
    GradePrompts,
    InspectHead,
    InspectMlp,
    InspectNeuron,
    MeasureEffects,
    MeasureGrid,
    MeasureOnPrompts,
    MeasurePlaces,
    MeasureSpecificity,
    MeasureThrough,
    ReadAtlas,
    RunProbe,
    SideAnswer,
    SideRequest,
    SteerModel,
)

SILENT_S = 60.0
"""Seconds without a report after which a job is shown as silent.

Reports come several times a second; the longest silences of a healthy job are the engine's start and the loading of a
large model, some 10 to 40 s on busy machines. A silent job is not ended: the user decides.
"""
GRACE_S = 10.0
"""Seconds without a report after which a job that was asked to stop is ended with its worker."""

Report = Callable[[EngineEvent], Awaitable[None]]


class StageCounter:
    """The stage that a job is in, and how much of it is done."""

    def __init__(self) -> None:
        self.stage: Stage | None = None
        """None before the first stage."""
        self.done, self.total, self.unit = 0, 0, ""

    def on_event(self, event: EngineEvent) -> None:
        """Count an event of the job."""
        match event:
            case StageStarted():
                self.stage, self.done, self.total, self.unit = event.stage, 0, event.total, event.unit
            case StageProgress():
                self.stage, self.done, self.total = event.stage, event.done, event.total
            case TrainStep():
                self.done, self.total = event.step, event.total
            case StageFinished():
                self.done = self.total
            case _:
                pass


class JobActivity:
    """When a job last reported, and its progress."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.at = self._loop.time()
        self.progress = StageCounter()

    @property
    def silent_s(self) -> float:
        return self._loop.time() - self.at

    @property
    def silent(self) -> bool:
        return self.silent_s >= SILENT_S

    @property
    def until_silent(self) -> float:
        return SILENT_S - self.silent_s

    @property
    def at_us(self) -> int:
        """Return the time of the last report by the wall clock."""
        return int((time.time() - self.silent_s) * 1e6)

    def event(self, event: EngineEvent) -> None:
        self.at = self._loop.time()
        self.progress.on_event(event)


class Job:
    """A run or a measurement; a worker has one at a time."""

    def __init__(self, request: RunProbe | MeasureEffects, report: Report) -> None:
        self.request = request
        self.report = report
        self.sent = False
        self.has_reported = False
        self.last = JobActivity()
        self.cancels = 0
        self.asked_at = self.last.at
        """When it was last asked to stop."""
        self.killed = False
        self.ended: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    @property
    def grace_left(self) -> float:
        """Return the seconds left until the job is ended, counted from the stop request or the last report after it."""
        asked_s = asyncio.get_running_loop().time() - self.asked_at
        return GRACE_S - min(self.last.silent_s, asked_s)

    def end(self, failure: Failure | None) -> None:
        if not self.ended.done():
            self.ended.set_result(failure)


class PendingSideRequest:
    """A side request: prompts to grade or a node to look into, besides the current job."""

    def __init__(self, request: SideRequest, run_id: str = "") -> None:
        """`run_id`: the run whose verification asks."""
        self.request = request
        self.run_id = run_id
        self.sent = False
        self.last = JobActivity()
        self.ended: asyncio.Future[SideAnswer | Failure] = asyncio.get_running_loop().create_future()

    @property
    def title(self) -> str:
        match self.request:
            case ReadAtlas():
                return f"atlas of {self.request.model}"
            case MeasureOnPrompts():
                return f"what heads attend to on the run's prompts ({self.request.model})"
            case GradePrompts():
                return f"grades of examples ({self.request.model})"
            case InspectHead():
                return f"inspection of head {self.request.layer}.{self.request.head} ({self.request.model})"
            case MeasurePlaces():
                node = NodeId(self.request.layer, self.request.head)
                return f"effects of {node} by position ({self.request.model})"
            case MeasureGrid():
                return f"effects by layer and position ({self.request.model})"
            case MeasureSpecificity():
                return f"what other tasks lose without a circuit ({self.request.model})"
            case InspectMlp():
                return f"neurons of m{self.request.layer} ({self.request.model})"
            case InspectNeuron():
                return f"neuron {self.request.layer}.{self.request.neuron} ({self.request.model})"
            case ExplainCode():
                node = NodeId(self.request.layer, self.request.head)
                return f"explanation of code {self.request.code} of {node} ({self.request.model})"
            case SteerModel():
                return f"steering ({self.request.model})"
            case AblateNodes():
                return f"the next token without nodes ({self.request.model})"
            case MeasureThrough():
                node = NodeId(self.request.layer, self.request.head)
                return f"effects of {node} through later nodes ({self.request.model})"
        return f"examples of {self.request.task} ({self.request.model})"

    def end(self, answer: SideAnswer | Failure) -> None:
        if not self.ended.done():
            self.ended.set_result(answer)
