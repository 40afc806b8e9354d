"""What a job does: run a pack of units, report in a file, and hand back what is left when the cluster wants the node.

SIGTERM, SIGUSR1 and SIGUSR2 (a job cancelled, preempted, or near its time limit) stop the unit under way. A unit whose
file exists is done, whatever happened afterwards; a job that Slurm itself starts again goes on behind those.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from sessions.sweeps.executor import AnyReport, Pack, UnitDone, UnitFailed, UnitProgress, WorkerJoined
from sessions.sweeps.node import NodeWorker

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_PROGRESS_S = 2.0
"""Seconds between two lines about progress: the file may be on a network file system."""
_SIGNAL_S = 0.5
"""Seconds to wait for a signal after an engine died: Slurm signals all processes of a job, the engine's too."""


class HandedBack(msgspec.Struct, frozen=True, tag="handed_back", tag_field="report"):
    """The job ends before its units were done."""

    run_ids: tuple[str, ...]
    reason: str


AnyLine = AnyReport | HandedBack
"""A line of a job's file of reports."""


def run_job(pack: str, reports: str, out: str) -> None:
    """Run the pack of a file (executor.Pack as JSON), reporting to a file, with the bundles in the folder `out`."""
    units = msgspec.json.decode(Path(pack).read_bytes(), type=Pack)
    asyncio.run(_run(units, _Reports(Path(reports)), Path(out)))


class _Reports:
    """Appends lines to a file that another machine reads: opened and closed each time, so that it sees them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = 0.0

    def add(self, line: AnyLine) -> None:
        if isinstance(line, UnitProgress):
            now = asyncio.get_running_loop().time()
            if now - self._last < _PROGRESS_S:
                return
            self._last = now
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())


async def _run(pack: Pack, reports: _Reports, out: Path) -> None:
    stop = asyncio.Event()
    got: list[str] = []
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        got.append(number.name)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    async with NodeWorker(name=f"{socket.gethostname()} {_job_id()}") as worker:
        reports.add(WorkerJoined(worker=worker.name, where=socket.gethostname()))
        left = {task.run_id for task in pack.units}
        for task in pack.units:
            goal = out / f"{task.run_id}.headcode"
            if goal.exists():
                end: UnitDone | UnitFailed = UnitDone(run_id=task.run_id, bundle=str(goal))
            elif stop.is_set():
                break
            else:
                work = asyncio.create_task(worker.run(task, out, reports.add))
                end = await _until_stop(work, stop, partial(worker.cancel, task.run_id))
                if isinstance(end, UnitFailed) and end.again:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), _SIGNAL_S)
                if stop.is_set() and isinstance(end, UnitFailed) and (end.again or end.failure.family == "cancelled"):
                    break
            left.discard(task.run_id)
            reports.add(end)
        if left:
            reports.add(HandedBack(tuple(sorted(left)), f"the job got {', '.join(dict.fromkeys(got)) or 'no signal'}"))


def _job_id() -> str:
    """Return the id of this job as squeue shows it; without Slurm that of the process."""
    array, number = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{number}" if array and number else os.environ.get("SLURM_JOB_ID") or str(os.getpid())


async def _until_stop(
    work: "asyncio.Task[UnitDone | UnitFailed]", stop: asyncio.Event, cancel: Callable[[], None]
) -> UnitDone | UnitFailed:
    """Wait for the unit; once the job has to stop, cancel it."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        cancel()
    stopping.cancel()
    return await work
