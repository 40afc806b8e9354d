"""The engine's worker process: requests on stdin, messages on stdout (python -m engine.worker).

One run at a time; grading of examples and inspection of heads happen between the reports of a run.
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
from engine.events import Event, SilentMonitor, StageProgress
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
    """Writes messages as whole lines, from any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder()

    def write(self, message: WorkerMessage) -> None:
        line = self._encoder.encode(message) + b"\n"
        with self._lock:
            self._out.write(line)
            self._out.flush()


class JobMonitor:
    """The Monitor of one job: sends its events under the job's id."""

    def __init__(self, job: str, writer: ProtocolWriter, between: Callable[[], None]) -> None:
        self.job = job
        self._writer = writer
        self._between = between
        self._stop = threading.Event()
        self._last_progress = 0.0

    def report(self, event: Event, /) -> None:
        if isinstance(event, StageProgress):
            now = time.monotonic()
            if event.done < event.total and now - self._last_progress < _PROGRESS_EVERY_S:
                return
            self._last_progress = now
        self._writer.write(JobEvent(job=self.job, event=event))  # type: ignore[arg-type]  # every Event is an EngineEvent
        # Reports are made outside of forward passes: side requests can be answered here.
        self._between()

    def cancelled(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        self._stop.set()


class SideRequestMonitor(SilentMonitor):
    """The Monitor of a side request: drops events and knows whether the answer is still wanted."""

    def __init__(self) -> None:
        self._stopped = False

    def cancelled(self) -> bool:
        return self._stopped

    def cancel(self) -> None:
        self._stopped = True


class RequestQueue:
    """Requests as they arrive, read on a thread, so that a cancellation is seen in the middle of a job."""

    def __init__(self, source: BinaryIO, writer: ProtocolWriter) -> None:
        self._source = source
        self._writer = writer
        self._changed = threading.Condition()
        self._runs: deque[tuple[RunProbe | MeasureEffects, JobMonitor]] = deque()
        self._side_requests: deque[tuple[SideRequest, SideRequestMonitor]] = deque()
        self._monitors: dict[str, JobMonitor | SideRequestMonitor] = {}
        self._quitting = False
        self.between: Callable[[], None] = lambda: None
        """Called at every report of a run."""
        threading.Thread(target=self._listen, daemon=True, name="requests").start()

    def next(self) -> tuple[RunProbe | MeasureEffects, JobMonitor] | tuple[SideRequest, SideRequestMonitor] | None:
        """Return the next job and its monitor, side requests first; None to quit."""
        with self._changed:
            self._changed.wait_for(lambda: self._side_requests or self._runs or self._quitting)
            if self._side_requests:
                return self._side_requests.popleft()
            return self._runs.popleft() if self._runs else None

    def waiting(self) -> tuple[SideRequest, SideRequestMonitor] | None:
        """Return the next side request without removing it; None if there is none."""
        with self._changed:
            return self._side_requests[0] if self._side_requests else None

    def take_waiting(self) -> None:
        with self._changed:
            self._side_requests.popleft()

    def forget(self, job: str) -> None:
        self._monitors.pop(job, None)

    def _listen(self) -> None:
        decoder = msgspec.json.Decoder(AnyWorkerRequest)
        for line in self._source:
            try:
                request = decoder.decode(line)
            except (msgspec.MsgspecError, HeadcodeError, UnicodeDecodeError, RecursionError) as error:
                sys.stderr.write(f"A request could not be read: {error}\n")
                continue
            with self._changed:
                if isinstance(request, RunProbe | MeasureEffects):
                    monitor = JobMonitor(request.job, self._writer, lambda: self.between())
                    self._monitors[request.job] = monitor
                    self._runs.append((request, monitor))
                elif isinstance(request, SideRequest):
                    side_monitor = self._monitors[request.job] = SideRequestMonitor()
                    self._side_requests.append((request, side_monitor))
                elif isinstance(request, CancelJob):
                    if request.job in self._monitors:
                        self._monitors[request.job].cancel()
                elif isinstance(request, Quit):
                    self._quitting = True
                self._changed.notify_all()
        # The host is gone: no process would receive the result.
        os._exit(0)


def main() -> None:
    """Answer requests until a Quit, or until the host closes its end of the pipe."""
    out, source = _own_pipes()
    faulthandler.enable()
    writer = ProtocolWriter(out)
    queue = RequestQueue(source, writer)

    import torch

    from engine.models.warm_model import WarmModel
    from engine.tensors.threads import adapt_threads
    from engine.worker.effects_job import EffectsJob
    from engine.worker.pipeline import ProbeJob
    from engine.worker.side_requests import SideRequestHandler

    torch.set_flush_denormal(True)  # denormal latents and Adam's second moments cost hundreds of cycles each
    warm_model = WarmModel()
    side_requests = SideRequestHandler(warm_model)
    queue.between = lambda: _answer_waiting(queue, side_requests, writer)
    writer.write(WorkerReady(pid=os.getpid(), device="cuda" if torch.cuda.is_available() else "cpu"))
    while (job := queue.next()) is not None:
        adapt_threads()  # for whatever does not choose by itself
        if isinstance(job[0], SideRequest):
            _answer(*job, queue, side_requests, writer)
            continue
        request, monitor = job
        try:
            work = (
                ProbeJob(request, warm_model, monitor)
                if isinstance(request, RunProbe)
                else EffectsJob(request, warm_model, monitor)
            )
            work.run()
        except HeadcodeError as error:
            writer.write(JobFailed(job=request.job, failure=error.as_failure()))
        except Exception as error:  # noqa: BLE001  # the worker's error boundary: reported, with the trace in the log
            traceback.print_exc()
            writer.write(JobFailed(job=request.job, failure=_unexpected(error)))
        else:
            writer.write(JobDone(job=request.job))
        finally:
            queue.forget(request.job)


def _answer(
    request: SideRequest,
    monitor: SideRequestMonitor,
    queue: RequestQueue,
    side_requests: "SideRequestHandler",
    writer: ProtocolWriter,
) -> None:
    try:
        if monitor.cancelled():
            raise Cancelled
        writer.write(side_requests.answer(request, monitor))
    except HeadcodeError as error:
        writer.write(JobFailed(job=request.job, failure=error.as_failure()))
    except Exception as error:  # noqa: BLE001  # as in main
        traceback.print_exc()
        writer.write(JobFailed(job=request.job, failure=_unexpected(error)))
    finally:
        queue.forget(request.job)


def _answer_waiting(queue: RequestQueue, side_requests: "SideRequestHandler", writer: ProtocolWriter) -> None:
    """Answer one waiting side request if it uses the run's model: another model would replace that one."""
    waiting = queue.waiting()
    if waiting is None:
        return
    request, monitor = waiting
    try:
        here = side_requests.ready(request)
    except HeadcodeError:
        here = True  # an unavailable device: answered at once, with the error
    if here or monitor.cancelled():
        queue.take_waiting()
        _answer(request, monitor, queue, side_requests, writer)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the protocol's pipes away from 0 and 1: libraries print on stdout, which would corrupt the protocol."""
    out = os.fdopen(os.dup(1), "wb")
    source = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return out, source


def _unexpected(error: Exception) -> Failure:
    lines = str(error).strip().splitlines()
    first = lines[0][:500] if lines else "no message"
    return EngineError(
        f"The engine failed: {type(error).__name__}: {first}", hint="The trace is in the log: headcode host log"
    ).as_failure()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
