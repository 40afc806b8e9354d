"""Exact edge patching: the effect when one head reads another's output from the other side.

Path patching of single edges (Wang et al. 2022, Goldowsky-Dill et al. 2023): the source's contribution to what the
target's queries, keys and values read is replaced; no other head sees it; everything after the target's changed output
is recomputed. engine.patching.edge_attribution estimates the same from gradients.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs
from engine.patching.node_patching import at_once
from engine.patching.partial_forward import PartialPass
from engine.results import HeadId

Edge = tuple[HeadId, HeadId]
"""(source, target); the source is in an earlier layer."""
Found = Callable[[int, Float[Tensor, " row"]], None]
"""Called with the index of an item and its metric on every row."""


class StopForward(Exception):
    """Raised by a hook once the needed layer is computed, to stop the forward pass."""


def all_edges(n_layers: int, n_heads: int) -> list[Edge]:
    """Return every pair of an earlier and a later head, ordered by target layer."""
    heads = [HeadId(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return sorted(
        ((source, target) for source in heads for target in heads if source.layer < target.layer),
        key=lambda edge: (edge[1].layer, edge[0], edge[1].head),
    )


def measure_edges(passes: ForwardPasses, inputs: PatchingInputs, edges: Sequence[Edge]) -> Float[Tensor, "edge row"]:
    """Return the metric on every row with each edge alone replaced.

    A norm after attention keeps its divisor of the clean pass, so that one head's change is its own. Raises ValueError
    for a pair that is no edge, Cancelled within a block.
    """
    for source, target in edges:
        if source.layer >= target.layer:
            raise ValueError(f"{source} is not in an earlier layer than {target}")
    results = inputs.base_by_row.repeat(len(edges), 1)
    many = at_once(passes, inputs)
    weights = passes.model.head_weights
    with torch.no_grad():
        for layer in sorted({target.layer for _, target in edges}):
            here = [place for place, (_, target) in enumerate(edges) if target.layer == layer]
            # One pass over the layer serves all targets of a source in it.
            sources = sorted({edges[place][0] for place in here})
            for first in range(0, len(sources), many):
                some = sources[first : first + many]
                changed = [_changed(passes, inputs, layer, some, weights, tail) for tail in inputs.tails(passes)]
                wanted = [place for place in here if edges[place][0] in some]
                for start in range(0, len(wanted), many):
                    now = wanted[start : start + many]
                    which = [(some.index(edges[place][0]), edges[place][1].head) for place in now]
                    answers = torch.empty(len(now), len(inputs), device=results.device)
                    for tail, z in zip(inputs.tails(passes), changed, strict=True):
                        answers[:, tail.rows] = _follow(passes, inputs, layer, which, z, tail)
                    results[now] = answers
    return results


def _changed(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    layer: int,
    sources: Sequence[HeadId],
    weights: Sequence[Float[Tensor, "head _ d_model"]],
    tail: PartialPass,
) -> Float[Tensor, "source some position head d_head"]:
    """Return the layer's z when it reads one of the sources' outputs of the other side; the pass stops there."""
    many, span = len(sources), slice(tail.begin, tail.end)
    streams = []
    for source in sources:
        where = inputs.written_where(source.layer)[tail.rows, span, None]
        other, clean = (each[source.layer][tail.rows, span, source.head] for each in (inputs.other, inputs.clean.z))
        written = ((other - clean) * where) @ weights[source.layer][source.head]
        entering = tail.entering(inputs, layer)
        streams.append((entering.float() + written.to(entering.device)).to(entering.dtype))
    seen: list[Tensor] = []

    def see(_layer: int, z: Tensor) -> Tensor:
        seen.append(z.clone())
        raise StopForward

    try:
        tail.run(passes, inputs, many, first=layer, residual=torch.cat(streams), edit=see, edited={layer})
    except StopForward:
        passes.work -= many * tail.tokens.numel() * (passes.n_layers - layer - 1)
    return seen[0].view(many, len(tail.rows), *seen[0].shape[1:])


def _follow(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    layer: int,
    which: Sequence[tuple[int, int]],
    changed: Float[Tensor, "source some position head d_head"],
    tail: PartialPass,
) -> Float[Tensor, "edge some"]:
    """Return the metric when only one head of the layer has changed. `which`: (index of its source, head) per edge."""
    many = len(which)
    instead = torch.stack([changed[place, :, :, head] for place, head in which])
    heads = torch.tensor([head for _, head in which], device=tail.tokens.device)
    numbers = torch.arange(passes.model.info.n_heads, device=heads.device)
    chosen = (numbers == heads[:, None])[:, None, None, :, None]

    def replace(_layer: int, z: Tensor) -> Tensor:
        heads = z.view(many, len(tail.rows), *z.shape[1:])
        return torch.where(chosen, instead[:, :, :, None], heads).view(z.shape)

    entering = tail.entering(inputs, layer).repeat(many, 1, 1)
    return tail.run(passes, inputs, many, first=layer, residual=entering, edit=replace, edited={layer})
