"""How long a run has still to go: the stage under way by its own pace, those to come by earlier runs. No widget."""

from collections.abc import Sequence
from statistics import median

from engine.catalog.model_shape import shape_of_info
from engine.events import STAGES, Stage
from engine.planning.time_estimate import format_seconds, stage_work
from tui.state.run import SessionRun

_RUNS = 5
"""Earlier runs that tell what is usual."""
_SAYS_LITTLE_S = 0.5
_TOKENS = 16.0
"""Of a prompt; only ratios of it are used."""


def stage_left(run: SessionRun, runs: Sequence[SessionRun], now_us: int) -> float | None:
    """Seconds the stage under way still takes: at first by what it took earlier runs of the same model, then more and
    more by its own pace.

    None where nobody knows, which is so too of a stage without a pace that has taken longer than it used to. A pace
    alone is that of a moment, and what comes first of a stage is seldom like the rest: over 15 recorded runs the time
    left of the whole rose by up to once their length, with causes by 38 times; weighed like this by a third at most.
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
    if stage != "cause" and usual > 0:  # heads get cheaper as they are patched, what else there is goes on as it began
        pace_counts = max(pace_counts, min(1.0, (elapsed / usual) ** 3))
    return pace_counts * paced + (1 - pace_counts) * max(usual - elapsed, 0.0)


def usual_seconds(run: SessionRun, runs: Sequence[SessionRun], stage: Stage) -> float | None:
    """What the stage took the newest earlier runs of the same model with like options, the median; without any, those
    with other options, by the work there was and there is. None where none of them tells."""
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
    """How many times as long as usual the run has taken so far: a machine is as busy as it is.

    `here`: seconds the stage under way takes in all, as far as its pace tells. Half a second counts as usual, so that
    stages of milliseconds say little. Over 385 recorded runs, of what was left after training: between .59 and 2.2
    times as long as told (5 to 95 %), without this .44 and 2.5.
    """
    took = usual = _SAYS_LITTLE_S
    for stage, seconds in (*run.picture.seconds, *([(run.picture.stage, here)] if here is not None else [])):
        like = usual_seconds(run, runs, stage) if stage not in (None, "load") else None
        if like is not None and seconds is not None:
            took, usual = took + seconds, usual + like
    return took / usual


def run_left(run: SessionRun, runs: Sequence[SessionRun], now_us: int) -> float | None:
    """Seconds until the run is over; None where a stage to come has nothing to be told by."""
    here = stage_left(run, runs, now_us)
    if here is None or run.picture.stage is None:
        return None
    told = len(run.pace.marks) > 1
    slow = slowness(run, runs, here=_elapsed(run, now_us) + here if told else None)
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
    """Those the run goes through, in the order of the table."""
    wanted = {
        "grade": run.config.grade,
        "cause": run.config.cause.method != "none" or run.cause is not None or bool(run.picture.causes),
    }
    return [stage for stage in STAGES if wanted.get(stage, True)]


def format_time_left(seconds: float | None) -> str:
    """What is left, in words; empty where nobody knows, or where it is not worth a word."""
    if seconds is None:
        return ""
    return "almost done" if seconds < 0.5 else f"{format_seconds(seconds)} left"


def _more_work(other: SessionRun, run: SessionRun, stage: Stage) -> float | None:
    """How many times as much work the stage is in this run; None where nobody can tell, as where the other had none."""
    info = run.picture.model or other.picture.model
    if info is None:
        return None
    before = len(other.picture.examples)
    now = len(run.picture.examples) or before
    shape = shape_of_info(info)
    old, new = (stage_work(shape, n, _TOKENS, each.config).get(stage) for n, each in ((before, other), (now, run)))
    return new / old if new is not None and old else None


def _alike(other: SessionRun, run: SessionRun, stage: Stage) -> bool:
    """Whether what decides that stage's length is the same in both runs."""
    if stage in ("load", "grade", "capture"):
        return len(other.picture.examples) == len(run.picture.examples) or not run.picture.examples
    if stage == "cause":
        return other.config.cause == run.config.cause
    mine, theirs = run.config, other.config
    return (mine.sae, len(mine.seeds), mine.shuffles) == (theirs.sae, len(theirs.seeds), theirs.shuffles)
