"""Effects for reading: each head's effect is shown under one method only."""

import msgspec

from engine.analysis.run_state import RunSnapshot
from engine.events import EffectsMeasured

Setting = tuple[str, str, str, int]
"""Metric, replacement, position, number of examples."""


def one_effect_per_head(picture: RunSnapshot) -> RunSnapshot:
    """Return the snapshot with each head's effect under one method of a setting.

    Combined contains the exact effect of patched heads and attribution for the rest, so it replaces both. Without it,
    attribution lists only the heads that were not patched.
    """
    methods = {(_setting(cause), cause.method) for cause in picture.causes}
    patched = {
        (_setting(cause), effect.layer, effect.head)
        for cause in picture.causes
        if cause.method == "exact"
        for effect in cause.effects
    }
    kept = []
    for cause in picture.causes:
        setting = _setting(cause)
        if cause.method in ("attribution", "exact") and (setting, "combined") in methods:
            continue
        if cause.method == "attribution":
            left = tuple(each for each in cause.effects if (setting, each.layer, each.head) not in patched)
            if not left:
                continue
            cause = msgspec.structs.replace(cause, effects=left)
        kept.append(cause)
    return msgspec.structs.replace(picture, causes=tuple(kept))


def _setting(cause: EffectsMeasured) -> Setting:
    return cause.metric, cause.replacement, cause.position, cause.n_examples
