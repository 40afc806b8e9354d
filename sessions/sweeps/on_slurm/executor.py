"""Slurm as an executor: packs become jobs, and what becomes of their units is read from a shared folder."""

import asyncio
import logging
import shutil
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import Cancelled, ConfigError, Failure
from sessions.ids import new_id
from sessions.sweeps.executor import (
    AnyReport,
    Pack,
    ReportTo,
    UnitDone,
    UnitFailed,
    UnitLogged,
    UnitTask,
    WorkerJoined,
    WorkerLost,
)
from sessions.sweeps.on_slurm.cluster import PackFiles, SlurmJobs
from sessions.sweeps.on_slurm.job import AnyLine, HandedBack

log = logging.getLogger("headcode.slurm")

_POLL_S = 1.0
"""Seconds between looks at the files of reports."""
_ASK_S = 5.0
"""Seconds between questions to Slurm, which serves others, too."""
_SETTLE_S = 5.0
"""Seconds after a job has ended in which its files may still arrive over a network file system."""
_MOST_LOGGED = 16_000
"""Characters of a job's log that are passed on, its end."""
_MOST_HAND_BACKS = 20
"""Times that a unit may be handed back (preempted, out of time); then it has failed."""


class _Job:
    def __init__(self, job_id: str, pack: Pack, files: PackFiles) -> None:
        self.job_id, self.files = job_id, files
        self.units = {task.run_id: task for task in pack.units}
        """Those that have not ended, by the run id that the job knows: an adopted job has those of another host."""
        self.started: set[str] = set()
        self.at_work = False
        """Whether it reported anything at all."""
        self.worker = ""
        self.read = 0
        """Bytes of its reports that were read."""
        self.ended_at: float | None = None


class SlurmExecutor:
    """Runs packs as jobs. The bundles in the folder are the truth; jobs only say how far they are."""

    def __init__(
        self, report: ReportTo, jobs: SlurmJobs, folder: Path, *, poll_s: float = _POLL_S, ask_s: float = _ASK_S
    ) -> None:
        self._report, self._cluster, self._folder = report, jobs, folder
        self._out = folder / "out"
        self._poll_s, self._ask_s = poll_s, ask_s
        self._jobs: dict[str, _Job] = {}
        self._hand_backs: Counter[str] = Counter()
        """By content key."""
        self._list = folder / "jobs"
        """A line for each job: its id and the name of its pack, for a host that comes after this one."""
        self._following: asyncio.Task[None] | None = None
        self._asked = 0.0
        self._submitting = asyncio.Lock()
        self._cancelled: set[str] = set()
        self._closed = False

    async def submit(self, packs: Sequence[Pack]) -> None:
        first = self._following is None
        if first:
            self._following = asyncio.create_task(self._follow())
        try:
            ended: list[UnitDone] = []
            if first:
                packs, ended = await asyncio.to_thread(self._adopt, packs)
            await self._submit(packs)
            for report in ended:
                self._tell(report)
        except ConfigError as error:
            if first:
                raise
            for task in (task for pack in packs for task in pack.units):
                self._tell(UnitFailed(run_id=task.run_id, failure=error.as_failure(), again=False))

    async def cancel(self, run_ids: Collection[str]) -> None:
        self._cancelled |= set(run_ids)
        ended = []
        for job in self._jobs.values():
            self._drop_cancelled(job)
            if not job.units:
                ended.append(job.job_id)
        await asyncio.to_thread(self._cluster.cancel, ended)

    async def close(self) -> None:
        self._closed = True
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        async with self._submitting:
            await asyncio.to_thread(self._cluster.cancel, list(self._jobs))
            await asyncio.to_thread(self._cluster.close)
            await asyncio.to_thread(self._clear)

    def _clear(self) -> None:
        """Delete what jobs needed; finished units that were not taken in stay for the next start."""
        self._list.unlink(missing_ok=True)
        for folder in (self._folder / "packs", self._folder / "submitit"):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self._out, self._folder):
            with suppress(OSError):  # not empty
                folder.rmdir()

    # ---- jobs

    async def _submit(self, packs: Sequence[Pack]) -> None:
        """Submit packs as one array. Raises ConfigError."""
        if not packs:
            return
        async with self._submitting:
            files = [await asyncio.to_thread(self._write, pack) for pack in packs]
            ids = await asyncio.to_thread(self._cluster.submit, files)
            names = [path.stem for path, _, _ in files]
            await asyncio.to_thread(_append, self._list, "".join(f"{a} {b}\n" for a, b in zip(ids, names, strict=True)))
            for job_id, pack, each in zip(ids, packs, files, strict=True):
                job = self._jobs[job_id] = _Job(job_id, pack, each)
                self._drop_cancelled(job)
            log.info("jobs %s for %d packs", ", ".join(ids[:4]), len(packs))

    def _drop_cancelled(self, job: _Job) -> None:
        for known, task in list(job.units.items()):
            if task.run_id in self._cancelled:
                del job.units[known]
                self._tell(UnitFailed(run_id=task.run_id, failure=Cancelled().as_failure(), again=False))

    def _adopt(self, packs: Sequence[Pack]) -> tuple[list[Pack], list[UnitDone]]:
        """Follow the jobs of a host that was killed; return the packs without the units that those jobs have.

        Also returned: units that a job finished just before it ended, after the host had looked for files. A job that
        has none of the units is cancelled; files of jobs that have ended are deleted.
        """
        lines = [line.split() for line in _read_from(self._list, 0).decode().splitlines()]
        known = {line[0]: line[1] for line in lines if len(line) == 2}
        active = (self._cluster.active(list(known)) or set()) if known else set()
        wanted = {task.key: task for pack in packs for task in pack.units}
        adopted: dict[str, str] = {}
        ended = []
        for job_id in known:
            files = self._files(known[job_id])
            job = _Job(job_id, Pack(units=()), files)
            for task in _read_pack(files[0]).units:
                bundle = self._out / f"{task.run_id}.headcode"
                if task.key in wanted and job_id in active:
                    job.units[task.run_id] = wanted.pop(task.key)
                elif task.key in wanted and bundle.exists():
                    ended.append(UnitDone(run_id=wanted.pop(task.key).run_id, bundle=str(bundle)))
            if job_id not in active:
                continue
            if job.units:
                self._jobs[job_id] = job
                adopted[job_id] = known[job_id]
                log.info("job %s of an earlier host has %d of the units", job_id, len(job.units))
            else:
                self._cluster.cancel([job_id])
        for path in (self._folder / "packs").glob("*"):
            if path.stem not in adopted.values():
                path.unlink()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._list.write_text("".join(f"{job_id} {name}\n" for job_id, name in adopted.items()))
        left = [tuple(task for task in pack.units if task.key in wanted) for pack in packs]
        return [Pack(units=units) for units in left if units], ended

    def _write(self, pack: Pack) -> PackFiles:
        files = self._files(new_id("p"))
        for folder in (files[0].parent, self._out):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files[0].write_bytes(msgspec.json.encode(pack))
        files[1].touch()
        return files

    def _files(self, name: str) -> PackFiles:
        folder = self._folder / "packs"
        return folder / f"{name}.json", folder / f"{name}.reports", self._out

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self._look()
            except Exception:
                log.exception("the jobs cannot be followed")

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        for job in list(self._jobs.values()):
            await self._read(job)
        if now - self._asked >= self._ask_s and self._jobs:
            self._asked = now
            active = await asyncio.to_thread(self._cluster.active, list(self._jobs))
            for job in self._jobs.values() if active is not None else ():
                if job.job_id in (active or ()):
                    job.ended_at = None
                elif job.ended_at is None:
                    job.ended_at = now
        settle = min(_SETTLE_S, 2 * self._ask_s)
        for job in [each for each in self._jobs.values() if each.ended_at is not None]:
            if not job.units or now - (job.ended_at or now) >= settle:
                await self._read(job)
                await self._settle(job)

    async def _read(self, job: _Job) -> None:
        """Take the lines that the job added to its file."""
        text = await asyncio.to_thread(_read_from, job.files[1], job.read)
        whole = text.rfind(b"\n") + 1
        job.read += whole
        decoder: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)
        for line in text[:whole].splitlines():
            try:
                found = decoder.decode(line)
            except msgspec.MsgspecError as error:
                log.warning("%s: a line cannot be read: %s", job.files[1], error)
                continue
            job.at_work = True
            await self._on_line(job, found)

    async def _on_line(self, job: _Job, line: AnyLine) -> None:
        match line:
            case HandedBack():
                await self._hand_back(job, line)
            case WorkerJoined():
                if job.worker:
                    self._tell(WorkerLost(worker=job.worker, reason="its job was started again"))
                job.worker = line.worker
                self._tell(line)
            case WorkerLost():
                self._tell(line)
            case _:
                task = job.units.get(line.run_id)
                if task is None:
                    return
                if isinstance(line, UnitDone | UnitFailed):
                    del job.units[line.run_id]
                job.started.add(line.run_id)
                self._tell(msgspec.structs.replace(line, run_id=task.run_id))

    async def _hand_back(self, job: _Job, line: HandedBack) -> None:
        """Submit again what a job handed back; this does not count as a try of the unit."""
        log.info("job %s hands back %d units: %s", job.job_id, len(line.run_ids), line.reason)
        again = []
        for run_id in line.run_ids:
            task = job.units.pop(run_id, None)
            if task is None:
                continue
            self._hand_backs[task.key] += 1
            if self._hand_backs[task.key] > _MOST_HAND_BACKS:
                reason = f"it was handed back {_MOST_HAND_BACKS} times; the last time {line.reason}"
                self._tell(UnitFailed(run_id=task.run_id, failure=_lost(job, reason), again=False))
            else:
                again.append(task)
        await self._again(again)

    async def _settle(self, job: _Job) -> None:
        """Decide what becomes of the units of a job that has ended."""
        del self._jobs[job.job_id]
        if job.worker:
            self._tell(WorkerLost(worker=job.worker, reason="its job ended"))
        if not job.units:
            return
        reason = await asyncio.to_thread(self._cluster.describe_end, job.job_id)
        log.warning("job %s ended with %d units left: %s", job.job_id, len(job.units), reason)
        text = (await asyncio.to_thread(self._cluster.log_text, job.job_id))[-_MOST_LOGGED:]
        again = []
        for run_id, task in job.units.items():
            bundle = self._out / f"{run_id}.headcode"
            if await asyncio.to_thread(bundle.exists):
                self._tell(UnitDone(run_id=task.run_id, bundle=str(bundle)))
            elif run_id in job.started or not job.at_work:
                if text:
                    self._tell(UnitLogged(run_id=task.run_id, worker=f"job {job.job_id}", text=text))
                self._tell(UnitFailed(run_id=task.run_id, failure=_lost(job, reason), again=True))
            else:
                again.append(task)
        await self._again(again)

    async def _again(self, tasks: Sequence[UnitTask]) -> None:
        if not tasks or self._closed:
            return
        try:
            await self._submit([Pack(units=tuple(tasks))])
        except ConfigError as error:
            for task in tasks:
                self._tell(UnitFailed(run_id=task.run_id, failure=error.as_failure(), again=False))

    def _tell(self, report: AnyReport) -> None:
        if not self._closed:
            self._report(report)


def _lost(job: _Job, reason: str) -> Failure:
    return Failure(
        family="engine",
        name="WorkerDied",
        message=f"Job {job.job_id} ended before the unit was done: {reason}",
        hint="headcode sweep retry SWEEP --failed runs it again.",
    )


def _read_from(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read()
    except OSError:
        return b""


def _read_pack(path: Path) -> Pack:
    """Return the pack of a job; an empty one if its file is gone or was cut."""
    try:
        return msgspec.json.decode(_read_from(path, 0), type=Pack)
    except msgspec.MsgspecError:
        return Pack(units=())


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)
