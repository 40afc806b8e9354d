"""The engine's process: orders in on stdin, words out on stdout, one job at a time (python -m engine.worker)."""

import contextlib
import faulthandler
import os
import queue
import sys
import threading
import time
import traceback
from typing import BinaryIO

import msgspec

from engine.errors import EngineError, Failure, HeadcodeError
from engine.events import Event, StageProgress
from engine.jobs import (
    AnyOrder,
    CancelJob,
    JobDone,
    JobEvent,
    JobFailed,
    Quit,
    RunProbe,
    Word,
    WorkerReady,
)

_PROGRESS_EVERY_S = 0.1
"""Progress may be coalesced; measurements never."""


class Mouth:
    """The one way out: whole lines, from any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder()

    def say(self, word: Word) -> None:
        line = self._encoder.encode(word) + b"\n"
        with self._lock:
            self._out.write(line)
            self._out.flush()


class JobMonitor:
    """The Monitor of one job: its events go out under its name."""

    def __init__(self, job: str, mouth: Mouth) -> None:
        self.job = job
        self._mouth = mouth
        self._stop = threading.Event()
        self._last_progress = 0.0

    def report(self, event: Event, /) -> None:
        if isinstance(event, StageProgress):
            now = time.monotonic()
            if event.done < event.total and now - self._last_progress < _PROGRESS_EVERY_S:
                return
            self._last_progress = now
        self._mouth.say(JobEvent(job=self.job, event=event))  # type: ignore[arg-type]  # every Event is an EngineEvent

    def cancelled(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        self._stop.set()


class Orders:
    """Orders as they come in, on a thread of their own, so that a cancel is heard in the middle of a job."""

    def __init__(self, source: BinaryIO, mouth: Mouth) -> None:
        self._source = source
        self._mouth = mouth
        self._waiting: queue.Queue[tuple[RunProbe, JobMonitor] | None] = queue.Queue()
        self._monitors: dict[str, JobMonitor] = {}
        threading.Thread(target=self._listen, daemon=True, name="orders").start()

    def next(self) -> tuple[RunProbe, JobMonitor] | None:
        """The next job and its monitor; None when it is time to go."""
        return self._waiting.get()

    def forget(self, job: str) -> None:
        self._monitors.pop(job, None)

    def _listen(self) -> None:
        decoder = msgspec.json.Decoder(AnyOrder)
        for line in self._source:
            try:
                order = decoder.decode(line)
            except (msgspec.MsgspecError, HeadcodeError) as error:
                sys.stderr.write(f"An order could not be read: {error}\n")
                continue
            if isinstance(order, RunProbe):
                monitor = JobMonitor(order.job, self._mouth)
                self._monitors[order.job] = monitor
                self._waiting.put((order, monitor))
            elif isinstance(order, CancelJob):
                if order.job in self._monitors:
                    self._monitors[order.job].cancel()
            elif isinstance(order, Quit):
                self._waiting.put(None)
        # The host is gone: whatever is being computed has nobody to go to.
        os._exit(0)


def main() -> None:
    """Takes orders until told to quit, or until the host's end of the pipe closes."""
    out, source = _own_pipes()
    faulthandler.enable()
    mouth = Mouth(out)
    orders = Orders(source, mouth)

    import torch

    from engine.pipeline import Probe
    from engine.shelf import Shelf

    torch.set_flush_denormal(True)  # vanishing latents and Adam's second moments cost hundreds of cycles each
    shelf = Shelf()
    mouth.say(WorkerReady(pid=os.getpid(), device="cuda" if torch.cuda.is_available() else "cpu"))
    while (job := orders.next()) is not None:
        order, monitor = job
        try:
            Probe(order, shelf, monitor).run()
        except HeadcodeError as error:
            mouth.say(JobFailed(job=order.job, failure=error.as_failure()))
        except Exception as error:  # noqa: BLE001  # the worker's boundary: told to the person, trace to the log
            traceback.print_exc()
            mouth.say(JobFailed(job=order.job, failure=_unforeseen(error)))
        else:
            mouth.say(JobDone(job=order.job))
        finally:
            orders.forget(order.job)


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
