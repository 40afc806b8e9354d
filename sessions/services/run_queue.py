"""Queue runs, run them one at a time, and record how each ended."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.config import load_fields
from engine.errors import Cancelled, Failure, HeadcodeError
from engine.events import ArrayReady, EngineEvent, ExamplesMade
from engine.machine.folders import AppFolders
from engine.protocol import MeasureEffects, RunProbe
from sessions.errors import StoreError
from sessions.events import ArrayStored, RunEnded, RunStarted, RunState
from sessions.files.array_files import remove_spool, spool_file, store_by_content
from sessions.ids import new_id
from sessions.protocol import CancelRun, QueueRun
from sessions.rows import CurrentJob, RunRow
from sessions.services.run_records import describe_interruption, record_examples, record_queued
from sessions.services.worker_jobs import PendingSideRequest, Report
from sessions.services.worker_supervisor import WorkerSupervisor
from sessions.services.writer import StoreWriter
from sessions.store.queries import (
    find_run,
)
from sessions.store.recorder import EventDraft, RecordedEntry

log = logging.getLogger("headcode.runs")

_MAX_BACKLOG = 32 << 20
"""Bytes of uncommitted events from which on the worker has to wait."""
_WRITE_TIMEOUT_S = 10.0
"""Seconds that a worker has to stop a run that cannot be recorded; then it is ended."""
RETRY_S = 2.0
"""Seconds between attempts to record the end of a run while the disk is full."""


class _QueuedRun(msgspec.Struct, kw_only=True, eq=False):
    session_id: str
    title: str
    request: RunProbe
    spool: Path
    own_examples: bool = False
    """Its examples belong to this run only and do not become the session's."""
    writing: "set[asyncio.Future[list[RecordedEntry]]]" = msgspec.field(default_factory=set)
    write_error: HeadcodeError | None = None
    interrupted: bool = False
    sae: str | None = None


class _UnrecordedJob(msgspec.Struct, kw_only=True, eq=False):
    """A job that waits in the queue like a run but is not recorded in the log."""

    title: str
    run_id: str
    """The run that it is about."""
    request: RunProbe | MeasureEffects
    report: Report
    ended: "asyncio.Future[Failure | None]"

    def end(self, failure: Failure | None) -> None:
        if not self.ended.done():
            self.ended.set_result(failure)


class RunQueue:
    """The queue of runs and the one in progress."""

    def __init__(self, places: AppFolders, writer: StoreWriter, supervisor: WorkerSupervisor) -> None:
        self._places = places
        self._writer = writer
        self._supervisor = supervisor
        self._waiting: deque[_QueuedRun | _UnrecordedJob] = deque()
        self._current: _QueuedRun | _UnrecordedJob | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        """Set while no run is active."""
        self._idle.set()
        self._closing = False
        self._unwritten: set[asyncio.Task[None]] = set()
        self.changed: Callable[[], None] = lambda: None
        """Called whenever a run is queued or ends."""
        self.cannot_record: Callable[[str, Failure], None] = lambda *_: None
        """Called when events of a session can no longer be recorded."""
        self._task = asyncio.create_task(self._work(), name="runs")

    @property
    def queued(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> str | None:
        return None if self._current is None else self._current.request.job

    @property
    def at_work(self) -> CurrentJob | None:
        """Return the engine's current job: the active run or measurement, or a side request."""
        found = self._supervisor.at_work
        if found is None:
            return None
        current = None if isinstance(found, PendingSideRequest) else self._current
        return CurrentJob(
            job=found.request.job,
            title=found.title
            if isinstance(found, PendingSideRequest)
            else current.title
            if current is not None
            else "",
            run_id=""
            if current is None
            else current.run_id
            if isinstance(current, _UnrecordedJob)
            else current.request.job,
            stage=found.last.progress.stage or "",
            done=found.last.progress.done,
            total=found.last.progress.total,
            unit=found.last.progress.unit,
            heard_us=found.last.at_us,
            silent=found.last.silent,
        )

    @property
    def busy(self) -> bool:
        return self._current is not None or bool(self._waiting) or bool(self._unwritten)

    async def queue(self, request: QueueRun) -> RunRow:
        """Queue and record a run; return its row. Raises NoSuchRecord, ExampleError, StoreError."""
        run_id = new_id("r")
        models = self._places.models
        work, asked, row, title = await self._writer.change(
            lambda recorder: record_queued(recorder, request, run_id, models)
        )
        spool = self._places.spool / run_id
        probe = RunProbe(
            job=run_id,
            model=row.model,
            config=row.config,
            examples=work.examples,
            task=work.task,
            made=bool(work.examples) and work.task is not None,
            pairs=work.pairs,
            task_seed=work.task_seed,
            usable=work.usable,
            known=asked.known,
            spool=str(spool),
            models=str(models),
            activations=str(self._places.activations),
            **load_fields(asked),
        )
        made = request.made is not None and request.again is None
        self._waiting.append(
            _QueuedRun(session_id=work.session_id, title=title, request=probe, spool=spool, own_examples=made)
        )
        self._wake.set()
        self.changed()
        return row

    async def cancel(self, request: CancelRun) -> None:
        """Stop a queued or active run; a finished one is left unchanged. Raises NoSuchRecord."""
        run_id = await self._writer.read(lambda store: find_run(store, request.run))
        if self.running == run_id:
            self._supervisor.cancel(run_id, force=request.force)
            return
        for run in self._waiting:
            if isinstance(run, _QueuedRun) and run.request.job == run_id:
                self._waiting.remove(run)
                await self._end(run, Cancelled().as_failure())
                self.changed()
                return

    async def run_unrecorded(
        self, request: RunProbe | MeasureEffects, report: Report, *, title: str, run_id: str
    ) -> Failure | None:
        """Run a request in its turn without recording it; return None, or the failure."""
        job = _UnrecordedJob(
            title=title, run_id=run_id, request=request, report=report, ended=asyncio.get_running_loop().create_future()
        )
        self._waiting.append(job)
        self._wake.set()
        self.changed()
        return await job.ended

    def cancel_unrecorded(self, job: str, *, force: bool) -> None:
        """Stop a queued or active job of `run_unrecorded`; a finished one is left unchanged."""
        if self.running == job:
            self._supervisor.cancel(job, force=force)
        for item in self._waiting:
            if isinstance(item, _UnrecordedJob) and item.request.job == job:
                self._waiting.remove(item)
                item.end(Cancelled().as_failure())
                self.changed()
                return

    async def close(self) -> None:
        """End the worker and record queued and active runs as interrupted."""
        self._closing = True
        if isinstance(self._current, _QueuedRun):
            self._current.interrupted = True
        await self._supervisor.close()
        await self._idle.wait()
        self._task.cancel()
        for task in self._unwritten:
            task.cancel()
        while self._waiting:
            run = self._waiting.popleft()
            if isinstance(run, _UnrecordedJob):
                run.end(Cancelled().as_failure())
                continue
            run.interrupted = True
            await self._end(run, None)

    async def _work(self) -> None:
        while True:
            while self._waiting and not self._closing:
                self._current = self._waiting.popleft()
                self._idle.clear()
                try:
                    await self._perform(self._current)
                except Exception:
                    log.exception("run %s", self.running)
                finally:
                    self._current = None
                    self._idle.set()
                    self.changed()
            self._wake.clear()
            await self._wake.wait()

    async def _perform(self, run: _QueuedRun | _UnrecordedJob) -> None:
        if isinstance(run, _UnrecordedJob):
            run.end(await self._supervisor.perform(run.request, run.report))
            return
        log.info("run %s begins", run.request.job)
        failure: Failure | None
        try:
            await self._writer.append(self._make_draft(run, RunStarted()))
            failure = await self._supervisor.perform(run.request, lambda event: self._on_event(run, event))
            await asyncio.gather(*run.writing, return_exceptions=True)
            if run.write_error is None and run.sae is not None:
                await self._keep_sae(run, run.sae)
        except HeadcodeError as error:
            failure = error.as_failure()
        if run.write_error is not None:
            failure = run.write_error.as_failure()
        await asyncio.to_thread(remove_spool, run.spool)
        await self._end(run, failure)

    async def _on_event(self, run: _QueuedRun, event: EngineEvent) -> None:
        """Pass an event to the writer; the next event is read without waiting for the commit."""
        if run.write_error is not None:
            return
        if isinstance(event, ExamplesMade):
            await asyncio.gather(*run.writing, return_exceptions=True)
            try:
                adopt = not run.request.examples and not run.own_examples
                await self._writer.change(
                    lambda recorder: record_examples(recorder, run.session_id, run.request.job, event, adopt=adopt)
                )
            except HeadcodeError as error:
                self._write_failed(run, error)
            return
        if isinstance(event, ArrayReady) and event.name == "sae":
            run.sae = event.file
        future = self._writer.append_soon(self._make_draft(run, event))
        run.writing.add(future)
        future.add_done_callback(lambda done: self._on_written(run, done))
        if self._writer.backlog > _MAX_BACKLOG:
            await asyncio.wait([future])

    def _on_written(self, run: _QueuedRun, done: "asyncio.Future[list[RecordedEntry]]") -> None:
        run.writing.discard(done)
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._write_failed(run, error)

    def _write_failed(self, run: _QueuedRun, error: BaseException) -> None:
        if run.write_error is None:
            log.error("run %s cannot be recorded: %s", run.request.job, error)
            known = error if isinstance(error, HeadcodeError) else None
            run.write_error = known or StoreError(f"The run cannot be recorded: {error}.")
            self._supervisor.cancel(run.request.job, force=False)
            later = asyncio.get_running_loop().call_later
            later(_WRITE_TIMEOUT_S, lambda: self._supervisor.cancel(run.request.job, force=True))

    async def _keep_sae(self, run: _QueuedRun, name: str) -> None:
        def move() -> tuple[str, int]:
            return store_by_content(spool_file(run.spool, name), self._places.data / "sae")

        sha256, n_bytes = await asyncio.to_thread(move)
        await self._writer.append(self._make_draft(run, ArrayStored(name="sae", sha256=sha256, n_bytes=n_bytes)))

    async def _end(self, run: _QueuedRun, failure: Failure | None) -> None:
        """Record the end. If the disk is full, report that to the subscribers and keep trying."""
        state: RunState
        if run.interrupted and (failure is None or failure.name in ("WorkerDied", "Cancelled")):
            state, failure = "interrupted", describe_interruption(run.request.job, "was stopped")
        elif failure is None:
            state = "done"
        else:
            state = "stopped" if failure.family == "cancelled" else "failed"
        log.info("run %s: %s %s", run.request.job, state, "" if failure is None else failure.message)
        ending = self._make_draft(run, RunEnded(state=state, failure=failure))
        try:
            await self._writer.append(ending)
        except HeadcodeError as error:
            log.error("the end of run %s cannot be recorded: %s", run.request.job, error)
            self.cannot_record(run.session_id, error.as_failure())
            if not self._closing:
                task = asyncio.create_task(self._end_later(ending))
                self._unwritten.add(task)
                task.add_done_callback(self._unwritten.discard)

    async def _end_later(self, ending: EventDraft) -> None:
        while True:
            await asyncio.sleep(RETRY_S)
            try:
                await self._writer.append(ending)
            except HeadcodeError:
                continue
            self.changed()
            return

    def _make_draft(self, run: _QueuedRun, event: EngineEvent | RunStarted | RunEnded | ArrayStored) -> EventDraft:
        spool = run.spool if isinstance(event, ArrayReady) else None
        return EventDraft(session_id=run.session_id, run_id=run.request.job, event=event, spool=spool)
