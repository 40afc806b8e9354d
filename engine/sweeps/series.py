"""Sort the units of a sweep over checkpoints into series: one per combination of the axes that are no checkpoint."""

from collections.abc import Sequence

from engine.catalog.checkpoint_folders import step_of
from engine.sweeps.plan import Labels

CHECKPOINT, DRAW = "checkpoint", "draw"


def step_of_labels(labels: Labels) -> int | None:
    """Return the step of a unit's checkpoint; None without a checkpoint, or where its name holds no number."""
    return next((step_of(value) for axis, value in labels if axis == CHECKPOINT), None)


def series_of(labels: Labels) -> Labels:
    """Return the labels of all axes besides checkpoint and draw."""
    return tuple((axis, value) for axis, value in labels if axis not in (CHECKPOINT, DRAW))


def varying(series: Sequence[Labels]) -> list[Labels]:
    """Return each series' labels without the axes that are the same in all of them."""
    same = set(series[0]).intersection(*series) if len(series) > 1 else set()
    return [tuple(pair for pair in each if pair not in same) for each in series]
