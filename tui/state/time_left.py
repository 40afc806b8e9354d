"""Estimates of a run's remaining time: the current stage by its own pace, later ones by earlier runs."""

from collections.abc import Sequence
from statistics import median

from engine.catalog.model_shape import shape_of_info
from engine.events import STAGES, Stage
from engine.planning.time_estimate import format_seconds, stage_work
from tui.state.run import SessionRun

_RUNS = 5
"""Number of earlier runs used for estimates."""
_SAYS_LITTLE_S = 0.5
_TOKENS = 16.0
"""Tokens of a prompt; only ratios are used."""


def stage_left(run: SessionRun, runs: Sequence[SessionRun], now_us: int) -> float | None:
    """Return the seconds left of the current stage, or None if unknown.

    At first the estimate comes from earlier runs of the same model, then more and more from the stage's own pace. It is
    unknown, too, for a stage without a pace that has taken longer than usual. A pace alone is short-sighted, as the
    start of a stage is seldom like the rest: over 15 recorded runs the estimate for the whole run then rose by up to
    its length, with effects 38-fold; weighted like this, by at most a third.
    """
    stage, total = run.picture.stage, run.picture.stage_total
    if stage is None or run.pace.stage != stage:
        return None
    paced = run.pace.left(total, now_us)
    usual = usual_seconds(run, runs, stage)
    if usual is None:
        return paced
    usual *= slowness(run, runs)
    elapsed = _elapsed(run, now_us)
    if paced is None:
        return usual - elapsed if usual > elapsed else None
    pace_counts = min(1.0, run.pace.marks[-1][1] / total)
    if stage != "cause" and usual > 0:  # heads get cheaper as they are patched; other stages keep their pace
        pace_counts = max(pace_counts, min(1.0, (elapsed / usual) ** 3))
    return pace_counts * paced + (1 - pace_counts) * max(usual - elapsed, 0.0)


def usual_seconds(run: SessionRun, runs: Sequence[SessionRun], stage: Stage) -> float | None:
    """Return the median duration of the stage in the newest runs of the same model with like options.

    Without such runs, durations under other options are scaled by the amount of work. None if no run helps.
    """
    took: list[float] = []
    scaled: list[float] = []
    for other in reversed(runs):
        if other is run or other.model != run.model or other.state != "done":
            continue
        seconds = dict(other.picture.seconds).get(stage)
        if seconds is None or (stage == "load" and other.picture.warm):
            continue
        if _alike(other, run, stage):
            took.append(seconds)
            if len(took) == _RUNS:
                break
        elif len(scaled) < _RUNS and (share := _more_work(other, run, stage)) is not None:
            scaled.append(seconds * share)
    return median(took or scaled) if took or scaled else None


def slowness(run: SessionRun, runs: Sequence[SessionRun], *, here: float | None = None) -> float:
    """Return how many times as long as usual the run has taken so far, which depends on the machine's load.

    `here`: estimated seconds of the whole current stage. Half a second counts as usual, so that stages of milliseconds
    say little. Over 385 recorded runs, the time after training was .59 to 2.2 times the estimate (5th to 95th
    percentile), without this correction .44 to 2.5.
    """
    took = usual = _SAYS_LITTLE_S
    for stage, seconds in (*run.picture.seconds, *([(run.picture.stage, here)] if here is not None else [])):
        like = usual_seconds(run, runs, stage) if stage not in (None, "load") else None
        if like is not None and seconds is not None:
            took, usual = took + seconds, usual + like
    return took / usual


def run_left(run: SessionRun, runs: Sequence[SessionRun], now_us: int) -> float | None:
    """Return the seconds until the run ends, or None if a later stage has no estimate."""
    here = stage_left(run, runs, now_us)
    if here is None or run.picture.stage is None:
        return None
    measured = len(run.pace.marks) > 1
    slow = slowness(run, runs, here=_elapsed(run, now_us) + here if measured else None)
    whole = here
    over = {stage for stage, _ in run.picture.seconds}
    for stage in stages_of(run):
        if stage in over or stage == run.picture.stage:
            continue
        usual = usual_seconds(run, runs, stage)
        if usual is None:
            return None
        whole += usual * slow
    return whole


def _elapsed(run: SessionRun, now_us: int) -> float:
    return max(0, now_us - run.pace.began_us) / 1e6


def stages_of(run: SessionRun) -> list[Stage]:
    """Return the stages of the run, in order."""
    wanted = {
        "grade": run.config.grade,
        "cause": run.config.cause.method != "none" or run.cause is not None or bool(run.picture.causes),
    }
    return [stage for stage in STAGES if wanted.get(stage, True)]


def format_time_left(seconds: float | None) -> str:
    """Format the remaining time; empty if unknown."""
    if seconds is None:
        return ""
    return "almost done" if seconds < 0.5 else f"{format_seconds(seconds)} left"


def _more_work(other: SessionRun, run: SessionRun, stage: Stage) -> float | None:
    """Return the ratio of this run's work in the stage to the other's; None if unknown or the other had none."""
    info = run.picture.model or other.picture.model
    if info is None:
        return None
    before = len(other.picture.examples)
    now = len(run.picture.examples) or before
    shape = shape_of_info(info)
    old, new = (stage_work(shape, n, _TOKENS, each.config).get(stage) for n, each in ((before, other), (now, run)))
    return new / old if new is not None and old else None


def _alike(other: SessionRun, run: SessionRun, stage: Stage) -> bool:
    """Return whether everything that decides the length of this stage is the same in both runs."""
    if stage in ("load", "grade", "capture"):
        return len(other.picture.examples) == len(run.picture.examples) or not run.picture.examples
    if stage == "cause":
        return other.config.cause == run.config.cause
    mine, theirs = run.config, other.config
    return (mine.sae, len(mine.seeds), mine.shuffles) == (theirs.sae, len(theirs.seeds), theirs.shuffles)
