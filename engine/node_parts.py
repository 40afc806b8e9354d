"""What is measured inside a node: its effect position by position, the grid of the stream, the neurons of an MLP."""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

GridKind = Literal["stream", "attention", "mlp"]
"""What is replaced at one layer and position: the layer's input, or all that its attention or its MLP writes."""


class MeasuredHow(msgspec.Struct, frozen=True, kw_only=True):
    """How effects were measured, and what it cost."""

    metric: str
    replacement: str
    passes: float
    """Cost of the measurement itself, in forward passes of its prompts."""
    prepared: float
    """Cost of the clean passes before it, likewise."""
    seconds: float
    notices: tuple[str, ...] = ()
    """What was left out, and why."""


class PromptPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt and the effect of a replacement at each of its positions alone."""

    example: int
    """Index into the run's examples, from 0."""
    base: float
    """The metric with nothing replaced."""
    tokens: tuple[str, ...]
    other: tuple[str, ...]
    """The paired prompt's token at the position that each replacement is read at; empty if it is read on no one prompt.

    Sides of unequal length are aligned at their ends; what lies before the other's start is replaced from its first.
    """
    effects: tuple[float, ...]
    """Change of the metric per position."""


class PlaceEffect(msgspec.Struct, frozen=True, kw_only=True):
    """The mean effect at one distance from the end, over all prompts that are so long."""

    from_end: int
    """0 is the last token: prompts of unequal length are aligned at their ends."""
    effect: float
    error: float | None
    """Standard error of the mean; None for one prompt."""
    prompts: int
    token: str
    """The most frequent token there."""
    other: str
    """The most frequent token that it is replaced from; empty if replacements are read on no one prompt."""
    tokens: int
    """Number of different tokens there."""


class GridRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kind and layer of the grid: the mean effect at each distance from the end, the last token first."""

    kind: GridKind
    layer: int
    effects: tuple[float, ...]


def mean_places(prompts: Sequence[PromptPlaces]) -> tuple[PlaceEffect, ...]:
    """Return the mean effect at every distance from the end, the prompts' first position first."""
    longest = max((len(each.tokens) for each in prompts), default=0)
    found = []
    for from_end in reversed(range(longest)):
        there = [each for each in prompts if len(each.tokens) > from_end]
        effects = [each.effects[-1 - from_end] for each in there]
        mean = math.fsum(effects) / len(effects)
        error = None
        if len(effects) > 1:
            variance = math.fsum((each - mean) ** 2 for each in effects) / (len(effects) - 1)
            error = math.sqrt(variance / len(effects))
        tokens = [each.tokens[-1 - from_end] for each in there]
        found.append(
            PlaceEffect(
                from_end=from_end,
                effect=mean,
                error=error,
                prompts=len(there),
                token=_most_frequent(tokens),
                other=_most_frequent([each.other[-1 - from_end] for each in there if each.other]),
                tokens=len(set(tokens)),
            )
        )
    return tuple(found)


def _most_frequent(tokens: Sequence[str]) -> str:
    return max(tokens, key=tokens.count, default="")
