"""Read more activations on the prompts that replacements come from, and on the clean ones."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.patching.forward import ForwardPasses, Hooks

if TYPE_CHECKING:
    from engine.patching.inputs import PatchingInputs


class OtherSide(msgspec.Struct, frozen=True, kw_only=True):
    """The prompts that replacements are read on, and at which of their positions."""

    tokens: Int[Tensor, "source position"]
    last: Int[Tensor, " source"]
    take: Int[Tensor, "row position"] | None
    """For each position of the clean rows, the position of the same row's source; None: the mean over `where`."""
    where: Bool[Tensor, "source position"] | None = None


def read_clean(
    passes: ForwardPasses, inputs: "PatchingInputs", hooks: Sequence[str]
) -> list[Float[Tensor, "row position _"]]:
    """Return what these hooks see on the clean rows, in float32. Raises Cancelled within a block."""
    return read_at(passes, inputs.tokens, inputs.last, hooks)


def read_replacements(
    passes: ForwardPasses, inputs: "PatchingInputs", hooks: Sequence[str]
) -> list[Float[Tensor, "row position _"]]:
    """Return by what the values of these hooks are replaced, at the clean rows' positions, in float32.

    Raises Cancelled within a block.
    """
    side = inputs.other_side
    if side is None:
        return [torch.zeros_like(each) for each in read_clean(passes, inputs, hooks)]
    found = read_at(passes, side.tokens, side.last, hooks)
    if side.take is not None:
        rows = torch.arange(len(side.take), device=side.take.device)[:, None]
        return [each[rows, side.take] for each in found]
    assert side.where is not None
    weights = side.where.float() / side.where.sum()
    means = [torch.einsum("sp...,sp->...", each, weights.to(each.device)) for each in found]
    return [mean.expand(*inputs.tokens.shape, *mean.shape) for mean in means]


def read_at(
    passes: ForwardPasses,
    tokens: Int[Tensor, "row position"],
    last: Int[Tensor, " row"],
    hooks: Sequence[str],
) -> list[Float[Tensor, "row position _"]]:
    """Return what these hooks see on any number of rows, in float32. Raises Cancelled within a block."""
    size = passes.rows_at_once(tokens.shape[1])
    parts: list[list[Tensor]] = []
    for start in range(0, len(tokens), size):
        part = slice(start, start + size)
        kept: dict[str, Tensor] = {}
        shape = tokens[part].shape

        def keep(name: str, kept: dict[str, Tensor] = kept, shape: torch.Size = shape) -> Callable[..., None]:
            def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
                # OPT flattens rows and positions.
                kept[name] = value.detach().to(passes.model.device, torch.float32).clone().view(*shape, -1)

            return hook

        found: Hooks = [(name, keep(name)) for name in hooks]
        with torch.no_grad():
            passes.run(tokens[part], last[part], more_hooks=found)
        parts.append([kept[name] for name in hooks])
    return [torch.cat(each) for each in zip(*parts, strict=True)]
