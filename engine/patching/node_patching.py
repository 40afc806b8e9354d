"""Exact patching of nodes, in batches and from the first changed layer on."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.models.mlps import STREAM_BEGIN
from engine.nodes import EMBEDDING, NodeId, NodeLayout, mlp
from engine.patching.forward import Edit, ForwardPasses, Hooks
from engine.patching.inputs import PatchingInputs
from engine.patching.partial_forward import PartialPass

_SMALL = 8
"""A pass of fewer rows than this share of the maximum does not use the machine fully."""

Found = Callable[[int, Float[Tensor, " row"]], None]
"""Called with the index of an item and its metric on every row."""


def measure_replaced(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    masks: Bool[Tensor, "many node"],
    found: Found | None = None,
) -> Float[Tensor, "many row"]:
    """Return the metric on every row with the nodes of each mask replaced (nodes in the order of `passes.layout`).

    Masks that begin in the same layer share a pass; layers before the first changed one are not computed again. `found`
    is called as results come in. Raises Cancelled within a block.
    """
    results = inputs.base_by_row.repeat(len(masks), 1)
    begins = first_layers(masks, passes.layout)
    with torch.no_grad():
        for some in _batches(begins, at_once(passes, inputs)):
            first = min(begins[each] for each in some)
            if first < passes.n_layers:
                results[some] = _measure(passes, inputs, masks[some], first)
            if found is not None:
                for each in some:
                    found(each, results[each])
    return results


def first_layers(masks: Bool[Tensor, "many node"], layout: NodeLayout) -> list[int]:
    """Return for every mask the first layer that it changes; the number of layers for an empty one."""
    layers = torch.tensor([max(node.layer, 0) for node in layout.ids])
    chosen = torch.where(masks.cpu(), layers, layout.n_layers)
    return chosen.min(dim=1).values.tolist()


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


def one_each(nodes: Sequence[NodeId], layout: NodeLayout) -> Bool[Tensor, "many node"]:
    """Return one mask per node."""
    masks = torch.zeros(len(nodes), layout.n_nodes, dtype=torch.bool)
    for place, node in enumerate(nodes):
        masks[place, layout.index(node)] = True
    return masks


def mask_of(nodes: Sequence[NodeId], layout: NodeLayout) -> Bool[Tensor, " node"]:
    """Return one mask with all of these nodes."""
    mask = torch.zeros(layout.n_nodes, dtype=torch.bool)
    for node in nodes:
        mask[layout.index(node)] = True
    return mask


def at_once(passes: ForwardPasses, inputs: PatchingInputs) -> int:
    """Return how many copies of all rows fit into one pass; at least one."""
    widest = max(tail.tokens.shape[1] for tail in inputs.tails(passes))
    most = max(len(tail.rows) for tail in inputs.tails(passes))
    return max(1, passes.rows_at_once(widest) // most)


def _measure(
    passes: ForwardPasses, inputs: PatchingInputs, masks: Bool[Tensor, "many node"], first: int
) -> Float[Tensor, "many row"]:
    """Measure these masks together, on all rows."""
    found = torch.empty(len(masks), len(inputs), device=inputs.tokens.device)
    for tail in inputs.tails(passes):
        found[:, tail.rows] = replaced_in(passes, inputs, masks, first, tail)
    return found


def replaced_in(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    masks: Bool[Tensor, "many node"],
    first: int,
    tail: PartialPass,
    where: Bool[Tensor, "many some position"] | None = None,
) -> Float[Tensor, "many some"]:
    """Return the metric on the tail's rows with the nodes of each mask replaced, from layer `first` on.

    `where`: the tail's positions at which each mask counts; None: all at which anything is replaced.
    """
    many = len(masks)
    edit, changed, hooks = replacing(passes, inputs, masks, tail, where)
    return tail.run(
        passes,
        inputs,
        many,
        first=first,
        residual=tail.entering(inputs, first).repeat(many, 1, 1),
        edit=edit,
        edited=changed,
        more_hooks=hooks,
    )


def replacing(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    masks: Bool[Tensor, "many node"],
    tail: PartialPass,
    where: Bool[Tensor, "many some position"] | None = None,
) -> tuple[Edit, set[int], Hooks]:
    """Return what replaces the nodes of each mask in a pass over copies of the tail's rows.

    The edit of heads, the layers that it changes, and the hooks of MLPs and the embedding. `where`: as in replaced_in.
    """
    masks = masks.to(tail.tokens.device)
    layout = passes.layout
    heads = masks[:, : layout.n_heads_in_all].view(len(masks), layout.n_layers, layout.n_heads)
    many, span = len(masks), slice(tail.begin, tail.end)
    if where is None:
        where = inputs.where[tail.rows, span].expand(many, -1, -1)
    changed = set(heads.any(dim=2).any(dim=0).nonzero()[:, 0].tolist())

    def replace(layer: int, z: Tensor) -> Tensor:
        here = heads[:, layer][:, None, None, :, None] & where[..., None, None]
        other = inputs.other[layer][tail.rows, span]
        return torch.where(here, other, z.view(many, len(tail.rows), *z.shape[1:])).view(z.shape)

    return replace, changed, _output_hooks(passes, inputs, masks, tail, where)


def _output_hooks(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    masks: Bool[Tensor, "many node"],
    tail: PartialPass,
    where: Bool[Tensor, "many some position"],
) -> Hooks:
    """Return hooks that replace the MLPs and the embedding of these masks."""
    layout = passes.layout
    if not layout.n_outputs:
        return []

    def replaced_by(other: Tensor, node: NodeId) -> Callable[..., Tensor]:
        here = masks[:, layout.index(node)][:, None, None, None] & where[..., None]
        other = other[tail.rows, tail.begin : tail.end]

        def hook(output: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
            rows = output.view(len(masks), len(tail.rows), *output.shape[1:])
            place = rows.device
            return torch.where(here.to(place), other.to(place, rows.dtype), rows).view(output.shape)

        return hook

    outputs = [(EMBEDDING, STREAM_BEGIN, inputs.other_input)]
    outputs += [
        (mlp(layer), passes.model.mlps.hook(layer), inputs.other_mlps[layer]) for layer in range(layout.n_layers)
    ]
    return [
        (name, replaced_by(other, node)) for node, name, other in outputs if bool(masks[:, layout.index(node)].any())
    ]
