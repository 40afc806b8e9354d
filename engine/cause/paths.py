"""What really happens to the answer when one head reads another's output from the other side: exact edge patching.

Path patching of single edges (Wang et al. 2022, Goldowsky-Dill et al. 2023): the source's contribution to what the
target's queries, keys and values read is replaced; no other head sees it; what follows from the target's changed
output runs on freely. engine.cause.edges estimates the same from gradients.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.cause.forward import Passes, Prefix
from engine.cause.material import Material
from engine.results import HeadId

Edge = tuple[HeadId, HeadId]
"""(source, target), the source in an earlier layer."""
Found = Callable[[int, Float[Tensor, " row"]], None]
"""(which of the asked, its metric on every row)."""


class Seen(Exception):
    """The layer that was wanted has been computed; the rest of the pass is not needed."""


def all_edges(n_layers: int, n_heads: int) -> list[Edge]:
    """Every pair of an earlier and a later head, by target layer."""
    heads = [HeadId(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return sorted(
        ((source, target) for source in heads for target in heads if source.layer < target.layer),
        key=lambda edge: (edge[1].layer, edge[0], edge[1].head),
    )


def measure_edges(
    passes: Passes, material: Material, edges: Sequence[Edge], found: Found | None = None
) -> Float[Tensor, "edge row"]:
    """The metric on every row with each edge alone replaced.

    Takes what a head writes to reach the stream as it is: in models that normalise it there first, it is out by that
    scale. `found` is called as results come. Raises ValueError for a pair that is no edge, Cancelled within a block.
    """
    for source, target in edges:
        if source.layer >= target.layer:
            raise ValueError(f"{source} stands in no earlier layer than {target}")
    results = material.base_by_row.repeat(len(edges), 1)
    width = material.tokens.shape[1] - _begin(passes, material)
    size = passes.rows_at_once(width)
    at_once = max(1, size // len(material))
    parts = [slice(start, min(start + size, len(material))) for start in range(0, len(material), size)]
    weights = passes.model.output_weights
    with torch.no_grad():
        for layer in sorted({target.layer for _, target in edges}):
            here = [place for place, (_, target) in enumerate(edges) if target.layer == layer]
            # One look at the layer serves all of a source's targets in it.
            sources = sorted({edges[place][0] for place in here})
            for first in range(0, len(sources), at_once):
                some = sources[first : first + at_once]
                changed = [_changed(passes, material, layer, some, weights, part) for part in parts]
                wanted = [place for place in here if edges[place][0] in some]
                for start in range(0, len(wanted), at_once):
                    now = wanted[start : start + at_once]
                    which = [(some.index(edges[place][0]), edges[place][1].head) for place in now]
                    for part, z in zip(parts, changed, strict=True):
                        results[now, part] = _follow(passes, material, layer, which, z, part)
                    if found is not None:
                        for place in now:
                            found(place, results[place])
    return results


def _begin(passes: Passes, material: Material) -> int:
    prefix = material.prefix(passes)
    return prefix.length if prefix else 0


def _prefix(passes: Passes, material: Material, part: slice) -> tuple[Prefix | None, int]:
    prefix = material.prefix(passes)
    return (None, 0) if prefix is None else (prefix.part(part), prefix.length)


def _changed(
    passes: Passes,
    material: Material,
    layer: int,
    sources: Sequence[HeadId],
    weights: Float[Tensor, "layer head d_head d_model"],
    part: slice,
) -> Float[Tensor, "source some position head d_head"]:
    """The layer's z when it reads one of the sources' output of the other side; the rest of the pass is left out."""
    prefix, begin = _prefix(passes, material, part)
    tokens, last = material.tokens[part, begin:], material.last[part] - begin
    many, where = len(sources), material.where[part, begin:, None]
    streams = []
    for source in sources:
        other, clean = material.other[source.layer][part], material.clean.z[source.layer][part]
        moved = (other[:, begin:, source.head] - clean[:, begin:, source.head]) * where
        streams.append(material.clean.residual[layer][part, begin:] + moved @ weights[source.layer, source.head])
    seen: list[Tensor] = []

    def see(_layer: int, z: Tensor) -> Tensor:
        seen.append(z.clone())
        raise Seen

    try:
        passes.run(
            tokens.repeat(many, 1),
            last.repeat(many),
            edit=see,
            edited={layer},
            first=layer,
            residual=torch.cat(streams),
            prefix=None if prefix is None else prefix.repeated(many),
        )
    except Seen:
        passes.work -= many * tokens.numel() * (passes.n_layers - layer - 1)
    return seen[0].view(many, len(tokens), *seen[0].shape[1:])


def _follow(
    passes: Passes,
    material: Material,
    layer: int,
    which: Sequence[tuple[int, int]],
    changed: Float[Tensor, "source some position head d_head"],
    part: slice,
) -> Float[Tensor, "edge some"]:
    """The metric when, of the layer's heads, only the named one has changed: (place of its source, head) each."""
    prefix, begin = _prefix(passes, material, part)
    tokens, last = material.tokens[part, begin:], material.last[part] - begin
    many = len(which)
    instead = torch.stack([changed[place, :, :, head] for place, head in which])
    heads = torch.tensor([head for _, head in which], device=tokens.device)
    chosen = (torch.arange(passes.model.info.n_heads, device=tokens.device) == heads[:, None])[:, None, None, :, None]

    def replace(_layer: int, z: Tensor) -> Tensor:
        return torch.where(chosen, instead[:, :, :, None], z.view(many, len(tokens), *z.shape[1:])).view(z.shape)

    logits = passes.run(
        tokens.repeat(many, 1),
        last.repeat(many),
        edit=replace,
        edited={layer},
        first=layer,
        residual=material.clean.residual[layer][part, begin:].repeat(many, 1, 1),
        prefix=None if prefix is None else prefix.repeated(many),
    )
    return material.yardstick(logits.view(many, len(tokens), -1), part)
