"""What the engine is at, in words: for those who wait for it, and where it has reported nothing for long. No widget."""

from engine.planning.time_estimate import seconds_words
from sessions.rows import CurrentJob
from tui.state.run import Run
from tui.state.workbench_state import Bench
from tui.terminal.sanitize import clean

ELSEWHERE = "headcode host cancel"
"""Ends what the engine is at, whoever asked for it."""


def work_words(work: CurrentJob, now_us: int) -> str:
    """The job and how far it is: run mine/2 (train, 120 of 500 steps)."""
    parts = [work.stage] if work.stage else []
    parts += [f"{work.done} of {work.total} {clean(work.unit)}".strip()] if work.total > 1 else []
    parts += [f"no report for {silence(work, now_us)}"] if work.silent else []
    told = f" ({', '.join(parts)})" if parts else ""
    return f"{clean(work.title)}{told}"


def silence(work: CurrentJob, now_us: int) -> str:
    """How long ago it last reported."""
    return seconds_words(max(0.0, (now_us - work.heard_us) / 1e6))


def awaited(bench: Bench, run: Run) -> CurrentJob | None:
    """What this run waits for; None where it is its turn, or nobody knows."""
    work = bench.worker.at_work if bench.worker is not None and bench.link == "live" else None
    return work if work is not None and run.state == "queued" and work.run_id != run.run_id else None


def silent_work(bench: Bench) -> CurrentJob | None:
    """The job that has reported nothing for long, where it is this session's, or what this session waits for."""
    work = bench.worker.at_work if bench.worker is not None and bench.link == "live" else None
    if work is None or not work.silent:
        return None
    concerned = bench.active or bench.measured
    return work if concerned is not None or any(run.run_id == work.run_id for run in bench.runs) else None


def silence_words(bench: Bench, work: CurrentJob, now_us: int) -> str:
    """That it is silent, since when, and what ends it."""
    since = f"since {work.stage} began" if work.stage and not work.done else "since its last report"
    since = f", {since}" if work.stage else ""
    told = f"{clean(work.title)} has reported nothing for {silence(work, now_us)}{since}"
    run = bench.active or bench.measured
    own = run is not None and run.run_id == work.run_id
    key = bench.key("stop") if own else ELSEWHERE
    return f"{told}. {key} ends it{'; what it had reported is kept' if own else ''}."
