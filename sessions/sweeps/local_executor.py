"""The local pool as an executor: units are done by the host's own workers, with every event recorded live."""

from collections.abc import Collection, Sequence
from pathlib import Path

from engine.errors import Cancelled, Failure
from engine.events import EngineEvent
from sessions.events import RunEnded
from sessions.services.run_queue import RunQueue, UnitRun
from sessions.services.worker_jobs import StageCounter
from sessions.sweeps.executor import (
    AnyReport,
    Pack,
    ReportTo,
    UnitDone,
    UnitFailed,
    UnitLogged,
    UnitProgress,
    UnitStarted,
    UnitTask,
    WorkerJoined,
    WorkerLost,
)


class LocalExecutor:
    """Runs units on the host's run queue. With one worker they take turns with what people ask for."""

    def __init__(self, runs: RunQueue, report: ReportTo, *, workers: int) -> None:
        self._runs = runs
        self._report = report
        self._tasks: dict[str, UnitTask] = {}
        self._worker_of: dict[str, int] = {}
        self._closed = False
        runs.set_workers(self, workers)
        for number in range(runs.workers):
            report(WorkerJoined(worker=_worker(number), where="this machine"))

    async def submit(self, packs: Sequence[Pack]) -> None:
        tasks = [task for pack in packs for task in pack.units]
        self._tasks |= {task.run_id: task for task in tasks}
        self._runs.queue_units([self._unit(task) for task in tasks])

    async def cancel(self, run_ids: Collection[str]) -> None:
        for unit in self._runs.cancel_units(set(run_ids) & set(self._tasks)):
            del self._tasks[unit.request.job]
            self._report(UnitFailed(run_id=unit.request.job, failure=Cancelled().as_failure(), again=False))

    async def close(self) -> None:
        self._closed = True
        self._runs.cancel_units(set(self._tasks))
        self._runs.set_workers(self, 0)

    def _unit(self, task: UnitTask) -> UnitRun:
        stages = StageCounter()

        def on_event(event: EngineEvent) -> None:
            before = (stages.stage, stages.done)
            stages.on_event(event)
            if before != (stages.stage, stages.done):
                self._tell(
                    UnitProgress(run_id=task.run_id, stage=stages.stage or "", done=stages.done, total=stages.total)
                )

        return UnitRun(
            session_id=task.session_id,
            title=task.title,
            request=task.request,
            spool=Path(task.request.spool),
            own_examples=True,
            asked=task.asked,
            on_start=lambda number: self._started(task, number),
            on_event=on_event,
            on_output=lambda chunk: self._logged(task, chunk),
            on_end=lambda ended: self._ended(task, ended),
            again=lambda failure: _may_succeed(failure) and not task.last_try,
        )

    def _started(self, task: UnitTask, number: int) -> None:
        self._worker_of[task.run_id] = number
        self._tell(UnitStarted(run_id=task.run_id, worker=_worker(number)))

    def _logged(self, task: UnitTask, chunk: bytes) -> None:
        worker = _worker(self._worker_of.get(task.run_id, 0))
        self._tell(UnitLogged(run_id=task.run_id, worker=worker, text=chunk.decode(errors="replace")))

    def _ended(self, task: UnitTask, ended: RunEnded) -> None:
        self._tasks.pop(task.run_id, None)
        number = self._worker_of.get(task.run_id, 0)
        if ended.state == "done":
            self._tell(UnitDone(run_id=task.run_id))
            return
        failure = ended.failure or Cancelled().as_failure()
        if failure.name == "WorkerDied":
            self._tell(WorkerLost(worker=_worker(number), reason=failure.message))
            self._tell(WorkerJoined(worker=_worker(number), where="this machine"))
        self._tell(UnitFailed(run_id=task.run_id, failure=failure, again=_may_succeed(failure), stored=True))

    def _tell(self, report: AnyReport) -> None:
        if not self._closed:
            self._report(report)


def _worker(number: int) -> str:
    return f"local {number + 1}"


def _may_succeed(failure: Failure) -> bool:
    """Return whether another worker may do what this one died of."""
    return failure.name == "WorkerDied"
