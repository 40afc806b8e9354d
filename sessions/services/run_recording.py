"""Run a request on a worker and record everything that it reports, from RunStarted to RunEnded."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.errors import Failure, HeadcodeError
from engine.events import ArrayReady, EngineEvent, ExamplesMade
from engine.machine.folders import AppFolders
from engine.protocol import RunProbe
from sessions.errors import StoreError
from sessions.events import ArrayStored, RunEnded, RunQueued, RunStarted, RunState
from sessions.files.array_files import remove_spool, spool_file, store_by_content
from sessions.services.run_records import describe_interruption, record_examples
from sessions.services.worker_supervisor import WorkerSupervisor
from sessions.services.writer import StoreWriter
from sessions.store.recorder import EventDraft, RecordedEntry

log = logging.getLogger("headcode.runs")

_MAX_BACKLOG = 32 << 20
"""Bytes of uncommitted events from which on the worker has to wait."""
_WRITE_TIMEOUT_S = 10.0
"""Seconds that a worker has to stop a run that cannot be recorded; then it is ended."""
RETRY_S = 2.0
"""Seconds between attempts to record the end of a run while the disk is full."""


class QueuedRun(msgspec.Struct, kw_only=True, eq=False):
    """A run that waits or is under way."""

    session_id: str
    title: str
    request: RunProbe
    spool: Path
    own_examples: bool = False
    """Its examples belong to this run only and do not become the session's."""
    asked: RunQueued | None = None
    """Recorded when the run begins; None: it was recorded when the run was queued."""
    on_event: Callable[[EngineEvent], None] | None = None
    on_end: Callable[[RunEnded], None] | None = None
    """Called once the end is recorded, or cannot be."""
    again: Callable[[Failure], bool] | None = None
    """Whether its work will be done by another run, so that this one is only interrupted by the failure."""
    writing: "set[asyncio.Future[list[RecordedEntry]]]" = msgspec.field(default_factory=set)
    write_error: HeadcodeError | None = None
    interrupted: bool = False
    sae: str | None = None


class RunRecording:
    """Records runs; several at a time, each on a worker of its own."""

    def __init__(self, places: AppFolders, writer: StoreWriter) -> None:
        self._places = places
        self._writer = writer
        self._unwritten: set[asyncio.Task[None]] = set()
        self.closing = False
        self.changed: Callable[[], None] = lambda: None
        """Called when a late end is recorded."""
        self.cannot_record: Callable[[str, Failure], None] = lambda *_: None
        """Called when events of a session can no longer be recorded."""

    @property
    def busy(self) -> bool:
        """Return whether the end of a run still has to be recorded."""
        return bool(self._unwritten)

    def close(self) -> None:
        for task in self._unwritten:
            task.cancel()

    async def perform(self, run: QueuedRun, supervisor: WorkerSupervisor) -> None:
        """Run it on the worker, and record how it ended."""
        await self.finish(run, await self.execute(run, supervisor))

    async def execute(self, run: QueuedRun, supervisor: WorkerSupervisor) -> Failure | None:
        """Run it on the worker; return None or the failure. The worker is free then; `finish` records the end."""
        log.info("run %s begins", run.request.job)
        try:
            if run.asked is None:
                await self._writer.append(self._make_draft(run, RunStarted()))
            else:
                # The worker does not wait for the commit; whatever it reports is written after it.
                drafts = [self._make_draft(run, event) for event in (run.asked, RunStarted())]
                begun = self._writer.append_soon(*drafts)
                run.writing.add(begun)
                begun.add_done_callback(lambda done: self._on_begun(run, supervisor, done))
            return await supervisor.perform(run.request, lambda event: self._on_event(run, supervisor, event))
        except HeadcodeError as error:
            return error.as_failure()

    async def finish(self, run: QueuedRun, failure: Failure | None) -> None:
        """Wait until everything is written, store the weights, and record the end."""
        try:
            await asyncio.gather(*run.writing, return_exceptions=True)
            if run.write_error is None and run.sae is not None:
                await self._keep_sae(run, run.sae)
        except HeadcodeError as error:
            failure = failure or error.as_failure()
        if run.write_error is not None:
            failure = run.write_error.as_failure()
        await asyncio.to_thread(remove_spool, run.spool)
        await self.end(run, failure)

    async def end(self, run: QueuedRun, failure: Failure | None) -> None:
        """Record the end. If the disk is full, report that to the subscribers and keep trying."""
        state: RunState
        if run.interrupted and (failure is None or failure.name in ("WorkerDied", "Cancelled")):
            state, failure = "interrupted", describe_interruption(run.request.job, "was stopped")
        elif failure is None:
            state = "done"
        elif run.again is not None and run.again(failure):
            state = "interrupted"
        else:
            state = "stopped" if failure.family == "cancelled" else "failed"
        log.info("run %s: %s %s", run.request.job, state, "" if failure is None else failure.message)
        ended = RunEnded(state=state, failure=failure)
        ending = self._make_draft(run, ended)
        try:
            # A run that could not even begin has no entry to end.
            if run.asked is None:
                await self._writer.append(ending)
        except HeadcodeError as error:
            log.error("the end of run %s cannot be recorded: %s", run.request.job, error)
            self.cannot_record(run.session_id, error.as_failure())
            if not self.closing:
                task = asyncio.create_task(self._end_later(ending))
                self._unwritten.add(task)
                task.add_done_callback(self._unwritten.discard)
        if run.on_end is not None:
            run.on_end(ended)

    async def _end_later(self, ending: EventDraft) -> None:
        while True:
            await asyncio.sleep(RETRY_S)
            try:
                await self._writer.append(ending)
            except HeadcodeError:
                continue
            self.changed()
            return

    async def _on_event(self, run: QueuedRun, supervisor: WorkerSupervisor, event: EngineEvent) -> None:
        """Pass an event to the writer; the next event is read without waiting for the commit."""
        if run.write_error is not None:
            return
        if run.on_event is not None:
            run.on_event(event)
        if isinstance(event, ExamplesMade):
            await asyncio.gather(*run.writing, return_exceptions=True)
            try:
                adopt = not run.request.examples and not run.own_examples
                await self._writer.change(
                    lambda recorder: record_examples(recorder, run.session_id, run.request.job, event, adopt=adopt)
                )
            except HeadcodeError as error:
                self._write_failed(run, supervisor, error)
            return
        if isinstance(event, ArrayReady) and event.name == "sae":
            run.sae = event.file
        future = self._writer.append_soon(self._make_draft(run, event))
        run.writing.add(future)
        future.add_done_callback(lambda done: self._on_written(run, supervisor, done))
        if self._writer.backlog > _MAX_BACKLOG:
            await asyncio.wait([future])

    def _on_begun(
        self, run: QueuedRun, supervisor: WorkerSupervisor, done: "asyncio.Future[list[RecordedEntry]]"
    ) -> None:
        if not done.cancelled() and done.exception() is None:
            run.asked = None
        self._on_written(run, supervisor, done)

    def _on_written(
        self, run: QueuedRun, supervisor: WorkerSupervisor, done: "asyncio.Future[list[RecordedEntry]]"
    ) -> None:
        run.writing.discard(done)
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._write_failed(run, supervisor, error)

    def _write_failed(self, run: QueuedRun, supervisor: WorkerSupervisor, error: BaseException) -> None:
        if run.write_error is None:
            log.error("run %s cannot be recorded: %s", run.request.job, error)
            known = error if isinstance(error, HeadcodeError) else None
            run.write_error = known or StoreError(f"The run cannot be recorded: {error}.")
            supervisor.cancel(run.request.job, force=False)
            later = asyncio.get_running_loop().call_later
            later(_WRITE_TIMEOUT_S, lambda: supervisor.cancel(run.request.job, force=True))

    async def _keep_sae(self, run: QueuedRun, name: str) -> None:
        def move() -> tuple[str, int]:
            return store_by_content(spool_file(run.spool, name), self._places.data / "sae")

        sha256, n_bytes = await asyncio.to_thread(move)
        await self._writer.append(self._make_draft(run, ArrayStored(name="sae", sha256=sha256, n_bytes=n_bytes)))

    def _make_draft(
        self, run: QueuedRun, event: EngineEvent | RunQueued | RunStarted | RunEnded | ArrayStored
    ) -> EventDraft:
        spool = run.spool if isinstance(event, ArrayReady) else None
        return EventDraft(session_id=run.session_id, run_id=run.request.job, event=event, spool=spool)
