"""Run units on any machine: a warm engine worker, scratch files on the local disk, one atomic file for each unit.

`python -m sessions.sweeps.node PACK.json FOLDER` runs a pack (executor.Pack as JSON), leaves FOLDER/RUN.headcode for
each unit that is done, and prints one report a line (executor.AnyReport as JSON). Neither a host nor a store is needed.
"""

import argparse
import asyncio
import glob
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import msgspec
import psutil

from engine.errors import Failure, HeadcodeError
from engine.events import ArrayReady, EngineEvent, ModelReady, StageProgress, StageStarted, TrainStep
from engine.machine.folders import find_folders
from sessions.bundle.export import BundleWriter, ExportRange
from sessions.bundle.portable_log import EventRow
from sessions.events import AnyEvent, ArrayStored, RunEnded, RunStarted, SessionCreated
from sessions.files.array_files import read_codes, spool_file, store_by_content
from sessions.files.log_files import SizedLog
from sessions.ids import new_id
from sessions.services.worker_jobs import StageCounter
from sessions.services.worker_supervisor import WORKER, WorkerSupervisor
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
)
from sessions.sweeps.version_check import find_difference, find_other_model

_PROGRESS_S = 0.2
"""Minimum seconds between two reports of progress."""
_FORCE_S = 1.5
"""Seconds that a cancelled unit has to stop; then its worker is ended."""
_MOST_LOGGED = 16_000
"""Bytes of a unit's log that are passed on, its end."""
_SCRATCH = "headcode-node-"


class NodeWorker:
    """A warm engine worker that runs units one after the other, each into one file."""

    def __init__(
        self,
        *,
        name: str = "",
        models: Path | None = None,
        scratch: Path | None = None,
        command: Sequence[str] = WORKER,
    ) -> None:
        """Make the scratch folder in `scratch`, a local disk. `models`: the node's folder of fetched models."""
        places = find_folders()
        self.name = name or f"{socket.gethostname()} {new_id('w')[-4:]}"
        self._models = models or places.models
        self._scratch = Path(tempfile.mkdtemp(prefix=f"{_mark()}{os.getpid()}-", dir=scratch))
        _remove_left(self._scratch.parent)
        self._log = self._scratch / "worker.log"
        self._supervisor = WorkerSupervisor(command, SizedLog(self._log), idle_s=0)
        self._running: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the worker and delete the scratch files."""
        await self._supervisor.close()
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    def cancel(self, run_id: str) -> None:
        """Stop the unit if it is the one under way."""
        if self._running == run_id:
            self._supervisor.cancel(run_id, force=False)
            later = asyncio.get_running_loop().call_later
            later(_FORCE_S, lambda: self._supervisor.cancel(run_id, force=True))

    async def run(
        self, task: UnitTask, folder: Path, report: ReportTo, *, model: str = "", models: str = ""
    ) -> UnitDone | UnitFailed:
        """Run the unit and return how it ended, which is not passed to `report`; all before that is.

        A finished unit leaves `folder`/RUN.headcode, complete or not at all. `model` and `models` replace the model's
        name and the folder of fetched models, where this node has the model elsewhere.
        """
        report(UnitStarted(run_id=task.run_id, worker=self.name))
        different = find_difference(task.versions)
        if different is not None:
            return UnitFailed(run_id=task.run_id, failure=different, again=False)
        spool = self._scratch / task.run_id
        recording = _UnitRecording(task, spool, report, self._stop_for)
        request = msgspec.structs.replace(
            task.request,
            model=model or task.request.model,
            spool=str(spool),
            models=models or str(self._models),
            activations=str(self._scratch / "activations"),
        )
        self._running = task.run_id
        self._log.unlink(missing_ok=True)
        try:
            failure = await self._supervisor.perform(request, recording.on_event)
            failure = recording.refused or failure
            if failure is None:
                goal = folder / f"{task.run_id}.headcode"
                await asyncio.to_thread(recording.write, goal, self._scratch)
                return UnitDone(run_id=task.run_id, bundle=str(goal))
        except HeadcodeError as error:
            failure = error.as_failure()
        finally:
            self._running = None
            await asyncio.to_thread(shutil.rmtree, spool, ignore_errors=True)
            logged = self._logged()
            if logged:
                report(UnitLogged(run_id=task.run_id, worker=self.name, text=logged))
        return UnitFailed(run_id=task.run_id, failure=failure, again=failure.name == "WorkerDied")

    def _logged(self) -> str:
        """Return the end of what the engine wrote during this unit."""
        try:
            return self._log.read_bytes()[-_MOST_LOGGED:].decode(errors="replace").strip()
        except OSError:
            return ""

    def _stop_for(self, task: UnitTask) -> None:
        self._supervisor.cancel(task.run_id, force=False)


class _UnitRecording:
    """The log of one unit, kept in memory until its bundle is written."""

    def __init__(self, task: UnitTask, spool: Path, report: ReportTo, stop: Callable[[UnitTask], None]) -> None:
        self.refused: Failure | None = None
        self._task, self._spool, self._report, self._stop = task, spool, report, stop
        self._rows: list[EventRow] = []
        self._codes: ArrayReady | None = None
        self._sae = ""
        self._stages = StageCounter()
        self._last = 0.0
        name = f"{task.title}"[:200] or task.run_id
        self._session = new_id("s")
        self._add(SessionCreated(name=name, model=task.request.model, task=task.request.task), run=False)
        self._add(task.asked)
        self._add(RunStarted())

    async def on_event(self, event: EngineEvent) -> None:
        self._stages.on_event(event)
        match event:
            case ModelReady():
                self.refused = find_other_model(self._task.identity, event.model.identity, event.model.name)
                if self.refused is not None:
                    self._stop(self._task)
            case ArrayReady(name="codes"):
                self._codes = event
            case ArrayReady(name="sae"):
                self._sae = event.file
            case _:
                pass
        self._add(event)
        if isinstance(event, StageStarted | StageProgress | TrainStep):
            now = time.monotonic()
            if isinstance(event, StageStarted) or now - self._last >= _PROGRESS_S:
                self._last = now
                at = self._stages
                self._report(UnitProgress(run_id=self._task.run_id, stage=at.stage or "", done=at.done, total=at.total))

    def write(self, goal: Path, scratch: Path) -> None:
        """Write the unit's bundle: its log, codes and weights."""
        sae = scratch / f"{self._task.run_id}-sae"
        try:
            if self._sae:
                digest, n_bytes = store_by_content(spool_file(self._spool, self._sae), sae)
                self._add(ArrayStored(name="sae", sha256=digest, n_bytes=n_bytes))
            self._add(RunEnded(state="done"))
            head = ExportRange(session_id=self._session, last_seq=len(self._rows))
            with BundleWriter(scratch, head, tables=False) as writer:
                writer.add(self._rows)
                if self._codes is not None:
                    seeds = self._task.request.config.seeds
                    rows = read_codes(self._spool, self._codes).rows
                    writer.add_codes(self._task.run_id, [(seeds[seed], place, codes) for seed, place, codes in rows])
                goal.parent.mkdir(parents=True, exist_ok=True)
                writer.finish(goal, sae=sae, force=True)
        finally:
            shutil.rmtree(sae, ignore_errors=True)

    def _add(self, event: AnyEvent, *, run: bool = True) -> None:
        self._rows.append(
            EventRow(
                len(self._rows) + 1,
                time.time_ns() // 1000,
                self._task.run_id if run else None,
                msgspec.json.encode(event).decode(),
            )
        )


def _mark() -> str:
    """Return how names of this machine's scratch folders begin: the folder may be one that machines share."""
    return f"{_SCRATCH}{socket.gethostname()}-"


def _remove_left(folder: Path) -> None:
    """Delete scratch folders of node workers of this machine that were killed."""
    for path in folder.glob(f"{glob.escape(_mark())}*-*"):
        owner = path.name.removeprefix(_mark()).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


async def run_pack(pack: Pack, folder: Path, report: ReportTo, *, worker: NodeWorker) -> None:
    """Run the units of a pack one after the other, reporting everything, with the bundles in `folder`."""
    for task in pack.units:
        report(await worker.run(task, folder, report))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one pack; return 0 even if units failed, which their reports say."""
    parser = argparse.ArgumentParser(prog="python -m sessions.sweeps.node")
    parser.add_argument("pack", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scratch", type=Path, default=None)
    options = parser.parse_args(argv)
    pack = msgspec.json.decode(options.pack.read_bytes(), type=Pack)

    def report(each: AnyReport) -> None:
        sys.stdout.write(msgspec.json.encode(each).decode() + "\n")
        sys.stdout.flush()

    async def run() -> None:
        async with NodeWorker(scratch=options.scratch) as worker:
            await run_pack(pack, options.folder.resolve(), report, worker=worker)

    asyncio.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
