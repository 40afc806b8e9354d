"""Keep one engine worker warm: start it, send it requests, read its events, end and replace it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

import msgspec

from engine.errors import Cancelled, Failure
from engine.events import ModelReady
from engine.machine import child_processes
from engine.machine.memory import oom_kills, resident_bytes
from engine.protocol import (
    MAX_LINE_BYTES,
    AnyWorkerMessage,
    CancelJob,
    JobDone,
    JobEvent,
    JobFailed,
    MeasureEffects,
    RunProbe,
    SideAnswer,
    SideRequest,
    WorkerReady,
)
from sessions.files.log_files import SizedLog
from sessions.services.worker_exit import describe_exit, describe_garbled, describe_kill
from sessions.services.worker_jobs import Job, JobActivity, PendingSideRequest, Report
from sessions.services.worker_process import WorkerProcess, kill, send, start_worker
from sessions.transport.lines import NONSENSE, LineReader, LineTooLong

log = logging.getLogger("headcode.worker")

WORKER = tuple(child_processes.python_command("-m", "engine.worker"))
_QUIT_S = 3.0
"""Seconds that a worker has to exit after its input was closed."""
_REPORT_CHUNK = 1 << 16
_MEMORY_SAMPLE_S = 0.25


class WorkerSupervisor:
    """Runs one job at a time on a worker that outlives the jobs."""

    def __init__(self, command: Sequence[str], errors: SizedLog, *, idle_s: float) -> None:
        self._command = tuple(command)
        self._errors = errors
        self._idle_s = idle_s
        self._worker: WorkerProcess | None = None
        self._job: Job | None = None
        self._side_requests: dict[str, PendingSideRequest] = {}
        self._abandoned: dict[str, PendingSideRequest] = {}
        """Side requests sent to the worker whose answer is no longer needed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self._state_changed = asyncio.Event()
        """Set, and replaced, whenever the state may have changed."""
        self._news = 0
        self._last_job = ""
        self.on_output: Callable[[str, bytes], None] | None = None
        """Called with what the worker wrote to stderr, and the job that was its last then."""

    @property
    def pid(self) -> int | None:
        return None if self._worker is None else self._worker.process.pid

    @property
    def model(self) -> str | None:
        return None if self._worker is None else self._worker.model

    @property
    def state(self) -> str:
        """Return none | starting | warm | busy."""
        if self._worker is None:
            return "none"
        if not self._worker.ready.is_set():
            return "starting"
        return "warm" if self._job is None else "busy"

    @property
    def at_work(self) -> Job | PendingSideRequest | None:
        """Return the worker's current job. A job without reports yet is queued behind earlier requests."""
        aside = [each for each in (*self._abandoned.values(), *self._side_requests.values()) if each.sent]
        if self._job is None or (self._job.sent and not self._job.has_reported and aside):
            return aside[0] if aside else None
        return self._job

    @property
    def seen(self) -> tuple[str, str, bool]:
        """Return the state that clients follow: worker state, job, and whether the job is silent."""
        found = self.at_work
        return self.state, "" if found is None else found.request.job, found is not None and found.last.silent

    async def other_state(self, seen: tuple[str, str, bool], *, within_s: float) -> None:
        """Wait until the state differs from `seen`, there is other news, or the time is over."""
        news = self._news
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        while self.seen == seen and self._news == news and (left := deadline - clock()) > 0:
            found = self.at_work
            until_silent = found.last.until_silent if found is not None else 0.0
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, until_silent) if until_silent > 0 else left):
                    await self._state_changed.wait()

    def notify(self) -> None:
        """Wake everyone who waits for a change, since something else about the host has changed."""
        self._news += 1
        self._wake_waiters()

    def _wake_waiters(self) -> None:
        """Wake everyone who waits for a change of the state."""
        self._state_changed.set()
        self._state_changed = asyncio.Event()

    async def warm_up(self) -> None:
        """Start the worker if there is none, so that torch is loaded before it is needed."""
        await self._ensure()
        if self._job is None:
            self._start_idle_timer()

    async def perform(self, request: RunProbe | MeasureEffects, report: Report) -> Failure | None:
        """Run the request on a worker; return None, or the failure. Never raises for errors of a worker."""
        assert self._job is None
        self._stop_idle_timer()
        reused = self._worker is not None
        job = self._job = Job(request, report)
        self._last_job = request.job
        self._wake_waiters()
        failure = await self._attempt(job)
        if reused and failure is not None and failure.name == "WorkerDied" and not (job.has_reported or job.killed):
            # It had died unnoticed while idle, which is not an error of this run.
            log.info("run %s again on a new worker", request.job)
            self._job = Job(request, report)
            self._wake_waiters()
            failure = await self._attempt(self._job)
        return failure

    async def answer_side_request(self, request: SideRequest, *, run_id: str = "") -> SideAnswer | Failure:
        """Return the answer, or the failure. Cancelling it tells the worker that the answer is no longer needed."""
        self._stop_idle_timer()
        pending = self._side_requests[request.job] = PendingSideRequest(request, run_id)
        try:
            worker = await self._ensure()
            if worker is None:
                return self._not_started()
            if worker.ready.is_set():
                self._send_side_request(worker, pending)
            # Shielded, for cancelling this task would mark the future itself as done, and the worker would go on.
            return await asyncio.shield(pending.ended)
        finally:
            del self._side_requests[request.job]
            if pending.sent and not pending.ended.done() and self._worker is not None:
                self._abandoned[request.job] = pending
                send(self._worker, CancelJob(job=request.job))
            self._wake_waiters()
            if self._job is None:
                self._start_idle_timer()

    def cancel(self, run_id: str, *, force: bool) -> None:
        """Ask the job to stop.

        A second request, `force`, or a request to a job that has been silent for long ends the worker, as does
        a job that reports nothing for a while after it was asked.
        """
        job, worker = self._job, self._worker
        if job is None or job.request.job != run_id:
            return
        job.cancels, job.asked_at = job.cancels + 1, asyncio.get_running_loop().time()
        if not job.sent and not force:
            job.end(Cancelled().as_failure())  # the worker continues to start
        elif force or job.cancels > 1 or job.last.silent:
            self._end_worker_of(job)
        elif worker is not None:
            send(worker, CancelJob(job=run_id))
            self._watch_stop(job)

    def _watch_stop(self, job: Job) -> None:
        """End the worker of a job that does not stop: code that computes for minutes reads no messages."""
        if self._job is not job or job.ended.done():
            return
        if job.grace_left <= 0:
            log.info("run %s was asked to stop and does not report: its worker is ended", job.request.job)
            self._end_worker_of(job)
            return
        asyncio.get_running_loop().call_later(max(job.grace_left, 0.01), self._watch_stop, job)

    def _end_worker_of(self, job: Job) -> None:
        job.killed = True
        if self._worker is None:
            job.end(Cancelled().as_failure())
        else:
            kill(self._worker.process)

    def end_work(self, job: str) -> bool:
        """End this job and its worker; return False if the worker has another job."""
        found = self.at_work
        if found is None or found.request.job != job:
            return False
        if isinstance(found, Job):
            self._end_worker_of(found)
        elif self._worker is not None:
            self._worker.host_failure = describe_kill()
            kill(self._worker.process)
        return True

    async def close(self) -> None:
        """End the worker, gently first; no other is started."""
        self._closed = True
        self._stop_idle_timer()
        if self._worker is not None:
            await self._quit_worker(self._worker)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attempt(self, job: Job) -> Failure | None:
        try:
            worker = await self._ensure()
            if job.ended.done():
                return await job.ended  # the user ended it while the worker was starting
            if worker is None:
                return self._not_started()
            if worker.ready.is_set():
                self._send_request(worker, job)
            return await job.ended
        finally:
            self._job = None
            self._wake_waiters()
            self._start_idle_timer()

    def _not_started(self) -> Failure:
        if self._closed:
            return Cancelled().as_failure()
        return Failure(
            family="engine",
            name="WorkerDied",
            message=f"The engine could not be started: {self._command[0]} did not run.",
            hint="See: headcode host log; headcode doctor checks the installation.",
        )

    async def _ensure(self) -> WorkerProcess | None:
        async with self._starting:
            if self._worker is None:
                if self._closed:
                    return None
                self._worker = await start_worker(self._command)
                if self._worker is None:
                    return None
                self._wake_waiters()
                self._spawn(self._watch(self._worker))
            return self._worker

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, worker: WorkerProcess) -> None:
        """Read messages until the worker has ended, then report how its job ended."""
        errors = asyncio.create_task(self._copy_stderr(worker.process.stderr))
        sampling = asyncio.create_task(self._sample_memory(worker))
        try:
            await self._listen(worker)
        except Exception:
            log.exception("listening to worker %d", worker.process.pid)
        finally:
            sampling.cancel()
        kill(worker.process)  # its output is closed, so it is no longer a worker
        code = await worker.process.wait()
        await asyncio.gather(errors, return_exceptions=True)
        log.info("worker %d ended: %s", worker.process.pid, code)
        if self._worker is not worker:
            return  # quit before
        self._worker = None
        self._abandoned.clear()
        self._wake_waiters()
        for pending in tuple(self._side_requests.values()):
            if pending.sent or not worker.ready.is_set():
                pending.end(worker.host_failure or describe_exit(code))
        if self._job is not None and self._job.killed:
            self._job.end(Cancelled().as_failure())
        elif self._job is not None:
            by_kernel = worker.kills is not None and (oom_kills() or 0) > worker.kills
            probe = self._job.request if isinstance(self._job.request, RunProbe) else None
            ended = describe_exit(code, request=probe, memory_bytes=worker.memory_bytes, by_kernel=by_kernel)
            self._job.end(worker.host_failure or ended)

    async def _sample_memory(self, worker: WorkerProcess) -> None:
        """Record the memory of a busy worker from time to time: after a kill it can no longer be read."""
        while True:
            if self._job is not None:
                worker.memory_bytes = resident_bytes(worker.process.pid) or worker.memory_bytes
            await asyncio.sleep(_MEMORY_SAMPLE_S)

    async def _listen(self, worker: WorkerProcess) -> None:
        assert worker.process.stdout is not None
        reader = LineReader(worker.process.stdout)
        decoder = msgspec.json.Decoder(AnyWorkerMessage)
        while True:
            try:
                line = await reader.line(MAX_LINE_BYTES)
            except LineTooLong as error:
                worker.host_failure = describe_garbled(error.message)
                return
            if line is None:
                return
            try:
                word = decoder.decode(line)
            except NONSENSE as error:
                if line.lstrip().startswith(b'{"word"'):
                    log.error("worker %d: %s in %r", worker.process.pid, error, line[:400])
                    worker.host_failure = describe_garbled(str(error))
                    return
                log.warning("worker %d printed %r", worker.process.pid, line[:400])
                continue
            await self._on_message(worker, word)

    async def _on_message(self, worker: WorkerProcess, word: AnyWorkerMessage) -> None:
        job = self._job
        if self._worker is not worker:
            return  # it was quit while it sent this
        before = self.seen
        if not isinstance(word, WorkerReady):
            self._abandoned.pop(word.job, None)
        if isinstance(word, WorkerReady):
            worker.ready.set()
            self._wake_waiters()
            if job is not None and not job.sent and not job.ended.done():
                self._send_request(worker, job)
            for pending in self._side_requests.values():
                self._send_side_request(worker, pending)
            return
        if word.job in self._side_requests and isinstance(word, SideAnswer | JobFailed):
            self._side_requests[word.job].end(word.failure if isinstance(word, JobFailed) else word)
            return
        if job is None or job.request.job != word.job or job.ended.done():
            return  # a late message about a finished job
        job.has_reported = True
        match word:
            case JobEvent():
                job.last.event(word.event)
                if self.seen != before:
                    self._wake_waiters()
                if isinstance(word.event, ModelReady):
                    worker.model = word.event.model.name
                await job.report(word.event)
            case JobDone():
                job.end(None)
            case JobFailed():
                job.end(word.failure)

    def _send_request(self, worker: WorkerProcess, job: Job) -> None:
        job.sent = True
        send(worker, job.request)

    def _send_side_request(self, worker: WorkerProcess, pending: PendingSideRequest) -> None:
        if not pending.sent:
            pending.sent = True
            pending.last = JobActivity()
            send(worker, pending.request)
            self._wake_waiters()

    async def _copy_stderr(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while chunk := await stream.read(_REPORT_CHUNK):
            self._errors.write(chunk)
            if self.on_output is not None:
                self.on_output(self._last_job, chunk)

    def _start_idle_timer(self) -> None:
        self._stop_idle_timer()
        if self._worker is not None and self._idle_s > 0:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._quit_idle)

    def _stop_idle_timer(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _quit_idle(self) -> None:
        worker = self._worker
        if worker is not None and self._job is None and not self._side_requests:
            log.info("worker %d idle for %.0f s", worker.process.pid, self._idle_s)
            self._worker = None
            self._wake_waiters()
            self._spawn(self._quit_worker(worker))

    async def _quit_worker(self, worker: WorkerProcess) -> None:
        stdin = worker.process.stdin
        if stdin is not None:
            stdin.close()
        try:
            await asyncio.wait_for(worker.process.wait(), _QUIT_S if self._job is None else 0.2)
        except TimeoutError:
            kill(worker.process)
            await worker.process.wait()
