"""One engine worker, kept warm: started, given orders, listened to, ended, replaced."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import Cancelled, Failure
from engine.events import EngineEvent, ModelReady
from engine.jobs import (
    MAX_LINE_BYTES,
    AnyOrder,
    AnyWord,
    CancelJob,
    JobDone,
    JobEvent,
    JobFailed,
    RunCause,
    RunProbe,
    SideAnswer,
    SideOrder,
    WorkerReady,
)
from engine.memory import kills, weight
from sessions.ends import describe_end, garbled
from sessions.lines import NONSENSE, LineReader, LineTooLong
from sessions.logs import SizedLog

log = logging.getLogger("headcode.worker")

WORKER = (sys.executable, "-P", "-m", "engine.worker")
_LEASH = Path(__file__).with_name("leash.py")
_QUIT_S = 3.0
"""Seconds a worker gets to leave after its input ended."""
_REPORT_CHUNK = 1 << 16
_WEIGH_S = 0.25

Report = Callable[[EngineEvent], Awaitable[None]]


class _Job:
    def __init__(self, order: RunProbe | RunCause, report: Report) -> None:
        self.order = order
        self.report = report
        self.sent = False
        self.heard = False
        self.cancels = 0
        self.killed = False
        self.ended: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    def end(self, failure: Failure | None) -> None:
        if not self.ended.done():
            self.ended.set_result(failure)


class _Grading:
    """A side order: prompts to grade or a head to look at, beside whatever job there is."""

    def __init__(self, order: SideOrder) -> None:
        self.order = order
        self.sent = False
        self.ended: asyncio.Future[SideAnswer | Failure] = asyncio.get_running_loop().create_future()

    def end(self, answer: SideAnswer | Failure) -> None:
        if not self.ended.done():
            self.ended.set_result(answer)


class _Worker:
    """One process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self.model: str | None = None
        self.distrusted: Failure | None = None
        """Why we ended it ourselves, where we did."""
        self.kills = kills()
        """How often the kernel had ended somebody for want of memory when this one began."""
        self.held: int | None = None
        """Bytes of memory it was last seen with."""


class Supervisor:
    """Runs one job at a time on a worker that outlives the jobs."""

    def __init__(self, command: Sequence[str], errors: SizedLog, *, idle_s: float) -> None:
        self._command = tuple(command)
        self._errors = errors
        self._idle_s = idle_s
        self._worker: _Worker | None = None
        self._job: _Job | None = None
        self._gradings: dict[str, _Grading] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self._turned = asyncio.Event()
        self._news = 0
        """Set, and replaced, whenever the state may be another one."""

    @property
    def pid(self) -> int | None:
        return None if self._worker is None else self._worker.process.pid

    @property
    def model(self) -> str | None:
        return None if self._worker is None else self._worker.model

    @property
    def state(self) -> str:
        """none | starting | warm | busy"""
        if self._worker is None:
            return "none"
        if not self._worker.ready.is_set():
            return "starting"
        return "warm" if self._job is None else "busy"

    async def other_state(self, seen: str, *, within_s: float) -> None:
        """Returns when the worker is in another state than that one, there is other news, or the time is over."""
        told = self._news
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.state == seen and self._news == told:
                    await self._turned.wait()

    def tell(self) -> None:
        """Something else about the host is new: whoever waits for another state is answered now."""
        self._news += 1
        self._turn()

    def _turn(self) -> None:
        """Wakes those who wait for another state."""
        self._turned.set()
        self._turned = asyncio.Event()

    async def warm_up(self) -> None:
        """Starts the worker where there is none, so that torch loads before it is needed."""
        await self._ensure()
        if self._job is None:
            self._rest()

    async def perform(self, order: RunProbe | RunCause, report: Report) -> Failure | None:
        """Has the order carried out; returns None when it was, or why not. Never raises for what a worker does."""
        assert self._job is None
        self._stir()
        reused = self._worker is not None
        job = self._job = _Job(order, report)
        self._turn()
        failure = await self._attempt(job)
        if reused and failure is not None and failure.name == "WorkerDied" and not (job.heard or job.killed):
            # It had died while it waited, unseen until now: that is no fault of this run.
            log.info("run %s again on a new worker", order.job)
            self._job = _Job(order, report)
            self._turn()
            failure = await self._attempt(self._job)
        return failure

    async def beside(self, order: SideOrder) -> SideAnswer | Failure:
        """The answer, or why there is none. Cancelled, it tells the worker that nobody waits for them any more."""
        self._stir()
        grading = self._gradings[order.job] = _Grading(order)
        try:
            worker = await self._ensure()
            if worker is None:
                return Cancelled().as_failure() if self._closed else self._not_started()
            if worker.ready.is_set():
                self._send_grading(worker, grading)
            return await grading.ended
        finally:
            del self._gradings[order.job]
            if grading.sent and not grading.ended.done() and self._worker is not None:
                _send(self._worker, CancelJob(job=order.job))
            if self._job is None:
                self._rest()

    def cancel(self, run_id: str, *, force: bool) -> None:
        """Asks the job to stop; asked a second time, or with force, ends the worker."""
        job, worker = self._job, self._worker
        if job is None or job.order.job != run_id:
            return
        job.cancels += 1
        if not job.sent and not force:
            job.end(Cancelled().as_failure())  # the worker is still starting and keeps doing so
        elif force or job.cancels > 1:
            job.killed = True
            if worker is not None:
                _kill(worker.process)
            else:
                job.end(Cancelled().as_failure())
        elif worker is not None:
            _send(worker, CancelJob(job=run_id))

    async def close(self) -> None:
        """Ends the worker, gently first; no other is started."""
        self._closed = True
        self._stir()
        worker = self._worker
        if worker is not None:
            await self._dismiss(worker)
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attempt(self, job: _Job) -> Failure | None:
        try:
            worker = await self._ensure()
            if worker is None and self._closed:
                return Cancelled().as_failure()
            if worker is None:
                return self._not_started()
            if worker.ready.is_set():
                self._send_order(worker, job)
            return await job.ended
        finally:
            self._job = None
            self._turn()
            self._rest()

    def _not_started(self) -> Failure:
        return Failure(
            family="engine",
            name="WorkerDied",
            message=f"The engine could not be started: {self._command[0]} did not run.",
            hint="See: headcode host log; headcode doctor checks the installation.",
        )

    async def _ensure(self) -> _Worker | None:
        async with self._starting:
            if self._worker is None:
                if self._closed:
                    return None
                try:
                    process = await asyncio.create_subprocess_exec(
                        *self._leashed(),
                        stdin=asyncio.subprocess.PIPE,
                        stdout=asyncio.subprocess.PIPE,
                        stderr=asyncio.subprocess.PIPE,
                        cwd="/",
                        start_new_session=True,
                    )
                except OSError:
                    log.exception("worker did not start: %s", self._command)
                    return None
                log.info("worker %d started", process.pid)
                self._worker = _Worker(process)
                self._turn()
                self._spawn(self._watch(self._worker))
            return self._worker

    def _leashed(self) -> list[str]:
        return [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *self._command]

    def _spawn(self, work: "asyncio.Future[None] | Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, worker: _Worker) -> None:
        """Listens until the worker is gone, then says what became of its job."""
        errors = asyncio.create_task(self._keep_errors(worker.process.stderr))
        scales = asyncio.create_task(self._weigh(worker))
        try:
            await self._listen(worker)
        except Exception:
            log.exception("listening to worker %d", worker.process.pid)
        finally:
            scales.cancel()
        _kill(worker.process)  # it has closed its output: whatever it still is, it is no worker
        code = await worker.process.wait()
        await asyncio.gather(errors, return_exceptions=True)
        log.info("worker %d ended: %s", worker.process.pid, code)
        if self._worker is not worker:
            return  # dismissed before
        self._worker = None
        self._turn()
        for grading in tuple(self._gradings.values()):
            if grading.sent or not worker.ready.is_set():
                grading.end(worker.distrusted or describe_end(code))
        if self._job is not None and self._job.killed:
            self._job.end(Cancelled().as_failure())
        elif self._job is not None:
            by_kernel = worker.kills is not None and (kills() or 0) > worker.kills
            probe = self._job.order if isinstance(self._job.order, RunProbe) else None
            ended = describe_end(code, order=probe, held=worker.held, by_kernel=by_kernel)
            self._job.end(worker.distrusted or ended)

    async def _weigh(self, worker: _Worker) -> None:
        """Keeps at hand how much memory a working worker holds: once it is killed, nobody can tell any more."""
        while True:
            if self._job is not None:
                worker.held = weight(worker.process.pid) or worker.held
            await asyncio.sleep(_WEIGH_S)

    async def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        reader = LineReader(worker.process.stdout)
        decoder = msgspec.json.Decoder(AnyWord)
        while True:
            try:
                line = await reader.line(MAX_LINE_BYTES)
            except LineTooLong as error:
                worker.distrusted = garbled(error.message)
                return
            if line is None:
                return
            try:
                word = decoder.decode(line)
            except NONSENSE as error:
                if line.lstrip().startswith(b'{"word"'):
                    log.error("worker %d: %s in %r", worker.process.pid, error, line[:400])
                    worker.distrusted = garbled(str(error))
                    return
                log.warning("worker %d printed %r", worker.process.pid, line[:400])
                continue
            await self._heard(worker, word)

    async def _heard(self, worker: _Worker, word: AnyWord) -> None:
        job = self._job
        if self._worker is not worker:
            return  # dismissed while it spoke
        if isinstance(word, WorkerReady):
            worker.ready.set()
            self._turn()
            if job is not None and not job.sent and not job.ended.done():
                self._send_order(worker, job)
            for grading in self._gradings.values():
                self._send_grading(worker, grading)
            return
        if word.job in self._gradings and isinstance(word, SideAnswer | JobFailed):
            self._gradings[word.job].end(word.failure if isinstance(word, JobFailed) else word)
            return
        if job is None or job.order.job != word.job or job.ended.done():
            return  # a late word about a job that is over
        job.heard = True
        match word:
            case JobEvent():
                if isinstance(word.event, ModelReady):
                    worker.model = word.event.model.name
                await job.report(word.event)
            case JobDone():
                job.end(None)
            case JobFailed():
                job.end(word.failure)

    def _send_order(self, worker: _Worker, job: _Job) -> None:
        job.sent = True
        _send(worker, job.order)

    def _send_grading(self, worker: _Worker, grading: _Grading) -> None:
        if not grading.sent:
            grading.sent = True
            _send(worker, grading.order)

    async def _keep_errors(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while chunk := await stream.read(_REPORT_CHUNK):
            self._errors.write(chunk)

    def _rest(self) -> None:
        self._stir()
        if self._worker is not None and self._idle_s > 0:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._leave)

    def _stir(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _leave(self) -> None:
        worker = self._worker
        if worker is not None and self._job is None and not self._gradings:
            log.info("worker %d idle for %.0f s", worker.process.pid, self._idle_s)
            self._worker = None
            self._turn()
            self._spawn(self._dismiss(worker))

    async def _dismiss(self, worker: _Worker) -> None:
        stdin = worker.process.stdin
        if stdin is not None:
            stdin.close()
        try:
            await asyncio.wait_for(worker.process.wait(), _QUIT_S if self._job is None else 0.2)
        except TimeoutError:
            _kill(worker.process)
            await worker.process.wait()


def _send(worker: _Worker, order: AnyOrder) -> None:
    stdin = worker.process.stdin
    if stdin is not None and not stdin.is_closing():
        stdin.write(msgspec.json.encode(order) + b"\n")


def _kill(process: asyncio.subprocess.Process) -> None:
    """Ends the worker and what it started: it leads a process group of its own."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
