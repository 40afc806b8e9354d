"""Which positions of a prompt are shown with their effects, and in how many bands of columns."""

from collections.abc import Sequence

import msgspec

from engine.node_parts import PlaceEffect, PromptPlaces, mean_places

ROUNDING = 0.003
"""A share of the largest effect that is taken as none: it is rounding, or as good as that."""


class TokenPlace(msgspec.Struct, frozen=True):
    """One position: its token, the effect of a replacement there, and the mean over prompts."""

    index: int
    """Position in the prompt; in the mean over prompts, counted from its longest prompt's start."""
    token: str
    other: str
    effect: float
    mean: PlaceEffect | None


def token_places(prompts: Sequence[PromptPlaces], example: int) -> tuple[list[TokenPlace], PromptPlaces | None]:
    """Return the positions of this example, or of the mean over prompts if it was not measured; and the example."""
    means = mean_places(prompts)
    own = next((each for each in prompts if each.example == example), None)
    if own is None:
        mean_only = [TokenPlace(index, each.token, each.other, each.effect, each) for index, each in enumerate(means)]
        return mean_only, None
    shift = len(means) - len(own.tokens)
    others = own.other or ("",) * len(own.tokens)
    return [
        TokenPlace(index, token, other, effect, means[shift + index])
        for index, (token, other, effect) in enumerate(zip(own.tokens, others, own.effects, strict=True))
    ], own


def shown_places(places: Sequence[TokenPlace], room: int, keep: int | None = None) -> list[TokenPlace]:
    """Return at most `room` positions in order: from the first effect on, else those with the largest effects.

    `keep`: this position is always among them.
    """
    sizes = [max(abs(each.effect), abs(each.mean.effect) if each.mean is not None else 0.0) for each in places]
    least = ROUNDING * max(sizes, default=0.0)
    first = next((index for index, size in enumerate(sizes) if size > least), 0)
    later = list(range(first, len(places)))
    if len(later) > room:
        later = sorted(sorted(later, key=lambda index: -sizes[index])[:room])
    if keep is not None and 0 <= keep < len(places) and keep not in later and room:
        later = sorted([*later[: room - 1], keep] if len(later) >= room else [*later, keep])
    return [places[index] for index in later]
