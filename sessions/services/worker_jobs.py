"""What a worker has before it: a run or a measurement, and what is asked beside it; and when each last reported."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from engine.errors import Failure
from engine.events import EngineEvent, StageFinished, StageProgress, StageStarted, TrainStep
from engine.protocol import GradePrompts, InspectHead, MeasureEffects, RunProbe, SideAnswer, SideRequest

SILENT_S = 60.0
"""A job that has reported nothing for so long is told as silent. Reports come several times a second; the longest
silences of a job that goes well are the engine's start and a large model's loading, some 10 to 40 s on busy machines.
Being told ends nothing: a person decides."""
GRACE_S = 10.0
"""A job that was asked to stop and reports nothing for so long is ended with its worker."""

Report = Callable[[EngineEvent], Awaitable[None]]


class JobActivity:
    """When a job last reported, and how far it was."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.at = self._loop.time()
        self.stage = ""
        """Empty: before its first."""
        self.done, self.total, self.unit = 0, 0, ""

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
        """By the clock on the wall."""
        return int((time.time() - self.silent_s) * 1e6)

    def event(self, event: EngineEvent) -> None:
        self.at = self._loop.time()
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


class Job:
    """A run or a measurement: one at a time."""

    def __init__(self, order: RunProbe | MeasureEffects, report: Report) -> None:
        self.order = order
        self.report = report
        self.sent = False
        self.heard = False
        self.last = JobActivity()
        self.cancels = 0
        self.asked_at = self.last.at
        """When it was last asked to stop."""
        self.killed = False
        self.ended: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    @property
    def grace_left(self) -> float:
        """Seconds it still has, once it was asked to stop: counted from then, and anew from each report."""
        asked_s = asyncio.get_running_loop().time() - self.asked_at
        return GRACE_S - min(self.last.silent_s, asked_s)

    def end(self, failure: Failure | None) -> None:
        if not self.ended.done():
            self.ended.set_result(failure)


class PendingSideRequest:
    """A side order: prompts to grade or a head to look at, beside whatever job there is."""

    def __init__(self, order: SideRequest) -> None:
        self.order = order
        self.sent = False
        self.last = JobActivity()
        self.ended: asyncio.Future[SideAnswer | Failure] = asyncio.get_running_loop().create_future()

    @property
    def title(self) -> str:
        match self.order:
            case GradePrompts():
                return f"grades of examples ({self.order.model})"
            case InspectHead():
                return f"a look at head {self.order.layer}.{self.order.head} ({self.order.model})"
        return f"examples of {self.order.task} ({self.order.model})"

    def end(self, answer: SideAnswer | Failure) -> None:
        if not self.ended.done():
            self.ended.set_result(answer)
