"""Queue runs and do them on a pool of workers: one, warm for people, and more for the units of a sweep."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence

import msgspec

from engine.config import load_fields
from engine.errors import Cancelled, Failure
from engine.machine.folders import AppFolders
from engine.protocol import MeasureEffects, RunProbe
from engine.sweeps.packs import PackKey, pack_key
from sessions.ids import new_id
from sessions.protocol import CancelRun, QueueRun
from sessions.rows import CurrentJob, RunRow
from sessions.services.run_recording import QueuedRun, RunRecording
from sessions.services.run_records import record_queued
from sessions.services.worker_jobs import PendingSideRequest, Report
from sessions.services.worker_supervisor import WorkerSupervisor
from sessions.services.writer import StoreWriter
from sessions.store.queries import (
    find_run,
)

log = logging.getLogger("headcode.runs")

_FORCE_S = 1.5
"""Seconds that the unit of a cancelled sweep has to stop; then its worker is ended."""


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


class _Worker:
    """One worker of the pool, and what it does."""

    def __init__(self, number: int, supervisor: WorkerSupervisor) -> None:
        self.number = number
        """From 0; the first also does what people ask for, and answers side requests."""
        self.supervisor = supervisor
        self.current: QueuedRun | _UnrecordedJob | None = None
        self.unit: UnitRun | None = None
        """The unit that it began last."""
        self.holds: PackKey | None = None
        """What its last unit had loaded."""
        self.wake = asyncio.Event()
        self.closing = False
        self.task: asyncio.Task[None]


class UnitRun(QueuedRun, kw_only=True, eq=False):
    """The run of a sweep's unit; any worker may do it."""

    on_start: Callable[[int], None]
    """Called with the worker's number."""
    on_output: Callable[[bytes], None]
    """Called with what the worker wrote to its log meanwhile, or soon after."""

    @property
    def pack(self) -> PackKey:
        return pack_key(self.request.model, self.request)


class RunQueue:
    """The runs that wait and those in progress. What people ask for is done by the first worker, in order."""

    def __init__(
        self,
        places: AppFolders,
        writer: StoreWriter,
        supervisor: WorkerSupervisor,
        more: Callable[[], WorkerSupervisor] | None = None,
    ) -> None:
        """`more`: makes the supervisors of further workers; without it there is one."""
        self._places = places
        self._writer = writer
        self._more = more
        self._waiting: deque[QueuedRun | _UnrecordedJob] = deque()
        self._units: deque[UnitRun] = deque()
        self._workers: list[_Worker] = []
        self._wanted: dict[object, int] = {}
        """Workers by the sweep that asked for them."""
        self._finishing: set[asyncio.Task[None]] = set()
        """Units whose end is being recorded, while their workers do the next."""
        self._idle = asyncio.Event()
        """Set while no run is active."""
        self._idle.set()
        self._closing = False
        self._recording = RunRecording(places, writer)
        self.changed: Callable[[], None] = lambda: None
        """Called whenever a run is queued or ends."""
        self._recording.changed = lambda: self.changed()
        self._add_worker(supervisor)

    @property
    def cannot_record(self) -> Callable[[str, Failure], None]:
        """Called when events of a session can no longer be recorded."""
        return self._recording.cannot_record

    @cannot_record.setter
    def cannot_record(self, call: Callable[[str, Failure], None]) -> None:
        self._recording.cannot_record = call

    @property
    def queued(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> str | None:
        """Return the job of the first worker that has one."""
        return next(iter(self.all_running), None)

    @property
    def all_running(self) -> tuple[str, ...]:
        """Return the jobs of all workers."""
        return tuple(worker.current.request.job for worker in self._workers if worker.current is not None)

    @property
    def workers(self) -> int:
        return len(self._workers)

    @property
    def at_work(self) -> CurrentJob | None:
        """Return the first worker's current job: the active run or measurement, or a side request."""
        first = self._workers[0]
        found = first.supervisor.at_work
        if found is None:
            return None
        current = None if isinstance(found, PendingSideRequest) else first.current
        return CurrentJob(
            job=found.request.job,
            title=found.title
            if isinstance(found, PendingSideRequest)
            else current.title
            if current is not None
            else "",
            run_id=found.run_id
            if isinstance(found, PendingSideRequest)
            else ""
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
        working = any(worker.current is not None for worker in self._workers)
        return working or bool(self._waiting or self._units or self._finishing) or self._recording.busy

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
            QueuedRun(session_id=work.session_id, title=title, request=probe, spool=spool, own_examples=made)
        )
        self._wake()
        return row

    def queue_units(self, units: Sequence[UnitRun]) -> None:
        """Queue units behind those that wait; a free worker takes one of the model that it has loaded."""
        self._units += units
        self._wake()

    def set_workers(self, sweep: object, number: int) -> None:
        """Use at least so many workers while this sweep runs; 0: it has ended. Those too many end after their unit."""
        if number:
            self._wanted[sweep] = number
        else:
            self._wanted.pop(sweep, None)
        most = max(self._wanted.values(), default=1)
        while self._more is not None and len(self._workers) < most and not self._closing:
            self._add_worker(self._more())
        for worker in self._workers:
            worker.closing = worker.number >= most
            worker.wake.set()

    def cancel_units(self, jobs: Collection[str]) -> list[UnitRun]:
        """Remove these waiting units and return them; those under way are stopped, with their workers if they hang."""
        removed = [unit for unit in self._units if unit.request.job in jobs]
        self._units = deque(unit for unit in self._units if unit.request.job not in jobs)
        for worker in self._workers:
            current = worker.current
            if isinstance(current, UnitRun) and current.request.job in jobs:
                job, supervisor = current.request.job, worker.supervisor
                supervisor.cancel(job, force=False)
                later = asyncio.get_running_loop().call_later
                later(_FORCE_S, lambda job=job, end=supervisor.cancel: end(job, force=True))  # type: ignore[misc]
        return removed

    async def cancel(self, request: CancelRun) -> None:
        """Stop a queued or active run; a finished one is left unchanged. Raises NoSuchRecord."""
        run_id = await self._writer.read(lambda store: find_run(store, request.run))
        if self._cancel_active(run_id, force=request.force):
            return
        for run in self._waiting:
            if isinstance(run, QueuedRun) and run.request.job == run_id:
                self._waiting.remove(run)
                await self._recording.end(run, Cancelled().as_failure())
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
        self._wake()
        return await job.ended

    def cancel_unrecorded(self, job: str, *, force: bool) -> None:
        """Stop a queued or active job of `run_unrecorded`; a finished one is left unchanged."""
        self._cancel_active(job, force=force)
        for item in self._waiting:
            if isinstance(item, _UnrecordedJob) and item.request.job == job:
                self._waiting.remove(item)
                item.end(Cancelled().as_failure())
                self.changed()
                return

    async def close(self) -> None:
        """End the workers and record queued and active runs as interrupted; waiting units were never recorded."""
        self._closing = self._recording.closing = True
        self._units.clear()
        for worker in self._workers:
            if isinstance(worker.current, QueuedRun):
                worker.current.interrupted = True
        await asyncio.gather(*(worker.supervisor.close() for worker in self._workers))
        await self._idle.wait()
        for worker in self._workers:
            worker.task.cancel()
        await asyncio.gather(*self._finishing, return_exceptions=True)
        self._recording.close()
        while self._waiting:
            run = self._waiting.popleft()
            if isinstance(run, _UnrecordedJob):
                run.end(Cancelled().as_failure())
                continue
            run.interrupted = True
            await self._recording.end(run, None)

    def _cancel_active(self, job: str, *, force: bool) -> bool:
        for worker in self._workers:
            if worker.current is not None and worker.current.request.job == job:
                worker.supervisor.cancel(job, force=force)
                return True
        return False

    def _wake(self) -> None:
        for worker in self._workers:
            worker.wake.set()
        self.changed()

    def _add_worker(self, supervisor: WorkerSupervisor) -> None:
        worker = _Worker(len(self._workers), supervisor)
        supervisor.on_output = lambda job, chunk: self._on_output(worker, job, chunk)
        name = "runs" if worker.number == 0 else f"units {worker.number}"
        worker.task = asyncio.create_task(self._work(worker), name=name)
        self._workers.append(worker)

    def _on_output(self, worker: _Worker, job: str, chunk: bytes) -> None:
        if worker.unit is not None and worker.unit.request.job == job:
            worker.unit.on_output(chunk)

    def _take(self, worker: _Worker) -> QueuedRun | _UnrecordedJob | None:
        """Return the worker's next item: what people wait for, else a unit of the model that it has loaded."""
        if worker.number == 0 and self._waiting:
            return self._waiting.popleft()
        if not self._units or worker.closing:
            return None
        unit = next((each for each in self._units if each.pack == worker.holds), None)
        if unit is None:
            # Another model: one that no other worker has, if there is any, so that a model is loaded once.
            elsewhere = {each.holds for each in self._workers if each is not worker}
            unit = next((each for each in self._units if each.pack not in elsewhere), self._units[0])
        self._units.remove(unit)
        worker.holds = unit.pack
        return unit

    async def _work(self, worker: _Worker) -> None:
        while True:
            while not self._closing and (item := self._take(worker)) is not None:
                worker.current = item
                self._idle.clear()
                try:
                    await self._perform(item, worker)
                except Exception:
                    log.exception("run %s", item.request.job)
                finally:
                    worker.current = None
                    if not any(each.current is not None for each in self._workers):
                        self._idle.set()
                    self.changed()
            if worker.closing and worker.number and worker is self._workers[-1]:
                self._workers.pop()
                for other in self._workers:
                    other.wake.set()  # one below may be the next to leave
                await worker.supervisor.close()
                return
            worker.wake.clear()
            await worker.wake.wait()

    async def _perform(self, item: QueuedRun | _UnrecordedJob, worker: _Worker) -> None:
        if isinstance(item, _UnrecordedJob):
            item.end(await worker.supervisor.perform(item.request, item.report))
            return
        if not isinstance(item, UnitRun):
            await self._recording.perform(item, worker.supervisor)
            return
        worker.unit = item
        item.on_start(worker.number)
        failure = await self._recording.execute(item, worker.supervisor)
        task = asyncio.create_task(self._recording.finish(item, failure), name=f"end of {item.request.job}")
        self._finishing.add(task)
        task.add_done_callback(self._on_finished)
        if len(self._finishing) > 2 * len(self._workers):  # the store is slower than the workers
            await asyncio.wait(self._finishing, return_when=asyncio.FIRST_COMPLETED)

    def _on_finished(self, task: asyncio.Task[None]) -> None:
        self._finishing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s cannot be recorded", task.get_name(), exc_info=error)
        self.changed()
