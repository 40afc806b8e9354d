"""Text on the engine's current work, for runs that wait for it and for work that has reported nothing for long."""

from engine.planning.time_estimate import format_seconds
from sessions.rows import CurrentJob
from tui.state.run import SessionRun
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean

ELSEWHERE = "headcode host cancel"
"""Command that ends the engine's current work, whichever client started it."""


def format_work(work: CurrentJob, now_us: int) -> str:
    """Format a job and its progress: run mine/2 (train, 120 of 500 steps)."""
    parts = [work.stage] if work.stage else []
    parts += [f"{work.done} of {work.total} {clean(work.unit)}".strip()] if work.total > 1 else []
    parts += [f"no report for {format_silent_time(work, now_us)}"] if work.silent else []
    details = f" ({', '.join(parts)})" if parts else ""
    return f"{clean(work.title)}{details}"


def format_silent_time(work: CurrentJob, now_us: int) -> str:
    """Format the time since the work's last report."""
    return format_seconds(max(0.0, (now_us - work.heard_us) / 1e6))


def blocking_work(state: WorkbenchState, run: SessionRun) -> CurrentJob | None:
    """Return the work that this run waits for; None if it is this run's turn or nothing is known."""
    work = state.worker.at_work if state.worker is not None and state.link == "live" else None
    return work if work is not None and run.state == "queued" and work.run_id != run.run_id else None


def silent_work(state: WorkbenchState) -> CurrentJob | None:
    """Return the job that has reported nothing for long, if it belongs to this session or blocks it."""
    work = state.worker.at_work if state.worker is not None and state.link == "live" else None
    if work is None or not work.silent:
        return None
    concerned = state.active or state.measured
    return work if concerned is not None or any(run.run_id == work.run_id for run in state.runs) else None


def format_silence(state: WorkbenchState, work: CurrentJob, now_us: int) -> str:
    """Format which work is silent, since when, and what ends it."""
    since = f"since {work.stage} began" if work.stage and not work.done else "since its last report"
    since = f", {since}" if work.stage else ""
    message = f"{clean(work.title)} has reported nothing for {format_silent_time(work, now_us)}{since}"
    run = state.active or state.measured
    own = run is not None and run.run_id == work.run_id
    key = state.key("stop") if own else ELSEWHERE
    return f"{message}. {key} ends it{'; results so far are kept' if own else ''}."
