"""Record the beginning, examples and interruption of runs."""

from pathlib import Path

import msgspec

from engine.catalog.recommended_config import resolve_config
from engine.config import load_fields
from engine.errors import ExampleError, Failure
from engine.events import ExamplesMade
from engine.examples import check_set
from engine.planning.option_checks import check_options
from engine.tasks.registry import find_task
from sessions.events import ExamplesSet, RunEnded, RunQueued
from sessions.protocol import QueueRun
from sessions.rows import RunRow
from sessions.store.comparison_sides import run_side
from sessions.store.database import Store
from sessions.store.queries import (
    RunPlan,
    active_session,
    find_run,
    newest_examples,
    open_runs,
    plan_run,
    run_row,
    without_foreign_task,
)
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder
from sessions.store.rerun import find_rerun


def interrupt_open_runs(recorder: Recorder) -> int:
    """Record the runs that an earlier host left unfinished as interrupted; return their number.

    Called when a host starts: these runs can have no worker any more.
    """
    left = open_runs(recorder.store)
    if left:
        recorder.append(
            [
                EventDraft(
                    session_id=run.session_id,
                    run_id=run.run_id,
                    event=RunEnded(state="interrupted", failure=describe_interruption(run.run_id, "ended")),
                )
                for run in left
            ]
        )
    return len(left)


def record_queued(
    recorder: Recorder, request: QueueRun, run_id: str, models: Path
) -> tuple[tuple[RunPlan, RunQueued, RunRow, str], list[RecordedEntry]]:
    """Record a new run; return its plan, event, row and title. Raises NoSuchRecord, ExampleError, StoreError."""
    store: Store = recorder.store
    if request.again is not None:
        before = find_run(store, request.again)
        once_more = find_rerun(store, before)
        work = without_foreign_task(store, once_more.work)
        event = msgspec.structs.replace(once_more.asked, again=before, task=work.task)
    else:
        work = plan_run(store, active_session(store, request.session))
        work = without_foreign_task(store, work)
        if request.made is not None:
            own = msgspec.structs.asdict(request.made)
            work = msgspec.structs.replace(work, examples=(), **own)
        elif request.usable:
            work = msgspec.structs.replace(work, usable=True)
        model = request.model or work.model
        check_options(request.config)
        event = RunQueued(
            config=resolve_config(request.config, model, models),
            model=model,
            task=work.task,
            **load_fields(request),
            known=None if request.known is None else find_task(request.known).name,
        )
    active_session(store, work.session_id)
    if work.examples:
        check_set(work.examples)
    elif work.task is None:
        raise ExampleError(
            "The session has no examples yet.", hint="Add at least one positive and one negative prompt."
        )
    recorded = recorder.append([EventDraft(session_id=work.session_id, run_id=run_id, event=event)])
    return (work, event, run_row(store, run_id), f"run {run_side(store, run_id).title}"), recorded


def record_examples(
    recorder: Recorder, session_id: str, run_id: str, event: ExamplesMade, *, adopt: bool
) -> tuple[None, list[RecordedEntry]]:
    """Record the examples that a run generated; with `adopt`, a session without examples takes them over."""
    drafts = [EventDraft(session_id=session_id, run_id=run_id, event=event)]
    if adopt and not newest_examples(recorder.store, session_id):
        made = ExamplesSet(examples=event.examples, content_hash=event.content_hash)
        drafts.append(EventDraft(session_id=session_id, event=made))
    return None, recorder.append(drafts)


def describe_interruption(run_id: str, how: str) -> Failure:
    """Return the failure of a run during which the host `how`, such as "ended"."""
    return Failure(
        family="host",
        name="Interrupted",
        message=f"The host {how} while this run was queued or active; what it had reported is stored.",
        hint=f"To repeat it: headcode probe --again {run_id} (r in the workbench). Captured activations are reused.",
    )
