"""Repeat runs and compare the results: unrecorded jobs in the run queue."""

import asyncio
import logging
import time
from pathlib import Path

import msgspec

from engine.catalog.local_models import find_model, model_identity
from engine.errors import Cancelled, ConfigError, Failure, HeadcodeError
from engine.events import EngineEvent, ModelReady, Stage
from engine.protocol import RunProbe
from sessions.errors import NoSuchRecord, error_from
from sessions.events import (
    RunVerified,
    SessionEvent,
    VerificationEnded,
    VerificationProgress,
    VerificationRequested,
)
from sessions.files.array_files import remove_spool
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.effects import EffectMeasurements, close_open
from sessions.handlers.repeated import RepeatedMeasurement, metric_in_run, repeat_answers, repeated_measurements
from sessions.ids import new_id
from sessions.protocol import (
    CancelRun,
    Done,
    GetVerification,
    VerificationAnswer,
    VerificationStarted,
    VerifyRun,
)
from sessions.services.worker_jobs import StageCounter
from sessions.store.comparison_sides import run_side
from sessions.store.database import Store
from sessions.store.queries import find_run, run_row, without_foreign_task
from sessions.store.recorder import EventDraft, Recorder
from sessions.store.rerun import find_rerun
from sessions.store.run_artifacts import ArtifactCollector, from_log, from_tables, only_recorded
from sessions.verification.artifacts import RunArtifacts
from sessions.verification.report import VerificationReport, judge

_MAX_REPORTS = 32
"""Number of verifications whose report can still be requested."""
_PROGRESS_S = 0.5
"""Shortest time between two records of progress within a stage."""
log = logging.getLogger("headcode.verification")


class Verification:
    """One run that is being repeated."""

    def __init__(self, host: HandlerContext, run_id: str, session_id: str, title: str) -> None:
        self.run_id, self.session_id, self.title = run_id, session_id, title
        self.working = self.job = new_id("v")
        """The worker's current job: the run, then each measurement made after it."""
        self.cancelled = False
        """Also set before the job is in the queue."""
        self._host = host
        self._progress = StageCounter()
        self._recorded: tuple[Stage | None, float] = (None, 0.0)
        """The stage that was recorded last, and when."""

    async def record(self, *events: SessionEvent) -> None:
        """Add entries to the run's log. Raises StoreError."""
        drafts = (EventDraft(session_id=self.session_id, run_id=self.run_id, event=event) for event in events)
        await self._host.writer.append(*drafts)

    async def on_event(self, event: EngineEvent) -> None:
        """Record the progress that an event of the worker reports, at most twice a second within a stage."""
        counted, now = self._progress, time.monotonic()
        counted.on_event(event)
        stage, at = self._recorded
        if counted.stage is None or (counted.stage == stage and now - at < _PROGRESS_S):
            return
        self._recorded = counted.stage, now
        await self.record(
            VerificationProgress(stage=counted.stage, done=counted.done, total=counted.total, unit=counted.unit)
        )


class Verifications:
    """The active verifications by run, and the reports of the last ones."""

    def __init__(self) -> None:
        self._active: dict[str, tuple[Verification, asyncio.Task[None]]] = {}
        self._reports: dict[str, VerificationReport] = {}

    async def begin(self, host: HandlerContext, request: VerifyRun) -> VerificationStarted:
        """Queue a verification.

        Raises NoSuchRecord for a run that does not exist or is not finished, ConfigError if it is being verified.
        """
        run_id, session_id, title, last_seq = await host.writer.read(lambda store: _verifiable(store, request.run))
        if run_id in self._active:
            raise ConfigError(f"{title} is being verified already.", hint="Wait for it, or stop it (x).")
        found = Verification(host, run_id, session_id, title)
        self._active[run_id] = found, asyncio.create_task(self._run(host, found), name=f"verify {run_id}")
        return VerificationStarted(run_id=run_id, session_id=session_id, title=title, after_seq=last_seq)

    def cancel(self, host: HandlerContext, run_id: str, *, force: bool) -> None:
        """Stop the verification of that run, if there is one."""
        if run_id in self._active:
            found = self._active[run_id][0]
            found.cancelled = True
            host.runs.cancel_unrecorded(found.working, force=force)

    def report(self, run_id: str) -> VerificationReport:
        """Return the report of the run's last completed verification. Raises NoSuchRecord."""
        if run_id not in self._reports:
            raise NoSuchRecord(
                f"There is no report of a verification of {run_id}.", hint=f"Make one: headcode verify {run_id}"
            )
        return self._reports[run_id]

    async def _run(self, host: HandlerContext, found: Verification) -> None:
        try:
            await found.record(VerificationRequested())
            report = await _verify(host, found)
            self._reports.pop(found.run_id, None)
            self._reports[found.run_id] = report
            for old in list(self._reports)[:-_MAX_REPORTS]:
                del self._reports[old]
            words = report.words if not report.hint else f"{report.words}. {report.hint}"
            largest = _finite(report.largest)
            self._active.pop(found.run_id, None)  # whoever reads of the end may verify again at once
            await found.record(
                RunVerified(verdict=report.verdict, words=words, stage=report.stage, largest=largest),
                VerificationEnded(state="done"),
            )
            return
        except HeadcodeError as error:
            failure = error.as_failure()
            host.runs.cancel_unrecorded(found.working, force=False)  # the engine may still be at work
        except Exception as error:
            log.exception("the verification of %s failed", found.run_id)
            failure = Failure(
                family="host", name="HostError", message=f"The verification failed: {error}.", hint="headcode host log"
            )
        finally:
            self._active.pop(found.run_id, None)
        stopped = failure.family == "cancelled"
        try:
            await found.record(
                VerificationEnded(state="stopped" if stopped else "failed", failure=None if stopped else failure)
            )
        except HeadcodeError as error:
            log.error("the end of the verification of %s cannot be recorded: %s", found.run_id, error)


def end_open_verifications(recorder: Recorder) -> int:
    """Record the verifications that an earlier host left unfinished as interrupted; return their number.

    Called when a host starts: these verifications can have no worker any more.
    """
    failure = Failure(
        family="host", name="Interrupted", message="The host ended during the verification.", hint="Verify again."
    )
    return close_open(recorder, VerificationRequested, VerificationEnded(state="interrupted", failure=failure))


async def _verify(host: HandlerContext, found: Verification) -> VerificationReport:
    started = time.perf_counter()
    run_id = found.run_id
    models = str(host.places.models)
    (stored, asked), tables, rerun, work, (measurements, stopped), metric = await host.writer.read(
        lambda store: (
            from_log(store, run_id),
            from_tables(store, run_id),
            rerun := find_rerun(store, run_id),
            without_foreign_task(store, rerun.work),
            repeated_measurements(store, run_id, models=models, job=found.job),
            metric_in_run(store, run_id),
        )
    )
    config = asked.config
    if metric is not None:
        # The meaning of `auto` may have changed since: repeat the method that was really used.
        config = msgspec.structs.replace(config, cause=msgspec.structs.replace(config.cause, metric=metric))
    missing = await asyncio.to_thread(_find_obstacle, asked.model, host.places.models, stored)
    if missing is not None:
        return _report_impossible(found, stored, *missing)
    spool = host.places.spool / found.job
    gathering = ArtifactCollector(spool)
    worker_request = RunProbe(
        job=found.job,
        model=asked.model,
        config=config,
        examples=work.examples,
        task=work.task,
        made=work.task is not None,
        known=asked.known,
        spool=str(spool),
        models=models,
        activations="",  # the cache is not used: the model processes every prompt again
        **rerun.as_loaded,
    )
    other: list[str] = []
    broken: list[HeadcodeError] = []
    measuring: list[RepeatedMeasurement] = []

    async def report(event: EngineEvent) -> None:
        if isinstance(event, ModelReady) and stored.model is not None and event.model.identity != stored.model.identity:
            other.append(event.model.identity)
            host.supervisor.cancel(found.working, force=False)
        try:
            if not measuring or measuring[-1].recorded(event):
                await asyncio.to_thread(gathering.take, event)
        except HeadcodeError as error:
            broken.append(error)
            host.supervisor.cancel(found.working, force=False)
        await found.on_event(event)

    if found.cancelled:
        raise Cancelled
    title = f"the verification of {found.title}"
    try:
        failure = await host.runs.run_unrecorded(worker_request, report, title=title, run_id=run_id)
        for measurement in measurements:
            if failure is not None or broken or other:
                break
            # Measurements made after the run, by the same model, which is warm now.
            measuring.append(measurement)
            found.working = measurement.request.job
            if found.cancelled:
                raise Cancelled
            failure = await host.runs.run_unrecorded(measurement.request, report, title=title, run_id=run_id)
        if broken:
            raise broken[0]
        if other:
            return _report_impossible(found, stored, "other", other[0])
        if failure is not None and failure.name in ("ModelError", "PickledWeights", "HubUnreachable"):
            return _report_impossible(found, stored, failure.message, "")
        if failure is not None:
            raise error_from(failure)
        stored, aside, left_out = await repeat_answers(host, run_id, stored, lambda: found.cancelled)
        now = only_recorded(stored, gathering.evidence())
        now = msgspec.structs.replace(now, steered=aside.steered, explained=aside.explained)
        seconds, not_repeated = time.perf_counter() - started, (*stopped, *left_out)
        return await asyncio.to_thread(
            judge, run_id, found.title, stored, tables, now, seconds=seconds, not_repeated=not_repeated
        )
    finally:
        await asyncio.to_thread(remove_spool, spool)


def _verifiable(store: Store, run: str) -> tuple[str, str, str, int]:
    """Return the run's id, its session, its title and the last entry of the session's log."""
    run_id = find_run(store, run)
    row = run_row(store, run_id)
    title = run_side(store, run_id).title
    if row.state != "done":
        raise NoSuchRecord(
            f"{title} is {row.state}: only a finished run can be verified.",
            hint=f"Repeat it: headcode probe --again {run_id}",
        )
    ((last,),) = store.rows("SELECT max(seq) FROM event WHERE session_id = $it", {"it": row.session_id})
    return run_id, row.session_id, title, int(last)


def _find_obstacle(model: str, models: Path, stored: RunArtifacts) -> tuple[str, str] | None:
    """Return why the run cannot be repeated, with the model's present identity, without loading the model.

    Files on disk are hashed here, because a worker that has the model warm only compares their times and sizes.
    None: no obstacle was found.
    """
    try:
        folder = find_model(model, models).folder
        if folder is None:
            return None  # a model of the hub: its identity is known when it is loaded
        identity = model_identity(folder)
    except HeadcodeError as error:
        return error.message, ""
    except OSError as error:
        return f"{model} cannot be read: {error.strerror}.", ""
    if stored.model is not None and identity != stored.model.identity:
        return "other", identity
    return None


def _report_impossible(found: Verification, stored: RunArtifacts, why: str, identity: str) -> VerificationReport:
    then = stored.model.identity if stored.model is not None else ""
    name = stored.model.name if stored.model is not None else "the model"
    if why == "other":
        words = f"impossible: {name} is another model now: its identity was {then}, it is {identity}"
        hint = (
            "Restore its files (headcode models show prints the identity of a folder), "
            f"or run again on the model as it is: headcode probe --again {found.run_id}"
        )
    else:
        words = f"impossible: {name} (identity {then}) is not here: {why.rstrip('.')}"
        hint = "headcode models list shows installed models; headcode models fetch installs one."
    return VerificationReport(
        run_id=found.run_id,
        title=found.title,
        verdict="impossible",
        words=words,
        stage="load",
        identity_then=then,
        identity_now=identity,
        hint=hint,
    )


def _finite(value: float) -> float:
    return value if abs(value) < 1e308 else 1e308  # JSON has no infinity


# ---- handlers


async def verify_run(host: HandlerContext, request: VerifyRun) -> VerificationStarted:
    """Start a verification."""
    return await host.get_state(Verifications).begin(host, request)


async def get_verification(host: HandlerContext, request: GetVerification) -> VerificationAnswer:
    """Return the report of a verification."""
    run_id = await host.writer.read(lambda store: find_run(store, request.run))
    return VerificationAnswer(report=host.get_state(Verifications).report(run_id))


async def cancel_run(host: HandlerContext, request: CancelRun) -> Done:
    """Stop the run, or the measurement or verification of it."""
    run_id = await host.writer.read(lambda store: find_run(store, request.run))
    host.get_state(EffectMeasurements).cancel(host, run_id, force=request.force)
    host.get_state(Verifications).cancel(host, run_id, force=request.force)
    await host.runs.cancel(request)
    return Done()


ANSWERS: dict[type, Answer] = {VerifyRun: verify_run, GetVerification: get_verification, CancelRun: cancel_run}
