"""Parts of runs with every field set: tests name only the fields that they are about."""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.events import EffectsMeasured
from engine.results import Card, CircuitStability, NodeEffect, NodeScores

_REQUIRED = [field.name for field in msgspec.structs.fields(NodeScores) if field.required]


def scores_of(layer: int, head: int, **scores: Any) -> NodeScores:
    """Scores that are 0 but for those given; effects are not measured."""
    return NodeScores(**{**dict.fromkeys(_REQUIRED, 0.0), **scores, "layer": layer, "head": head})  # type: ignore[arg-type]


def effects_measured(effects: Sequence[NodeEffect], **about: Any) -> EffectsMeasured:
    """A finished measurement by exact patching from the pair, at a base of 4."""
    usual: dict[str, Any] = {
        "method": "exact",
        "metric": "logit_difference",
        "replacement": "pair",
        "position": "mean",
        "base": 4.0,
    }
    usual |= {"n_examples": 10, "passes": 3.0, "final": True}
    return EffectsMeasured(**(usual | about), effects=tuple(effects))


def weak_card(**about: Any) -> Card:
    """A card that finds the evidence weak."""
    card = Card(
        verdict="weak",
        reasons=("few examples",),
        advice=(),
        above_chance=(),
        expected_false=0.04,
        heads=(),
        stability=CircuitStability(seeds=0.6, bootstraps=0.7, n_bootstraps=100, heads=()),
        truth=None,
        codes_auc=None,
        baselines=(),
        movers=None,
    )
    return msgspec.structs.replace(card, **about)
