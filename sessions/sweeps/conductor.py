"""Conduct sweeps: hand units to executors, repeat what a lost worker left, take in what is done, report progress."""

import asyncio
import logging
import time
from collections.abc import Collection, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ConfigError, Failure, HeadcodeError
from engine.machine.folders import AppFolders
from engine.sweeps.content_key import DecisiveVersions, installed_versions
from engine.sweeps.expansion import identity_of
from engine.sweeps.packs import pack, pack_key
from sessions.errors import BadBundle
from sessions.files.log_files import SizedLog, worker_log
from sessions.files.unit_logs import UnitLogs
from sessions.protocol.sweeps import ExecutorSettings, SweepProgress, SweepWorker, UnitProblem
from sessions.services.run_queue import RunQueue
from sessions.services.writer import StoreWriter
from sessions.store.sweep_units import StoredUnit, done_keys
from sessions.sweeps.active_sweep import ActiveSweep
from sessions.sweeps.executor import (
    AnyReport,
    Pack,
    UnitDone,
    UnitFailed,
    UnitLogged,
    UnitProgress,
    UnitStarted,
    UnitTask,
    WorkerJoined,
    WorkerLost,
)
from sessions.sweeps.executors import ExecutorContext, bundle_folder, find_executor
from sessions.sweeps.gather import gather, gather_left
from sessions.sweeps.records import RecordedSweep, make_task, record_failure

log = logging.getLogger("headcode.sweeps")

MOST_TRIES = 3
"""A unit whose worker is lost is tried twice more."""


class Conductor:
    """The sweeps that this host runs."""

    def __init__(self, places: AppFolders, writer: StoreWriter, runs: RunQueue) -> None:
        self._places, self._writer, self._runs = places, writer, runs
        self._worker_log = SizedLog(worker_log(places))
        self._unit_logs = UnitLogs(places.logs)
        self._active: dict[str, ActiveSweep] = {}
        self._last: dict[str, ActiveSweep] = {}
        """Those that ended, for their problems."""
        self._news = 0
        self._changed = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._closed = False

    @property
    def active(self) -> tuple[str, ...]:
        """Return the ids of the sweeps under way."""
        return tuple(self._active)

    @property
    def versions(self) -> DecisiveVersions:
        """Return the versions that decide the numbers of this host."""
        return installed_versions()

    @property
    def busy(self) -> bool:
        return bool(self._active) or bool(self._work)

    async def start(
        self,
        sweep: RecordedSweep,
        *,
        on: str,
        workers: int,
        settings: ExecutorSettings | None = None,
        peak_bytes: int | None = None,
    ) -> None:
        """Run the sweep's units that are neither done nor under way. Raises ConfigError.

        A sweep that is under way already takes them in addition. `peak_bytes`: most memory of a worker.
        """
        settings = settings or ExecutorSettings()
        make = find_executor(on, settings).make
        folder = self._places.sweeps / sweep.sweep_id
        async with self._starting:
            left = bundle_folder(on, settings, folder)
            if sweep.sweep_id not in self._active:
                await gather_left(
                    self._writer, left, sweep_id=sweep.sweep_id, places=self._places, versions=self.versions
                )
            # What is under way now may be finished before the store is read, so both count.
            busy = {task.key for each in self._active.values() for task in each.tasks.values()}
            keys = [each.unit.key for each in sweep.units]
            busy |= await self._writer.read(lambda store: done_keys(store, keys))
            units = [each for each in sweep.units if each.unit.key not in busy]
            identities = await asyncio.to_thread(self._identify, units)
            active = self._active.get(sweep.sweep_id)
            if active is not None and active.on != on:
                raise ConfigError(
                    f"{sweep.name} is under way on {active.on}.",
                    hint=f"Wait for it, or: headcode sweep cancel '{sweep.name}'",
                )
            if not units:
                return
            if active is None:
                active = ActiveSweep(sweep, on)
                report = partial(self._on_report, active)
                context = ExecutorContext(
                    runs=self._runs,
                    workers=workers,
                    report=report,
                    places=self._places,
                    folder=folder,
                    name=sweep.name,
                    settings=settings,
                    peak_bytes=peak_bytes,
                    device=_device(units),
                    devices=max(each.options.devices or 0 for each in units),
                )
                active.executor = await asyncio.to_thread(make, context) if on == "slurm" else make(context)
                self._active[sweep.sweep_id] = active
                self._last.pop(sweep.sweep_id, None)
            active.identities |= identities
            active.units |= {each.unit.key: each for each in units}
            tasks = [self._task(active, each) for each in units]
            log.info("sweep %s: %d units on %d workers (%s)", sweep.name, len(units), workers, on)
            packs = pack([(pack_key(task.request.model, task.request), task) for task in tasks], workers=workers)
            self._notify()
            try:
                await active.executor.submit([Pack(units=members) for _, members in packs])
            except BaseException:
                self._active.pop(sweep.sweep_id, None)
                await active.executor.close()
                active.ended.set()
                raise

    def progress(self, sweep_id: str) -> SweepProgress:
        """Return how far a sweep is, as this host knows it."""
        active = self._active.get(sweep_id) or self._last.get(sweep_id)
        if active is None:
            return SweepProgress(news=self._news, active=False)
        under_way = sweep_id in self._active
        return SweepProgress(
            news=self._news,
            active=under_way,
            on=active.on if under_way else "",
            units=len(active.units),
            done=active.done,
            failed=active.failed,
            workers=tuple(active.workers.values()) if under_way else (),
            problems=tuple(active.problems),
            left_s=active.left_s if under_way else None,
        )

    def find_active(self, reference: str) -> str | None:
        """Return the id of the sweep under way that has this id or name."""
        return next((each.sweep_id for each in self._active.values() if reference in (each.sweep_id, each.name)), None)

    async def wait_for_news(self, seen: int, *, within_s: float) -> None:
        """Wait until something changes after the news `seen`, or the time is over."""
        if self._news == seen:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._changed.wait()

    async def cancel(self, sweep_id: str) -> None:
        """Stop the sweep; return when nothing of it runs any more. A sweep that is not under way is left unchanged."""
        active = self._active.get(sweep_id)
        if active is None:
            return
        active.cancelled = True
        await active.executor.cancel(list(active.tasks))
        await active.ended.wait()

    async def close(self) -> None:
        """Stop everything; what is unfinished stays so in the store, and the same sweep goes on with it later."""
        self._closed = True
        for active in self._active.values():
            await active.executor.close()
            active.ended.set()
        self._active.clear()
        await asyncio.gather(*self._work, return_exceptions=True)

    # ---- reports

    def _on_report(self, active: ActiveSweep, report: AnyReport) -> None:
        if self._closed:
            return
        match report:
            case WorkerJoined():
                active.workers[report.worker] = SweepWorker(name=report.worker, where=report.where)
            case WorkerLost():
                active.workers.pop(report.worker, None)
                log.warning("sweep %s: %s is lost: %s", active.name, report.worker, report.reason)
            case UnitStarted():
                task = active.tasks.get(report.run_id)
                worker = active.workers.get(report.worker, SweepWorker(name=report.worker, where=""))
                active.workers[report.worker] = msgspec.structs.replace(
                    worker,
                    run_id=report.run_id,
                    unit=active.labels(task.key) if task else "",
                    stage="",
                    done=0,
                    total=0,
                )
            case UnitProgress():
                self._advance(active, report)
            case UnitLogged():
                self._log_unit(active, report)
            case UnitDone():
                self._on_done(active, report)
            case UnitFailed():
                self._on_failed(active, report)
        self._notify()

    def _advance(self, active: ActiveSweep, report: UnitProgress) -> None:
        for name, worker in active.workers.items():
            if worker.run_id == report.run_id:
                active.workers[name] = msgspec.structs.replace(
                    worker, stage=report.stage, done=report.done, total=report.total
                )

    def _on_done(self, active: ActiveSweep, report: UnitDone) -> None:
        task = active.tasks.get(report.run_id)
        if task is None:
            return
        self._free(active, report.run_id)
        if report.bundle:
            self._spawn(self._gather(active, task, Path(report.bundle)))
        else:
            self._finish(active, task, done=True)

    def _on_failed(self, active: ActiveSweep, report: UnitFailed) -> None:
        task = active.tasks.get(report.run_id)
        if task is None:
            return
        self._free(active, report.run_id)
        self._log_end(active, task, report.failure)
        again = report.again and not task.last_try and not active.cancelled
        if report.failure.family != "cancelled":
            active.problems.append(
                UnitProblem(
                    unit=active.labels(task.key),
                    run_id=task.run_id,
                    message=report.failure.message,
                    hint=report.failure.hint,
                    again=again,
                )
            )
        if again:
            del active.tasks[task.run_id]
            retry = self._task(active, active.units[task.key])
            log.info("sweep %s: unit %s is tried again as %s", active.name, task.key, retry.run_id)
            self._spawn(active.executor.submit([Pack(units=(retry,))]))
        elif report.stored or report.failure.family == "cancelled":
            self._finish(active, task, done=False)
        else:
            self._spawn(self._record_failure(active, task, report.failure))

    async def _gather(self, active: ActiveSweep, task: UnitTask, path: Path) -> None:
        try:
            await gather(
                self._writer,
                path,
                session_id=task.session_id,
                asked=task.asked,
                staging=self._places.spool,
                sae=self._places.data / "sae",
            )
        except HeadcodeError as error:
            log.error("sweep %s: %s cannot be taken in: %s", active.name, path, error.message)
            # A file that was cut on the way may come whole another time; a full disk stays full.
            again = isinstance(error, BadBundle)
            self._on_failed(active, UnitFailed(run_id=task.run_id, failure=error.as_failure(), again=again))
            return
        with suppress(OSError):
            await asyncio.to_thread(path.unlink)
        self._finish(active, task, done=True)

    async def _record_failure(self, active: ActiveSweep, task: UnitTask, failure: Failure) -> None:
        try:
            await self._writer.change(lambda recorder: record_failure(recorder, task, failure))
        except HeadcodeError as error:
            log.error("sweep %s: a failure cannot be recorded: %s", active.name, error.message)
        self._finish(active, task, done=False)

    def _finish(self, active: ActiveSweep, task: UnitTask, *, done: bool) -> None:
        """Count a unit whose last try has ended; end the sweep after its last unit."""
        if active.tasks.pop(task.run_id, None) is None:
            return
        if done:
            self._log_end(active, task, None)
            active.done += 1
            active.ends.append(time.monotonic())
        else:
            active.failed += 1
        if not active.tasks and active.done + active.failed == len(active.units):
            self._spawn(self._end(active))
        self._notify()

    async def _end(self, active: ActiveSweep) -> None:
        if active.tasks:  # extended meanwhile
            return
        if self._active.get(active.sweep_id) is active:
            del self._active[active.sweep_id]
        self._last[active.sweep_id] = active
        await active.executor.close()
        log.info("sweep %s: %d done, %d not", active.name, active.done, active.failed)
        active.ended.set()
        self._notify()

    # ---- helpers

    def _identify(self, units: Collection[StoredUnit]) -> dict[str, str]:
        """Return the identity of every model; a model whose files cannot be read is left to the worker's error."""
        found = {}
        for model in {each.unit.model for each in units}:
            found[model] = f"name:{model}"
            with suppress(HeadcodeError, OSError):
                found[model] = identity_of(model, self._places.models)
        return found

    def _task(self, active: ActiveSweep, stored: StoredUnit) -> UnitTask:
        key = stored.unit.key
        active.tries[key] = active.tries.get(key, 0) + 1
        task = make_task(
            active.name,
            stored,
            self._places,
            identity=active.identities[stored.unit.model],
            versions=self.versions,
            last=active.tries[key] >= MOST_TRIES,
        )
        active.tasks[task.run_id] = task
        active.key_of[task.run_id] = key
        return task

    def _log_unit(self, active: ActiveSweep, report: UnitLogged) -> None:
        """Add what the engine logged to the unit's log, and to that of workers, which local ones write themselves."""
        key = active.key_of.get(report.run_id)
        if key is None:
            return
        head = f"{active.name}: run {report.run_id} ({active.labels(key)}) on {report.worker}"
        active.logged[report.run_id] = head
        if active.on != "local":
            self._worker_log.write(f"--- {head}\n{report.text}\n".encode())
        self._unit_logs.add(key, head, report.text)

    def _log_end(self, active: ActiveSweep, task: UnitTask, failure: Failure | None) -> None:
        """Note in the unit's log how a try ended; of units that are done only where they have a log."""
        head = active.logged.pop(task.run_id, f"{active.name}: run {task.run_id} ({active.labels(task.key)})")
        if failure is None:
            self._unit_logs.done(task.key, head)
        elif failure.family != "cancelled":
            self._unit_logs.failed(task.key, head, f"{failure.message} {failure.hint}")

    def _free(self, active: ActiveSweep, run_id: str) -> None:
        for name, worker in active.workers.items():
            if worker.run_id == run_id:
                active.workers[name] = SweepWorker(name=name, where=worker.where)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._on_work_done)

    def _on_work_done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a sweep's work failed", exc_info=error)
        self._runs.changed()  # the host may be idle now

    def _notify(self) -> None:
        self._news += 1
        self._changed.set()
        self._changed = asyncio.Event()


def _device(units: Collection[StoredUnit]) -> str:
    """Return cpu if no unit may use a GPU."""
    return "cpu" if all(each.options.device == "cpu" for each in units) else "auto"
