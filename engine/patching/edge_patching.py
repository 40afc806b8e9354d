"""Exact edge patching: the effect when one node reads another's output from the other side.

Path patching of single edges (Wang et al. 2022, Goldowsky-Dill et al. 2023): the source's contribution to what the
target reads (a head by its queries, keys and values) is replaced; no other node sees it; everything after the target's
changed output is recomputed. engine.patching.edge_attribution estimates the same from gradients.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.mlps import STREAM_BEGIN
from engine.nodes import NodeId, NodeLayout
from engine.patching.forward import ForwardPasses, Hooks
from engine.patching.inputs import PatchingInputs
from engine.patching.node_patching import at_once
from engine.patching.partial_forward import PartialPass

Edge = tuple[NodeId, NodeId]
"""(source, target); the source comes first in the forward pass (NodeLayout.order)."""
Found = Callable[[int, Float[Tensor, " row"]], None]
"""Called with the index of an item and its metric on every row."""


class StopForward(Exception):
    """Raised by a hook once the needed layer is computed, to stop the forward pass."""


def all_edges(layout: NodeLayout) -> list[Edge]:
    """Return every pair of a node and a later one, ordered by target."""
    targets = sorted(layout.ids, key=lambda node: (layout.place(node), node))
    return [(source, target) for target in targets for source in targets if layout.place(source) < layout.place(target)]


def measure_edges(passes: ForwardPasses, inputs: PatchingInputs, edges: Sequence[Edge]) -> Float[Tensor, "edge row"]:
    """Return the metric on every row with each edge alone replaced.

    A norm after attention keeps its divisor of the clean pass, so that one head's change is its own. Raises ValueError
    for a pair that is no edge, Cancelled within a block.
    """
    layout = passes.layout
    for source, target in edges:
        if layout.place(source) >= layout.place(target):
            raise ValueError(f"{source} is not earlier in the forward pass than {target}")
    results = inputs.base_by_row.repeat(len(edges), 1)
    many = at_once(passes, inputs)
    with torch.no_grad():
        for place in sorted({layout.place(target) for _, target in edges}):
            for mlps in (False, True):  # beside attention, an MLP has the place of its layer's heads
                here = [
                    number
                    for number, (_, target) in enumerate(edges)
                    if layout.place(target) == place and target.is_head != mlps
                ]
                # One pass over the layer serves all targets of a source in it.
                sources = sorted({edges[number][0] for number in here})
                for first in range(0, len(sources), many):
                    some = sources[first : first + many]
                    wanted = [number for number in here if edges[number][0] in some]
                    _measure(passes, inputs, edges, wanted, some, many, results)
    return results


def _measure(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    edges: Sequence[Edge],
    wanted: Sequence[int],
    sources: Sequence[NodeId],
    many: int,
    results: Float[Tensor, "edge row"],
) -> None:
    """Measure the `wanted` edges, from these sources into heads of one layer or into its MLP, into `results`."""
    first_target = edges[wanted[0]][1]
    layer, mlp = first_target.layer, not first_target.is_head
    changed = [_changed(passes, inputs, layer, sources, tail, mlp=mlp) for tail in inputs.tails(passes)]
    for start in range(0, len(wanted), many):
        now = wanted[start : start + many]
        which = [(sources.index(edges[number][0]), edges[number][1].head) for number in now]
        answers = torch.empty(len(now), len(inputs), device=results.device)
        for tail, output in zip(inputs.tails(passes), changed, strict=True):
            follow = _follow_mlp if mlp else _follow_heads
            answers[:, tail.rows] = follow(passes, inputs, layer, which, output, tail)
        results[list(now)] = answers


def _changed(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    layer: int,
    sources: Sequence[NodeId],
    tail: PartialPass,
    *,
    mlp: bool,
) -> Float[Tensor, "source some position *rest"]:
    """Return the layer's z, or its MLP's output, when it reads one of the sources' outputs of the other side.

    The pass stops there. For the MLP, the layer's heads are held as they are, so that a change of the layer's input
    reaches the MLP unchanged.
    """
    many, entering = len(sources), tail.entering(inputs, layer)
    streams = []
    for source in sources:
        written = _written(passes, inputs, source, tail)
        streams.append((entering.float() + written.to(entering.device)).to(entering.dtype))
    stream = torch.cat(streams)
    seen: list[Tensor] = []

    def see(_layer: int, z: Tensor) -> Tensor:
        if mlp:
            held = inputs.clean.z[layer][tail.rows, tail.begin : tail.end]
            return held.repeat(many, 1, 1, 1).to(z.dtype)
        seen.append(z.clone())
        raise StopForward

    def see_output(output: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
        seen.append(output.clone())
        raise StopForward

    # A pass from the first layer on reads the prompt's own embedding: this replaces it.
    hooks: Hooks = [(STREAM_BEGIN, lambda _stream, hook: stream)] if layer == 0 else []  # noqa: ARG005
    hooks += [(passes.model.mlps.hook(layer), see_output)] if mlp else []
    try:
        tail.run(passes, inputs, many, first=layer, residual=stream, edit=see, edited={layer}, more_hooks=hooks)
    except StopForward:
        passes.work -= many * tail.tokens.numel() * (passes.n_layers - layer - 1)
    return seen[0].view(many, len(tail.rows), *seen[0].shape[1:])


def _written(
    passes: ForwardPasses, inputs: PatchingInputs, source: NodeId, tail: PartialPass
) -> Float[Tensor, "some position d_model"]:
    """Return by what the source's output on these rows differs on the other side, as it is added to the stream."""
    span = slice(tail.begin, tail.end)
    if source.is_head:
        where = inputs.written_where(source.layer)[tail.rows, span, None]
        other, clean = (each[source.layer][tail.rows, span, source.head] for each in (inputs.other, inputs.clean.z))
        return ((other - clean) * where) @ passes.model.head_weights[source.layer][source.head]
    if source.kind == "mlp":
        other, clean = inputs.other_mlps[source.layer], inputs.clean.mlps[source.layer]
    else:
        other, clean = inputs.other_input, inputs.clean.residual[0].to(inputs.other_input.device).float()
    return (other - clean)[tail.rows, span] * inputs.where[tail.rows, span, None]


def _follow_heads(
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


def _follow_mlp(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    layer: int,
    which: Sequence[tuple[int, int]],
    changed: Float[Tensor, "source some position d_model"],
    tail: PartialPass,
) -> Float[Tensor, "edge some"]:
    """Return the metric when only the layer's MLP has changed. `which`: as for heads; the second number is not used."""
    many = len(which)
    instead = changed[[place for place, _ in which]].flatten(0, 1)
    entering = tail.entering(inputs, layer).repeat(many, 1, 1)
    hooks: Hooks = [(passes.model.mlps.hook(layer), lambda _output, hook: instead)]  # noqa: ARG005
    return tail.run(passes, inputs, many, first=layer, residual=entering, edited=set(), more_hooks=hooks)
