"""The tokens whose logits a direction of the stream raises and lowers most."""

from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.contributions import norm_gain
from engine.models.head_layout import in_memory, unembedding
from engine.models.loading import Model
from engine.node_parts import Tokens

NORM_SCALE = "ln_final.hook_scale"
"""TransformerLens's name for the scale that a final norm divides by, per position."""
_WRITTEN = 8
"""Tokens at either end."""
_AT_ONCE = 128
"""Directions whose logits are in memory together; with 32 a direction takes 1.6 times as long on a CPU."""


class WrittenTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What one direction does to the logits; the mean logit is subtracted."""

    raises: Tokens
    lowers: Tokens


def written_tokens(
    model: Model, directions: Float[Tensor, "direction d_model"], scale: float = 1.0
) -> list[WrittenTokens]:
    """Return what the directions, as they are, write through the final norm's gain and the unembedding.

    `scale`: what the final norm divides by.
    """
    matrix, _ = unembedding(model.bridge)
    assert matrix is not None
    matrix, gain = matrix.to(model.device, torch.float32), _gain(model)
    found = []
    with torch.inference_mode():
        for some in directions.split(_AT_ONCE):
            logits = (some * gain) @ matrix / scale
            logits = logits - logits.mean(dim=-1, keepdim=True)
            for each in logits:
                raised, lowered = each.topk(_WRITTEN), (-each).topk(_WRITTEN)
                found.append(
                    WrittenTokens(
                        raises=_named(model, raised.indices, raised.values),
                        lowers=_named(model, lowered.indices, -lowered.values),
                    )
                )
    return found


def written_ids(
    model: Model, directions: Float[Tensor, "direction d_model"], most: int
) -> list[tuple[tuple[int, float], ...]]:
    """Return for each direction the tokens that it raises most, by their ids, and the logits less their mean."""
    matrix, _ = unembedding(model.bridge)
    assert matrix is not None
    matrix, gain = matrix.to(model.device, torch.float32), _gain(model)
    found: list[tuple[tuple[int, float], ...]] = []
    with torch.inference_mode():
        for some in directions.split(_AT_ONCE):
            logits = (some * gain) @ matrix
            raised = logits.topk(min(most, logits.shape[-1]))
            values = raised.values - logits.mean(dim=-1, keepdim=True)
            for ids, row in zip(raised.indices.tolist(), values.tolist(), strict=True):
                found.append(tuple(zip(ids, row, strict=True)))
    return found


def exciting_tokens(model: Model, row: Float[Tensor, " d_model"]) -> tuple[Tokens, Tokens]:
    """Return the tokens whose embeddings point most along the row and most against it, with their cosines."""
    embed: Any = model.bridge.embed
    with in_memory(embed.original_component), torch.inference_mode():
        weight: Tensor = embed.original_component.weight.detach()
        embeddings = weight.to(model.device, torch.float32)[: model.info.vocabulary]
        if embeddings.shape[-1] != len(row):
            return (), ()  # a family that projects its embeddings (OPT-350M)
        along = torch.nn.functional.normalize(embeddings, dim=-1) @ torch.nn.functional.normalize(row, dim=0)
    most, least = along.topk(_WRITTEN), (-along).topk(_WRITTEN)
    return _named(model, most.indices, most.values), _named(model, least.indices, -least.values)


def _named(model: Model, indices: Tensor, values: Tensor) -> Tokens:
    pairs: Sequence[tuple[int, float]] = list(zip(indices.tolist(), values.tolist(), strict=True))
    return tuple((model.token_words(token), round(value, 3)) for token, value in pairs)


def _gain(model: Model) -> Tensor | float:
    """Return the gain of the final norm, which multiplies the direction before the unembedding."""
    norm = getattr(model.bridge, "ln_final", None)
    if norm is None:
        return 1.0
    gain = norm_gain(norm, model.info.d_model)
    if gain is not None:
        return gain.to(model.device)
    with in_memory(norm.original_component):
        weight = getattr(norm, "weight", None)
        return weight.detach().to(model.device, torch.float32) if isinstance(weight, Tensor) else 1.0
