"""Repeat runs and compare the results: unrecorded jobs in the run queue."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.catalog.local_models import find_model, model_identity
from engine.errors import Cancelled, Failure, HeadcodeError
from engine.events import EngineEvent, ModelReady
from engine.protocol import RunProbe
from sessions.errors import NoSuchRecord, error_from
from sessions.events import RunVerified
from sessions.files.array_files import remove_spool
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.effects import metric_in_run, repeated_requests
from sessions.ids import new_id
from sessions.protocol import (
    CancelVerification,
    Done,
    FollowVerification,
    VerificationStarted,
    VerificationState,
    VerifyRun,
)
from sessions.services.worker_jobs import StageCounter
from sessions.store.comparison_sides import run_side
from sessions.store.database import Store
from sessions.store.queries import find_run, run_row, without_foreign_task
from sessions.store.recorder import EventDraft
from sessions.store.rerun import find_rerun
from sessions.store.run_artifacts import ArtifactCollector, from_log, from_tables, only_methods_of
from sessions.verification.checks import RunArtifacts
from sessions.verification.report import VerificationReport, judge

_POLL_S = 1.0
"""Seconds after which a request for progress is answered without news."""
_MAX_FINISHED = 32
"""Number of finished verifications whose result can still be requested."""


class Verification:
    """One run that is being repeated."""

    def __init__(self, job: str, run_id: str, title: str) -> None:
        self.job, self.run_id, self.title = job, run_id, title
        self.working = job
        """The worker's current job: the run, then each measurement made after it."""
        self.news = 0
        self.progress = StageCounter()
        self.report: VerificationReport | None = None
        self.failure: Failure | None = None
        self.task: asyncio.Task[None] | None = None
        self.cancelled = False
        """Also set before the job is in the queue."""
        self._changed = asyncio.Event()

    @property
    def over(self) -> bool:
        return self.report is not None or self.failure is not None

    def on_event(self, event: EngineEvent) -> None:
        self.progress.on_event(event)
        self.notify()

    def notify(self) -> None:
        self.news += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def state(self, seen: int) -> VerificationState:
        """Return the state as soon as it is newer than `seen`, at the latest after a moment."""
        if self.news <= seen and not self.over:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _POLL_S)
        return VerificationState(
            news=self.news,
            stage=self.progress.stage,
            done=self.progress.done,
            total=self.progress.total,
            unit=self.progress.unit,
            report=self.report,
            failure=self.failure,
        )


class Verifications:
    """All verifications of a host."""

    def __init__(self) -> None:
        self._jobs: dict[str, Verification] = {}

    async def begin(self, host: HandlerContext, request: VerifyRun) -> Verification:
        """Queue a verification. Raises NoSuchRecord for a run that does not exist or is not finished."""
        run_id, title = await host.writer.read(lambda store: _verifiable(store, request.run))
        found = Verification(new_id("v"), run_id, title)
        for job in [job for job, each in self._jobs.items() if each.over][:-_MAX_FINISHED]:
            del self._jobs[job]
        self._jobs[found.job] = found
        found.task = asyncio.create_task(_run_verification(host, found), name=f"verify {run_id}")
        return found

    def find(self, job: str) -> Verification:
        if job not in self._jobs:
            raise NoSuchRecord(f"There is no verification {job!r}.", hint="Start one: headcode verify RUN")
        return self._jobs[job]


async def _run_verification(host: HandlerContext, found: Verification) -> None:
    try:
        report = await _verify(host, found)
        words = report.words if not report.hint else f"{report.words}. {report.hint}"
        event = RunVerified(verdict=report.verdict, words=words, stage=report.stage, largest=_finite(report.largest))
        session_id = (await host.writer.read(lambda store: run_row(store, found.run_id))).session_id
        await host.writer.append(EventDraft(session_id=session_id, run_id=found.run_id, event=event))
        found.report = report
    except HeadcodeError as error:
        found.failure = error.as_failure()
    except asyncio.CancelledError:
        found.failure = Failure(family="cancelled", name="Cancelled", message="The verification was stopped.")
        raise
    except Exception as error:
        found.failure = Failure(
            family="host", name="HostError", message=f"The verification failed: {error}.", hint="headcode host log"
        )
        raise
    finally:
        found.notify()


async def _verify(host: HandlerContext, found: Verification) -> VerificationReport:
    started = time.perf_counter()
    run_id = found.run_id
    models = str(host.places.models)
    (stored, asked), tables, work, causes, metric = await host.writer.read(
        lambda store: (
            from_log(store, run_id),
            from_tables(store, run_id),
            without_foreign_task(store, find_rerun(store, run_id).work),
            repeated_requests(store, run_id, models=models, job=found.job),
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
        device=asked.device,
        trust_remote_code=asked.trust_remote_code,
    )
    other: list[str] = []
    broken: list[HeadcodeError] = []

    async def report(event: EngineEvent) -> None:
        if isinstance(event, ModelReady) and stored.model is not None and event.model.identity != stored.model.identity:
            other.append(event.model.identity)
            host.supervisor.cancel(found.working, force=False)
        try:
            await asyncio.to_thread(gathering.take, event)
        except HeadcodeError as error:
            broken.append(error)
            host.supervisor.cancel(found.working, force=False)
        found.on_event(event)

    if found.cancelled:
        raise Cancelled
    title = f"the verification of {found.title}"
    try:
        failure = await host.runs.run_unrecorded(worker_request, report, title=title, run_id=run_id)
        for cause in causes:
            if failure is not None or broken or other:
                break
            # Measurements made after the run, by the same model, which is warm now.
            found.working = cause.job
            if found.cancelled:
                raise Cancelled
            failure = await host.runs.run_unrecorded(cause, report, title=title, run_id=run_id)
        if broken:
            raise broken[0]
        if other:
            return _report_impossible(found, stored, "other", other[0])
        if failure is not None and failure.name in ("ModelError", "PickledWeights", "HubUnreachable"):
            return _report_impossible(found, stored, failure.message, "")
        if failure is not None:
            raise error_from(failure)
        now = only_methods_of(stored, gathering.evidence())
        return await asyncio.to_thread(
            judge, run_id, found.title, stored, tables, now, seconds=time.perf_counter() - started
        )
    finally:
        await asyncio.to_thread(remove_spool, spool)


def _verifiable(store: Store, run: str) -> tuple[str, str]:
    run_id = find_run(store, run)
    row = run_row(store, run_id)
    title = run_side(store, run_id).title
    if row.state != "done":
        raise NoSuchRecord(
            f"{title} is {row.state}: only a finished run can be verified.",
            hint=f"Repeat it: headcode probe --again {run_id}",
        )
    return run_id, title


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
    found = await host.get_state(Verifications).begin(host, request)
    return VerificationStarted(job=found.job, run_id=found.run_id, title=found.title)


async def follow_verify(host: HandlerContext, request: FollowVerification) -> VerificationState:
    """Wait for progress of a verification."""
    return await host.get_state(Verifications).find(request.job).state(request.seen)


async def cancel_verify(host: HandlerContext, request: CancelVerification) -> Done:
    """Stop a verification."""
    found = host.get_state(Verifications).find(request.job)
    found.cancelled = True
    host.runs.cancel_unrecorded(found.working, force=request.force)
    return Done()


ANSWERS: dict[type, Answer] = {
    VerifyRun: verify_run,
    FollowVerification: follow_verify,
    CancelVerification: cancel_verify,
}
SLOW: frozenset[type] = frozenset({FollowVerification})
"""Answered concurrently with later requests on the same connection."""
