"""The engine's process: orders in on stdin, words out on stdout (python -m engine.worker).

One run at a time; grades for examples that are being written, and looks at a head, come between the reports of a run.
"""

import contextlib
import faulthandler
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from engine.errors import Cancelled, EngineError, Failure, HeadcodeError
from engine.events import Event, StageProgress
from engine.protocol import (
    AnyWorkerRequest,
    CancelJob,
    JobDone,
    JobEvent,
    JobFailed,
    MeasureEffects,
    Quit,
    RunProbe,
    SideRequest,
    WorkerMessage,
    WorkerReady,
)

if TYPE_CHECKING:
    from engine.worker.side_requests import SideRequestHandler

_PROGRESS_EVERY_S = 0.1
"""Progress may be coalesced; measurements never."""


class ProtocolWriter:
    """The one way out: whole lines, from any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder()

    def say(self, word: WorkerMessage) -> None:
        line = self._encoder.encode(word) + b"\n"
        with self._lock:
            self._out.write(line)
            self._out.flush()


class JobMonitor:
    """The Monitor of one job: its events go out under its name."""

    def __init__(self, job: str, mouth: ProtocolWriter, between: Callable[[], None]) -> None:
        self.job = job
        self._mouth = mouth
        self._between = between
        self._stop = threading.Event()
        self._last_progress = 0.0

    def report(self, event: Event, /) -> None:
        if isinstance(event, StageProgress):
            now = time.monotonic()
            if event.done < event.total and now - self._last_progress < _PROGRESS_EVERY_S:
                return
            self._last_progress = now
        self._mouth.say(JobEvent(job=self.job, event=event))  # type: ignore[arg-type]  # every Event is an EngineEvent
        # Reports are made outside of any forward pass: a prompt or two can be read here.
        self._between()

    def cancelled(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        self._stop.set()


class SilentMonitor:
    """The Monitor of a grading: tells nobody, and knows whether the grades are still wanted."""

    def __init__(self) -> None:
        self._stopped = False

    def report(self, event: Event, /) -> None:
        pass

    def cancelled(self) -> bool:
        return self._stopped

    def cancel(self) -> None:
        self._stopped = True


class RequestQueue:
    """Orders as they come in, on a thread of their own, so that a cancel is heard in the middle of a job."""

    def __init__(self, source: BinaryIO, mouth: ProtocolWriter) -> None:
        self._source = source
        self._mouth = mouth
        self._news = threading.Condition()
        self._runs: deque[tuple[RunProbe | MeasureEffects, JobMonitor]] = deque()
        self._gradings: deque[tuple[SideRequest, SilentMonitor]] = deque()
        self._monitors: dict[str, JobMonitor | SilentMonitor] = {}
        self._over = False
        self.between: Callable[[], None] = lambda: None
        """Called at every report of a run."""
        threading.Thread(target=self._listen, daemon=True, name="orders").start()

    def next(self) -> tuple[RunProbe | MeasureEffects, JobMonitor] | tuple[SideRequest, SilentMonitor] | None:
        """The next job and its monitor, gradings first; None when it is time to go."""
        with self._news:
            self._news.wait_for(lambda: self._gradings or self._runs or self._over)
            if self._gradings:
                return self._gradings.popleft()
            return self._runs.popleft() if self._runs else None

    def grading(self) -> tuple[SideRequest, SilentMonitor] | None:
        """The next grading, left where it is; None where none waits."""
        with self._news:
            return self._gradings[0] if self._gradings else None

    def take_grading(self) -> None:
        with self._news:
            self._gradings.popleft()

    def forget(self, job: str) -> None:
        self._monitors.pop(job, None)

    def _listen(self) -> None:
        decoder = msgspec.json.Decoder(AnyWorkerRequest)
        for line in self._source:
            try:
                order = decoder.decode(line)
            except (msgspec.MsgspecError, HeadcodeError, UnicodeDecodeError, RecursionError) as error:
                sys.stderr.write(f"An order could not be read: {error}\n")
                continue
            with self._news:
                if isinstance(order, RunProbe | MeasureEffects):
                    monitor = JobMonitor(order.job, self._mouth, lambda: self.between())
                    self._monitors[order.job] = monitor
                    self._runs.append((order, monitor))
                elif isinstance(order, SideRequest):
                    quiet = self._monitors[order.job] = SilentMonitor()
                    self._gradings.append((order, quiet))
                elif isinstance(order, CancelJob):
                    if order.job in self._monitors:
                        self._monitors[order.job].cancel()
                elif isinstance(order, Quit):
                    self._over = True
                self._news.notify_all()
        # The host is gone: whatever is being computed has nobody to go to.
        os._exit(0)


def main() -> None:
    """Takes orders until told to quit, or until the host's end of the pipe closes."""
    out, source = _own_pipes()
    faulthandler.enable()
    mouth = ProtocolWriter(out)
    orders = RequestQueue(source, mouth)

    import torch

    from engine.models.warm_model import WarmModel
    from engine.worker.effects_job import EffectsJob
    from engine.worker.pipeline import ProbeJob
    from engine.worker.side_requests import SideRequestHandler

    torch.set_flush_denormal(True)  # vanishing latents and Adam's second moments cost hundreds of cycles each
    shelf = WarmModel()
    beside = SideRequestHandler(shelf)
    orders.between = lambda: _answer_beside(orders, beside, mouth)
    mouth.say(WorkerReady(pid=os.getpid(), device="cuda" if torch.cuda.is_available() else "cpu"))
    while (job := orders.next()) is not None:
        if isinstance(job[0], SideRequest):
            _answer(*job, orders, beside, mouth)
            continue
        order, monitor = job
        try:
            job_of = (
                ProbeJob(order, shelf, monitor) if isinstance(order, RunProbe) else EffectsJob(order, shelf, monitor)
            )
            job_of.run()
        except HeadcodeError as error:
            mouth.say(JobFailed(job=order.job, failure=error.as_failure()))
        except Exception as error:  # noqa: BLE001  # the worker's boundary: told to the person, trace to the log
            traceback.print_exc()
            mouth.say(JobFailed(job=order.job, failure=_unforeseen(error)))
        else:
            mouth.say(JobDone(job=order.job))
        finally:
            orders.forget(order.job)


def _answer(
    order: SideRequest,
    monitor: SilentMonitor,
    orders: RequestQueue,
    beside: "SideRequestHandler",
    mouth: ProtocolWriter,
) -> None:
    try:
        if monitor.cancelled():
            raise Cancelled
        mouth.say(beside.answer(order, monitor))
    except HeadcodeError as error:
        mouth.say(JobFailed(job=order.job, failure=error.as_failure()))
    except Exception as error:  # noqa: BLE001  # as below
        traceback.print_exc()
        mouth.say(JobFailed(job=order.job, failure=_unforeseen(error)))
    finally:
        orders.forget(order.job)


def _answer_beside(orders: RequestQueue, beside: "SideRequestHandler", mouth: ProtocolWriter) -> None:
    """One side order, where one waits and the model of the run will do: another model would push that one out."""
    waiting = orders.grading()
    if waiting is None:
        return
    order, monitor = waiting
    try:
        here = beside.ready(order)
    except HeadcodeError:
        here = True  # a device that is not here: answered at once, with what is wrong
    if here or monitor.cancelled():
        orders.take_grading()
        _answer(order, monitor, orders, beside, mouth)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The protocol's ends, moved away from 0 and 1: libraries print on stdout, and a line of theirs is no word."""
    out = os.fdopen(os.dup(1), "wb")
    source = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return out, source


def _unforeseen(error: Exception) -> Failure:
    told = str(error).strip().splitlines()
    first = told[0][:500] if told else "no message"
    return EngineError(
        f"The engine failed: {type(error).__name__}: {first}", hint="The trace is in the log: headcode host log"
    ).as_failure()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
