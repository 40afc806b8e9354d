"""Causes laid into the heads' scores, so that a grid, a ranking and a comparison see them as measures."""

from collections.abc import Sequence

import msgspec

from engine.events import CauseScored
from engine.results import CAUSE_FIELDS, HeadScores

FIELD = {"attribution": "attribution", "exact": "exact_effect", "combined": "combined"}
"""The field of HeadScores each method fills."""


def with_causes(nodes: tuple[HeadScores, ...], causes: Sequence[CauseScored]) -> tuple[HeadScores, ...]:
    """The scores with each cause's effects as shares of its base. Heads a method says nothing about get None."""
    if not nodes or not causes:
        return nodes
    by_head: dict[tuple[int, int], dict[str, float]] = {}
    for cause in causes:
        for effect in cause.effects:
            by_head.setdefault((effect.layer, effect.head), {})[FIELD[cause.method]] = share(effect.effect, cause)
    nothing: dict[str, float | None] = dict.fromkeys(CAUSE_FIELDS)
    return tuple(
        msgspec.structs.replace(node, **{**nothing, **by_head.get((node.layer, node.head), {})}) for node in nodes
    )


def share(effect: float, cause: CauseScored) -> float:
    """The size of an effect as a share of the metric's base; KL and a base of nothing stay in their own unit."""
    unit = 1.0 if cause.metric == "kl" or abs(cause.base) < 1e-9 else abs(cause.base)
    return abs(effect) / unit
