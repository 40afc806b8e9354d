"""New tokens, the most probable one each time, with and without steering.

Keys and values of earlier tokens are kept. A version of transformers that takes them under another name answers from
the newest token alone, without an error: so a pass that continues is compared with a whole one, once per model and at
the end of every text. Where they differ, every token is computed from the whole text.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.errors import Cancelled, ConfigError
from engine.models.kv_cache import cache_error
from engine.patching.forward import ForwardPasses
from engine.patching.steering_edits import SteeringEdit

_TRIED = 8
"""Tokens of the comparison once per model."""
_FOREIGN = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError)
"""What a family raises that keeps more than keys and values."""


class NewTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What was generated."""

    rows: tuple[tuple[int, ...], ...]
    """The new tokens of each row, up to an end of text."""
    cached: bool
    """True if keys and values were kept."""


def generate(
    passes: ForwardPasses,
    prompt: Sequence[int],
    steps: int,
    n_rows: int,
    steering: SteeringEdit,
    prompt_where: Bool[Tensor, "row position"],
    new_where: Bool[Tensor, " row"],
    ends: Collection[int] = (),
) -> NewTokens:
    """Continue one prompt in as many rows, each steered at its positions. Raises ConfigError, Cancelled.

    `new_where`: which rows are steered at new tokens, too. `ends`: tokens after which a text ends.
    """
    info = passes.model.info
    if len(prompt) + steps > info.context:
        raise ConfigError(
            f"{len(prompt)} tokens and {steps} new ones: {info.name} reads {info.context}.",
            hint=f"Generate at most {max(info.context - len(prompt), 0)}.",
        )
    text = torch.tensor([list(prompt)], device=passes.model.device).repeat(n_rows, 1)
    where = torch.cat([prompt_where, new_where[:, None].expand(-1, steps)], dim=1)
    found: Tensor | None = None
    cached = continues(passes)
    if cached:
        found = _continued(passes, text, steps, steering, where, ends)
    if found is None:
        cached = False
        found = _whole(passes, text, steps, steering, where, ends)
    return NewTokens(rows=tuple(_until_end(row, ends) for row in found[:, len(prompt) :].tolist()), cached=cached)


def continues(passes: ForwardPasses) -> bool:
    """Return True if this model's passes that continue from kept keys and values answer as whole ones do."""
    model = passes.model
    if model.continues is None:
        many = min(_TRIED, model.info.context)
        tokens = torch.arange(many, device=model.device)[None] * 7 % model.info.vocabulary
        try:
            with torch.no_grad():
                scale = float(model.bridge(tokens)[:, -1].float().abs().max())
            model.continues = cache_error(model.bridge, tokens, many // 2) <= passes.rounding * max(scale, 1.0)
        except _FOREIGN:
            model.continues = False
    return model.continues


def _continued(
    passes: ForwardPasses, text: Tensor, steps: int, steering: SteeringEdit, where: Tensor, ends: Collection[int]
) -> Int[Tensor, "row position"] | None:
    """Return the texts, computed token by token; None if keys and values were lost on the way."""
    from transformers import DynamicCache

    cache: Any = DynamicCache()
    fresh, logits, begin = text, torch.empty(0), text.shape[1]
    try:
        for _ in range(steps):
            done = text.shape[1] - fresh.shape[1]
            logits = _answer(passes, fresh, steering, where[:, done : text.shape[1]], cache)
            if cache.get_seq_length() != text.shape[1]:
                return None
            fresh = logits.argmax(dim=-1, keepdim=True)
            text = torch.cat([text, fresh], dim=1)
            if _all_ended(text[:, begin:], ends):
                break
    except _FOREIGN:
        return None
    again = _answer(passes, text[:, :-1], steering, where[:, : text.shape[1] - 1])
    return text if passes.same(again, logits) else None


def _whole(
    passes: ForwardPasses, text: Tensor, steps: int, steering: SteeringEdit, where: Tensor, ends: Collection[int]
) -> Int[Tensor, "row position"]:
    begin = text.shape[1]
    for _ in range(steps):
        logits = _answer(passes, text, steering, where[:, : text.shape[1]])
        text = torch.cat([text, logits.argmax(dim=-1, keepdim=True)], dim=1)
        if _all_ended(text[:, begin:], ends):
            break
    return text


def _answer(
    passes: ForwardPasses, tokens: Tensor, steering: SteeringEdit, where: Tensor, cache: Any = None
) -> Float[Tensor, "row vocabulary"]:
    if passes.monitor.cancelled():
        raise Cancelled
    last = torch.full((len(tokens),), tokens.shape[1] - 1, device=tokens.device)
    with torch.no_grad():
        return passes.run(tokens, last, prefix=cache, more_hooks=steering.hooks(where))


def _all_ended(new: Tensor, ends: Collection[int]) -> bool:
    return bool(ends) and all(not set(ends).isdisjoint(row) for row in new.tolist())


def _until_end(row: Sequence[int], ends: Collection[int]) -> tuple[int, ...]:
    end = next((place for place, token in enumerate(row) if token in ends), len(row))
    return tuple(row[:end])
