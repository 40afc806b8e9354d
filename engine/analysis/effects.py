"""Merge effect measurements and write them into the heads' scores, as measures like any other.

No measurement is lost: effects of one setting are merged, the newest per head; different settings are kept side by
side. One setting per method fills the measure (`primary`).
"""

import math
from collections.abc import Sequence

import msgspec

from engine.events import EffectMethod, EffectsMeasured
from engine.nodes import NodeId
from engine.results import EFFECT_FIELDS, NodeEffect, NodeScores

FIELD: dict[EffectMethod, str] = {
    "attribution": "attribution",
    "exact": "exact_effect",
    "combined": "combined",
    "backup": "backup",
}
"""The field of NodeScores that each method fills."""
METRIC_WORDS: dict[str, str] = {
    "logit_difference": "logit difference",
    "log_probability": "log-probability",
    "probability_mass": "probability mass",
    "kl": "KL divergence",
}
"""Display names of the metrics."""
MOVES = 0.05
"""Share of the answer from which a head moves it."""


class EffectSetting(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """How an effect was measured. Values of different settings must not be mixed."""

    method: EffectMethod
    metric: str
    replacement: str
    position: str
    n_examples: int
    """The examples of a run are fixed, and so is the draw: the number identifies it."""
    gradient_steps: int = 0
    after: tuple[tuple[int, int], ...] = ()


def setting_of(cause: EffectsMeasured) -> EffectSetting:
    """Return how these effects were measured."""
    return EffectSetting(
        method=cause.method,
        metric=cause.metric,
        replacement=cause.replacement,
        position=cause.position,
        n_examples=cause.n_examples,
        gradient_steps=cause.gradient_steps,
        after=tuple(sorted(cause.after)),
    )


def merge_measurement(
    causes: Sequence[EffectsMeasured], new: EffectsMeasured, measured_us: int | None = None
) -> tuple[EffectsMeasured, ...]:
    """Return the measurements with the new one merged in; its setting comes last.

    Effects measured again replace the old ones, the others stay, each with its time. A setting that was once measured
    completely stays final, even if a later measurement was stopped.
    """
    setting = setting_of(new)
    known = next((cause for cause in causes if setting_of(cause) == setting), None)
    effects = {(one.layer, one.head): one for one in known.effects} if known is not None else {}
    for one in new.effects:
        if one.measured_us is None and measured_us is not None:
            one = msgspec.structs.replace(one, measured_us=measured_us)
        effects[one.layer, one.head] = one
    together = msgspec.structs.replace(
        new,
        effects=tuple(effects[place] for place in sorted(effects)),
        final=new.final or (known is not None and known.final),
        why=new.why or (known.why if known is not None else ""),
        parts=() if known is not None else new.parts,
    )
    return (*(cause for cause in causes if cause is not known), together)


def primary(causes: Sequence[EffectsMeasured]) -> dict[EffectMethod, EffectsMeasured]:
    """Return per method the setting that fills its measure: the one with most heads, the newest of equals.

    So two heads measured with another metric do not blank a whole grid, while a complete measurement replaces it.
    """
    found: dict[EffectMethod, EffectsMeasured] = {}
    for cause in causes:  # the newest last
        other = found.get(cause.method)
        if other is None or len(cause.effects) >= len(other.effects):
            found[cause.method] = cause
    return found


def with_effects(nodes: tuple[NodeScores, ...], causes: Sequence[EffectsMeasured]) -> tuple[NodeScores, ...]:
    """Return the scores with each method's effects as shares of its base; None for heads without a measurement."""
    if not nodes or not causes:
        return nodes
    by_head: dict[tuple[int, int], dict[str, float]] = {}
    for cause in primary(causes).values():
        for effect in cause.effects:
            by_head.setdefault((effect.layer, effect.head), {})[FIELD[cause.method]] = effect_value(effect, cause)
    nothing: dict[str, float | None] = dict.fromkeys(EFFECT_FIELDS)
    return tuple(
        msgspec.structs.replace(node, **{**nothing, **by_head.get((node.layer, node.head), {})}) for node in nodes
    )


def effect_value(effect: NodeEffect, cause: EffectsMeasured) -> float:
    """Return the value of the method's measure for the head, as a share of the base.

    attribution: the mean of sizes over pairs, which ranks heads better than the size of the mean (docs/lab): a head
    that moves every pair, up or down, is not idle. Where it was not recorded, the estimate from the standard error.
    combined: the expected size on other prompts.
    """
    if cause.method == "backup":
        return effect_share(effect.effect, cause) - effect_share(effect.alone or 0.0, cause)
    if cause.method == "attribution":
        return effect_share(expected_size(effect) if effect.size is None else effect.size, cause)
    return effect_share(expected_size(effect) if cause.method == "combined" else effect.effect, cause)


def rank_effects(cause: EffectsMeasured) -> list[NodeEffect]:
    """Return the effects ordered by the method's measure, the largest first."""
    return sorted(cause.effects, key=lambda each: (-effect_value(each, cause), each.layer, each.head))


def effect_share(effect: float, cause: EffectsMeasured) -> float:
    """Return the size of an effect as a share of the metric's base; KL and a base of 0 keep their own unit."""
    unit = 1.0 if cause.metric == "kl" or abs(cause.base) < 1e-9 else abs(cause.base)
    return abs(effect) / unit


def dormant_heads(causes: Sequence[EffectsMeasured]) -> tuple[EffectsMeasured, list[NodeId]] | None:
    """Return the measurement and the heads that have no effect alone but move the answer once a circuit is replaced.

    The largest first; None where that was not measured. An effect must be at least twice its standard error: with few
    pairs, one may move by chance.
    """
    cause = primary(causes).get("backup")
    if cause is None or not cause.final or cause.metric == "kl":
        return None
    found = [
        one
        for one in cause.effects
        if effect_share(one.alone or 0.0, cause) < MOVES <= effect_share(one.effect, cause)
        and abs(one.effect) >= 2 * (one.error or 0.0)
    ]
    found.sort(key=lambda one: (-abs(one.effect), one.layer, one.head))
    return cause, [NodeId(one.layer, one.head) for one in found]


def expected_size(effect: NodeEffect) -> float:
    """Return the expected size of the effect on other prompts.

    The mean of |x| for x normal around the effect with its standard error (a folded normal distribution). With ten
    pairs, many heads that move every pair up or down have a mean near zero; on other prompts the mean is unlikely to be
    zero again. Heads are ranked by this value (docs/lab); where the error is small, it is the effect's size.
    """
    size, error = abs(effect.effect), effect.error or 0.0
    if error <= 1e-3 * size:
        return size
    z = size / error
    return error * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + size * math.erf(z / math.sqrt(2))
