"""Ray as an executor: a driver process that is started, told what to run, and started again if it dies."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import Cancelled, ConfigError, Failure
from engine.machine import child_processes
from sessions.files.log_files import SizedLog
from sessions.services.worker_process import WorkerProcess, kill, start_worker
from sessions.sweeps.executor import (
    AnyReport,
    Pack,
    ReportTo,
    UnitDone,
    UnitFailed,
    UnitStarted,
    UnitTask,
    WorkerJoined,
    WorkerLost,
)
from sessions.sweeps.on_ray.messages import (
    AnyOrder,
    AnyWord,
    CancelUnits,
    DriverPlan,
    DriverReady,
    DriverTrouble,
    SubmitPacks,
)
from sessions.transport.lines import LineReader

log = logging.getLogger("headcode.ray")

DRIVER = tuple(child_processes.python_command("-m", "sessions.sweeps.on_ray.driver"))
_MOST_LINE = 1 << 26
_CANCEL_S = 1.9
"""Seconds after which a cancelled unit has ended, whatever the driver says."""
_CLOSE_S = 4.0
"""Seconds that the driver has to give everything back; actors end with it in any case."""
_MOST_DEATHS = 3
"""Drivers that may die one after the other without a finished unit."""


class RayExecutor:
    """Runs units on the actors of a driver process.

    A driver that dies takes its actors with it: a unit whose file is there is done, one that was under way is reported
    as lost, and the others are given to the next driver.
    """

    def __init__(
        self, report: ReportTo, plan: DriverPlan, *, errors: SizedLog, command: Sequence[str] = DRIVER
    ) -> None:
        self._report, self._plan, self._errors, self._command = report, plan, errors, command
        self._open: dict[str, UnitTask] = {}
        self._started: set[str] = set()
        """Of the open ones, those that an actor has."""
        self._workers: set[str] = set()
        self._driver: WorkerProcess | None = None
        self._ready: asyncio.Future[None] | None = None
        """Whether the first driver is connected."""
        self._work: asyncio.Task[None] | None = None
        self._deaths = 0
        self._closed = False

    async def submit(self, packs: Sequence[Pack]) -> None:
        self._open |= {task.run_id: task for pack in packs for task in pack.units}
        if self._work is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._work = asyncio.create_task(self._keep_driver())
            await self._ready
        elif self._driver is not None:
            self._send(SubmitPacks(tuple(packs)))

    async def cancel(self, run_ids: Collection[str]) -> None:
        wanted = set(run_ids) & set(self._open)
        if not wanted:
            return
        self._send(CancelUnits(tuple(wanted)))
        asyncio.get_running_loop().call_later(_CANCEL_S, self._end_all, wanted, Cancelled().as_failure())

    async def close(self) -> None:
        self._closed = True
        driver = self._driver
        if driver is not None and driver.process.stdin is not None:
            driver.process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(driver.process.wait()), _CLOSE_S)
            kill(driver.process)
        if self._work is not None:
            if driver is None:
                self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    # ---- the driver

    async def _keep_driver(self) -> None:
        """Run drivers until the executor is closed; fail what is left if they keep dying."""
        try:
            while not self._closed:
                last = await self._run_driver()
                self._after_death(last)
        except Exception as error:
            log.exception("the Ray driver cannot be kept")
            self._end_all(list(self._open), _driver_failure(str(error)))
            self._refuse(ConfigError(f"The Ray driver cannot be run: {error}.", hint="headcode host log"))

    async def _run_driver(self) -> str:
        """Run one driver to its end; return its last words."""
        found = await start_worker(self._command)
        if found is None:
            return "it could not be started"
        self._driver, process = found, found.process
        errors = asyncio.create_task(self._copy_errors(process.stderr))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(self._plan) + b"\n")
        # Written before it is connected: the lines wait for it.
        self._send(SubmitPacks((Pack(units=tuple(self._open.values())),)))
        reader = LineReader(process.stdout)
        decoder: msgspec.json.Decoder[AnyWord] = msgspec.json.Decoder(AnyWord)
        while (line := await reader.line(_MOST_LINE)) is not None:
            self._on_word(decoder.decode(line))
        kill(process)
        code = await process.wait()
        self._driver = None
        return f"{await errors} (exit code {code})".strip()

    def _on_word(self, word: AnyWord) -> None:
        if self._closed:
            return
        match word:
            case DriverReady():
                log.info("Ray driver connected to %s", word.address)
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(None)
            case DriverTrouble():
                trouble = ConfigError(word.message, hint=word.hint)
                if not self._refuse(trouble):
                    self._end_all(list(self._open), trouble.as_failure())
                self._closed = True
            case UnitDone() | UnitFailed():
                if word.run_id in self._open:
                    self._deaths = 0
                    self._forget(word.run_id)
                    self._report(word)
            case _:
                self._on_report(word)

    def _on_report(self, report: AnyReport) -> None:
        if isinstance(report, UnitStarted):
            if report.run_id not in self._open:
                return
            self._started.add(report.run_id)
        if isinstance(report, WorkerJoined):
            self._workers.add(report.worker)
        if isinstance(report, WorkerLost):
            self._workers.discard(report.worker)
        self._report(report)

    def _after_death(self, last: str) -> None:
        if self._closed:
            return
        self._deaths += 1
        log.error("the Ray driver ended: %s", last)
        failure = _driver_failure(last)
        if self._refuse(ConfigError(failure.message, hint=failure.hint)):
            self._closed = True
            return
        for worker in self._workers:
            self._report(WorkerLost(worker=worker, reason="the Ray driver ended"))
        self._workers.clear()
        for run_id in list(self._open):
            file = Path(self._plan.folder) / f"{run_id}.headcode"
            if file.exists():
                self._forget(run_id)
                self._report(UnitDone(run_id=run_id, bundle=str(file)))
            elif run_id in self._started:
                self._forget(run_id)
                self._report(UnitFailed(run_id=run_id, failure=failure, again=True))
        if self._deaths >= _MOST_DEATHS:
            self._end_all(list(self._open), failure)
            self._closed = True

    def _refuse(self, error: ConfigError) -> bool:
        """Let the first `submit` raise the error; return False if it has returned already."""
        if self._ready is None or self._ready.done():
            return False
        self._open.clear()
        self._ready.set_exception(error)
        return True

    def _end_all(self, run_ids: Collection[str], failure: Failure) -> None:
        for run_id in run_ids:
            if run_id in self._open and not self._closed:
                self._forget(run_id)
                self._report(UnitFailed(run_id=run_id, failure=failure, again=False))

    def _forget(self, run_id: str) -> None:
        self._open.pop(run_id, None)
        self._started.discard(run_id)

    def _send(self, order: AnyOrder) -> None:
        if self._driver is not None:
            stdin = self._driver.process.stdin
            if stdin is not None and not stdin.is_closing():
                stdin.write(msgspec.json.encode(order) + b"\n")

    async def _copy_errors(self, stream: asyncio.StreamReader | None) -> str:
        """Copy what the driver logs to the log of workers; return its last line."""
        last = ""
        while stream is not None and (chunk := await stream.read(1 << 16)):
            self._errors.write(chunk)
            lines = chunk.decode(errors="replace").strip().splitlines()
            last = lines[-1].strip()[:300] if lines else last
        return last


def _driver_failure(last: str) -> Failure:
    return Failure(
        family="engine",
        name="WorkerDied",
        message=f"The process that speaks to Ray ended: {last}",
        hint="headcode host log has what it said; headcode sweep retry SWEEP runs what is left.",
    )
