"""How long a run has still to go: the stage under way by its own pace, those to come by an earlier run. No widget."""

from collections.abc import Sequence

from engine.duration import seconds_words
from engine.events import STAGES, Stage
from tui.run import Run


def stage_left(run: Run, runs: Sequence[Run], now_us: int) -> float | None:
    """Seconds the stage under way still takes: by its pace, else by what it took an earlier run of the same model."""
    stage = run.picture.stage
    if stage is None or run.pace.stage != stage:
        return None
    left = run.pace.left(run.picture.stage_total, now_us)
    if left is not None:
        return left
    usual = usual_seconds(run, runs, stage)
    return None if usual is None else max(0.0, usual - max(0, now_us - run.pace.began_us) / 1e6)


def usual_seconds(run: Run, runs: Sequence[Run], stage: Stage) -> float | None:
    """What the stage took the newest earlier run of the same model with like options; None where there is none."""
    for other in reversed(runs):
        if other is run or other.model != run.model or other.state != "done":
            continue
        took = dict(other.picture.seconds).get(stage)
        if took is not None and (stage == "load") <= (not other.picture.warm) and _alike(other, run, stage):
            return took
    return None


def run_left(run: Run, runs: Sequence[Run], now_us: int) -> float | None:
    """Seconds until the run is over; None where a stage to come has nothing to be told by."""
    here = stage_left(run, runs, now_us)
    if here is None or run.picture.stage is None:
        return None
    whole = here
    over = {stage for stage, _ in run.picture.seconds}
    for stage in stages_of(run):
        if stage in over or stage == run.picture.stage:
            continue
        usual = usual_seconds(run, runs, stage)
        if usual is None:
            return None
        whole += usual
    return whole


def stages_of(run: Run) -> list[Stage]:
    """Those the run goes through, in the order of the table."""
    wanted = {
        "grade": run.config.grade,
        "cause": run.config.cause.method != "none" or run.cause is not None or bool(run.picture.causes),
    }
    return [stage for stage in STAGES if wanted.get(stage, True)]


def left_words(seconds: float | None) -> str:
    """What is left, in words; empty where nobody knows, or where it is not worth a word."""
    if seconds is None:
        return ""
    return "almost done" if seconds < 0.5 else f"{seconds_words(seconds)} left"


def _alike(other: Run, run: Run, stage: Stage) -> bool:
    """Whether what decides that stage's length is the same in both runs."""
    if stage in ("load", "grade", "capture"):
        return len(other.picture.examples) == len(run.picture.examples) or not run.picture.examples
    if stage == "cause":
        return other.config.cause == run.config.cause
    mine, theirs = run.config, other.config
    return (mine.sae, len(mine.seeds), mine.shuffles) == (theirs.sae, len(theirs.seeds), theirs.shuffles)
