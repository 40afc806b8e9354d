"""Exact patching of heads, in batches and from the first changed layer on."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs
from engine.patching.partial_forward import PartialPass
from engine.results import HeadId

_SMALL = 8
"""A pass of fewer rows than this share of the maximum does not use the machine fully."""

Found = Callable[[int, Float[Tensor, " row"]], None]
"""Called with the index of an item and its metric on every row."""


def measure_replaced(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    masks: Bool[Tensor, "many layer head"],
    found: Found | None = None,
) -> Float[Tensor, "many row"]:
    """Return the metric on every row with the heads of each mask replaced.

    Masks that begin in the same layer share a pass; layers before the first changed one are not computed again. `found`
    is called as results come in. Raises Cancelled within a block.
    """
    results = inputs.base_by_row.repeat(len(masks), 1)
    touched = masks.any(dim=2)
    begins = torch.where(touched.any(dim=1), touched.int().argmax(dim=1), passes.n_layers)
    with torch.no_grad():
        for some in _batches(begins.tolist(), at_once(passes, inputs)):
            first = int(begins[some].min())
            if first < passes.n_layers:
                results[some] = _measure(passes, inputs, masks[some], first)
            if found is not None:
                for each in some:
                    found(each, results[each])
    return results


def _batches(begins: Sequence[int], at_once: int) -> list[list[int]]:
    """Group masks into passes: those that begin in the same layer together.

    Masks of later layers join only while the pass is so small that a few more rows cost no extra time.
    """
    batches: list[list[int]] = []
    for each in sorted(range(len(begins)), key=lambda place: begins[place]):
        last = batches[-1] if batches else []
        fits = last and len(last) < at_once
        if fits and (begins[last[0]] == begins[each] or len(last) < at_once // _SMALL):
            last.append(each)
        else:
            batches.append([each])
    return batches


def one_head_each(heads: Sequence[HeadId], n_layers: int, n_heads: int) -> Bool[Tensor, "many layer head"]:
    """Return one mask per head."""
    masks = torch.zeros(len(heads), n_layers, n_heads, dtype=torch.bool)
    for place, (layer, head) in enumerate(heads):
        masks[place, layer, head] = True
    return masks


def mask_of(heads: Sequence[HeadId], n_layers: int, n_heads: int) -> Bool[Tensor, "layer head"]:
    """Return one mask with all of these heads."""
    mask = torch.zeros(n_layers, n_heads, dtype=torch.bool)
    for layer, head in heads:
        mask[layer, head] = True
    return mask


def at_once(passes: ForwardPasses, inputs: PatchingInputs) -> int:
    """Return how many copies of all rows fit into one pass; at least one."""
    widest = max(tail.tokens.shape[1] for tail in inputs.tails(passes))
    most = max(len(tail.rows) for tail in inputs.tails(passes))
    return max(1, passes.rows_at_once(widest) // most)


def _measure(
    passes: ForwardPasses, inputs: PatchingInputs, masks: Bool[Tensor, "many layer head"], first: int
) -> Float[Tensor, "many row"]:
    """Measure these masks together, on all rows."""
    found = torch.empty(len(masks), len(inputs), device=inputs.tokens.device)
    for tail in inputs.tails(passes):
        found[:, tail.rows] = _pass(passes, inputs, masks, first, tail)
    return found


def _pass(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    masks: Bool[Tensor, "many layer head"],
    first: int,
    tail: PartialPass,
) -> Float[Tensor, "many some"]:
    masks = masks.to(tail.tokens.device)
    many, span = len(masks), slice(tail.begin, tail.end)
    where = inputs.where[tail.rows, span]
    changed = set(masks.any(dim=2).any(dim=0).nonzero()[:, 0].tolist())

    def replace(layer: int, z: Tensor) -> Tensor:
        here = masks[:, layer][:, None, None, :, None] & where[None, :, :, None, None]
        other = inputs.other[layer][tail.rows, span]
        return torch.where(here, other, z.view(many, len(tail.rows), *z.shape[1:])).view(z.shape)

    return tail.run(
        passes,
        inputs,
        many,
        first=first,
        residual=tail.entering(inputs, first).repeat(many, 1, 1),
        edit=replace,
        edited=changed,
    )
