"""Effects put together over measurements, and laid into the heads' scores so that they are measures like any other.

Nothing measured is lost: effects of one setting are merged, newest per head; unlike settings stand side by side. Of
each method one setting fills the measure (`primary`).
"""

import math
from collections.abc import Sequence

import msgspec

from engine.events import EffectMethod, EffectsMeasured
from engine.results import EFFECT_FIELDS, HeadEffect, HeadId, HeadScores

FIELD: dict[EffectMethod, str] = {
    "attribution": "attribution",
    "exact": "exact_effect",
    "combined": "combined",
    "backup": "backup",
}
"""The field of HeadScores each method fills."""
METRIC_WORDS: dict[str, str] = {
    "logit_difference": "logit difference",
    "log_probability": "log-probability",
    "probability_mass": "probability mass",
    "kl": "KL divergence",
}
"""The metrics as a person reads them."""
MOVES = 0.05
"""The share of the answer from which a head moves it."""


class EffectSetting(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """How an effect was measured. Numbers of unlike settings are not to be mixed."""

    method: EffectMethod
    metric: str
    replacement: str
    position: str
    n_examples: int
    """The run's examples are fixed, and so is which of them are drawn: their number says which."""
    gradient_steps: int = 0
    after: tuple[tuple[int, int], ...] = ()


def setting_of(cause: EffectsMeasured) -> EffectSetting:
    """How these effects were measured."""
    return EffectSetting(
        method=cause.method,
        metric=cause.metric,
        replacement=cause.replacement,
        position=cause.position,
        n_examples=cause.n_examples,
        gradient_steps=cause.gradient_steps,
        after=tuple(sorted(cause.after)),
    )


def merge(
    causes: Sequence[EffectsMeasured], new: EffectsMeasured, measured_us: int | None = None
) -> tuple[EffectsMeasured, ...]:
    """The causes with the new one taken in, the setting touched last at the end.

    Effects of its setting that it measured again are replaced, the others stay, each with when it was measured. What
    was measured to its end stays final, whatever was stopped on its way later.
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
    )
    return (*(cause for cause in causes if cause is not known), together)


def primary(causes: Sequence[EffectsMeasured]) -> dict[EffectMethod, EffectsMeasured]:
    """For each method the setting that its measure shows: the one with most heads, of equal ones the newest.

    Two heads measured by another metric do not turn a whole grid into blanks; all heads measured so do.
    """
    found: dict[EffectMethod, EffectsMeasured] = {}
    for cause in causes:  # the newest last
        other = found.get(cause.method)
        if other is None or len(cause.effects) >= len(other.effects):
            found[cause.method] = cause
    return found


def with_causes(nodes: tuple[HeadScores, ...], causes: Sequence[EffectsMeasured]) -> tuple[HeadScores, ...]:
    """The scores with each method's effects as shares of its base. Heads a method says nothing about get None."""
    if not nodes or not causes:
        return nodes
    by_head: dict[tuple[int, int], dict[str, float]] = {}
    for cause in primary(causes).values():
        for effect in cause.effects:
            by_head.setdefault((effect.layer, effect.head), {})[FIELD[cause.method]] = value_of_effect(effect, cause)
    nothing: dict[str, float | None] = dict.fromkeys(EFFECT_FIELDS)
    return tuple(
        msgspec.structs.replace(node, **{**nothing, **by_head.get((node.layer, node.head), {})}) for node in nodes
    )


def value_of_effect(effect: HeadEffect, cause: EffectsMeasured) -> float:
    """What the measure of the method says about the head, as a share of the base.

    attribution: the mean of sizes pair by pair, which ranks heads better than the size of their mean (docs/lab):
    a head that moves every pair, now up, now down, is no idle one. Where that was not told, what the error makes of
    it. combined: what is to be expected on other prompts.
    """
    if cause.method == "backup":
        return share(effect.effect, cause) - share(effect.alone or 0.0, cause)
    if cause.method == "attribution":
        return share(likely_size(effect) if effect.size is None else effect.size, cause)
    return share(likely_size(effect) if cause.method == "combined" else effect.effect, cause)


def ranked_effects(cause: EffectsMeasured) -> list[HeadEffect]:
    """The effects in the order of the measure of that method, the largest first."""
    return sorted(cause.effects, key=lambda each: (-value_of_effect(each, cause), each.layer, each.head))


def share(effect: float, cause: EffectsMeasured) -> float:
    """The size of an effect as a share of the metric's base; KL and a base of nothing stay in their own unit."""
    unit = 1.0 if cause.metric == "kl" or abs(cause.base) < 1e-9 else abs(cause.base)
    return abs(effect) / unit


def dormant_heads(causes: Sequence[EffectsMeasured]) -> tuple[EffectsMeasured, list[HeadId]] | None:
    """The heads that do nothing alone and move the answer once a circuit is replaced, the largest first, and the
    measurement that says so; None where nobody measured that.

    An effect must be twice its standard error: of a few pairs one may be moved by luck.
    """
    cause = primary(causes).get("backup")
    if cause is None or not cause.final or cause.metric == "kl":
        return None
    found = [
        one
        for one in cause.effects
        if share(one.alone or 0.0, cause) < MOVES <= share(one.effect, cause)
        and abs(one.effect) >= 2 * (one.error or 0.0)
    ]
    found.sort(key=lambda one: (-abs(one.effect), one.layer, one.head))
    return cause, [HeadId(one.layer, one.head) for one in found]


def likely_size(effect: HeadEffect) -> float:
    """How large the effect is to be expected on other prompts: the mean of |x|, x normal around the effect with its
    standard error (a folded normal distribution).

    Ten pairs leave a mean near zero to many a head that moves every pair, now up, now down: on others its mean is not
    likely to be zero again. Heads are ranked by this (docs/lab); where the error is small it is the effect's size.
    """
    size, error = abs(effect.effect), effect.error or 0.0
    if error <= 1e-3 * size:
        return size
    z = size / error
    return error * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + size * math.erf(z / math.sqrt(2))
