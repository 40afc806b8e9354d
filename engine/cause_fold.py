"""Causes laid into the heads' scores, so that a grid, a ranking and a comparison see them as measures."""

import math
from collections.abc import Sequence

import msgspec

from engine.events import CauseScored
from engine.results import CAUSE_FIELDS, HeadEffect, HeadScores

FIELD = {"attribution": "attribution", "exact": "exact_effect", "combined": "combined"}
"""The field of HeadScores each method fills."""


def with_causes(nodes: tuple[HeadScores, ...], causes: Sequence[CauseScored]) -> tuple[HeadScores, ...]:
    """The scores with each cause's effects as shares of its base. Heads a method says nothing about get None."""
    if not nodes or not causes:
        return nodes
    by_head: dict[tuple[int, int], dict[str, float]] = {}
    for cause in causes:
        for effect in cause.effects:
            size = likely_size(effect) if cause.method == "combined" else effect.effect
            by_head.setdefault((effect.layer, effect.head), {})[FIELD[cause.method]] = share(size, cause)
    nothing: dict[str, float | None] = dict.fromkeys(CAUSE_FIELDS)
    return tuple(
        msgspec.structs.replace(node, **{**nothing, **by_head.get((node.layer, node.head), {})}) for node in nodes
    )


def share(effect: float, cause: CauseScored) -> float:
    """The size of an effect as a share of the metric's base; KL and a base of nothing stay in their own unit."""
    unit = 1.0 if cause.metric == "kl" or abs(cause.base) < 1e-9 else abs(cause.base)
    return abs(effect) / unit


def likely_size(effect: HeadEffect) -> float:
    """How large the effect is to be expected on other prompts: the mean of |x|, x normal around the effect with its
    standard error (a folded normal distribution).

    Ten pairs leave a mean near zero to many a head that moves every pair, now up, now down: on others its mean is not
    likely to be zero again. Heads are ranked by this (docs/lab.md); where the error is small it is the effect's size.
    """
    size, error = abs(effect.effect), effect.error or 0.0
    if error <= 1e-3 * size:
        return size
    z = size / error
    return error * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + size * math.erf(z / math.sqrt(2))
