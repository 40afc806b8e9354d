"""What really happens to the answer when heads are replaced, in batches and from the first changed layer on."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.cause.forward import Passes
from engine.cause.material import Material
from engine.results import HeadId

_SMALL = 8
"""A pass of fewer rows than this share of what fits leaves the machine idle."""

Found = Callable[[int, Float[Tensor, " row"]], None]
"""(which of the asked, its metric on every row)."""


def measure_replaced(
    passes: Passes,
    material: Material,
    masks: Bool[Tensor, "many layer head"],
    found: Found | None = None,
) -> Float[Tensor, "many row"]:
    """The metric on every row with the heads of each mask replaced.

    Several masks go into one pass, those that begin in like layers together; what stands before the first changed
    layer of a pass is not computed again. `found` is called as results come. Raises Cancelled within a block.
    """
    results = material.base_by_row.repeat(len(masks), 1)
    touched = masks.any(dim=2)
    begins = torch.where(touched.any(dim=1), touched.int().argmax(dim=1), passes.n_layers)
    with torch.no_grad():
        for some in _batches(begins.tolist(), max(1, _rows_at_once(passes, material) // len(material))):
            first = int(begins[some].min())
            if first < passes.n_layers:
                results[some] = _measure(passes, material, masks[some], first)
            if found is not None:
                for each in some:
                    found(each, results[each])
    return results


def _batches(begins: Sequence[int], at_once: int) -> list[list[int]]:
    """Masks that go into one pass together: those that begin in the same layer, and in later ones only while the pass
    is so small that its layers cost the same whether they are computed for a few rows more or not."""
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
    """A mask for each of these heads alone."""
    masks = torch.zeros(len(heads), n_layers, n_heads, dtype=torch.bool)
    for place, (layer, head) in enumerate(heads):
        masks[place, layer, head] = True
    return masks


def mask_of(heads: Sequence[HeadId], n_layers: int, n_heads: int) -> Bool[Tensor, "layer head"]:
    """One mask with all of these heads."""
    mask = torch.zeros(n_layers, n_heads, dtype=torch.bool)
    for layer, head in heads:
        mask[layer, head] = True
    return mask


def _rows_at_once(passes: Passes, material: Material) -> int:
    prefix = material.prefix(passes)
    return passes.rows_at_once(material.tokens.shape[1] - (prefix.length if prefix else 0))


def _measure(
    passes: Passes, material: Material, masks: Bool[Tensor, "many layer head"], first: int
) -> Float[Tensor, "many row"]:
    """The masks together on all rows, or one mask on as many rows as go into a pass."""
    many, rows = len(masks), len(material)
    size = rows if many > 1 else _rows_at_once(passes, material)
    parts = [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
    return torch.cat([_pass(passes, material, masks, first, part) for part in parts], dim=1)


def _pass(
    passes: Passes, material: Material, masks: Bool[Tensor, "many layer head"], first: int, part: slice
) -> Float[Tensor, "many some"]:
    tokens, last, where = material.tokens[part], material.last[part], material.where[part]
    many, begin = len(masks), 0
    prefix = material.prefix(passes)
    if prefix is not None:
        prefix, begin = prefix.part(part), prefix.length
    masks = masks.to(tokens.device)
    changed = set(masks.any(dim=2).any(dim=0).nonzero()[:, 0].tolist())

    def replace(layer: int, z: Tensor) -> Tensor:
        here = masks[:, layer][:, None, None, :, None] & where[None, :, begin:, None, None]
        return torch.where(here, material.other[layer][part, begin:], z.view(many, len(tokens), *z.shape[1:])).view(
            z.shape
        )

    logits = passes.run(
        tokens[:, begin:].repeat(many, 1),
        last.repeat(many) - begin,
        edit=replace,
        edited=changed,
        first=first,
        residual=material.clean.residual[first][part, begin:].repeat(many, 1, 1),
        prefix=None if prefix is None else prefix.repeated(many),
    )
    return material.yardstick(logits.view(many, len(tokens), -1), part)
