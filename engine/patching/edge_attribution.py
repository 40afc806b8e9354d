"""Estimate what a node does to the answer through one later node: edge attribution patching."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.mlps import STREAM_BEGIN
from engine.nodes import NodeLayout, mlp
from engine.patching.attribution import KL_STEPS, SATURATED_POINTS, pass_at, points_between
from engine.patching.edge_patching import StopForward
from engine.patching.forward import CleanPass, Edit, ForwardPasses, Hooks
from engine.patching.inputs import PatchingInputs
from engine.results import EdgeEffect
from engine.tensors.gradients import recording_gradients


def attribute_edges(
    passes: ForwardPasses, inputs: PatchingInputs, *, points: Sequence[float] = SATURATED_POINTS
) -> Float[Tensor, "source target"]:
    """Return the estimated change of the metric when a target node reads a source node's output of the other side.

    The source's difference, as it is added to the stream, times the gradient of the metric with respect to what the
    target alone reads of the residual stream (a head by its queries, keys and values together); mean over rows, summed
    over positions. Only along the forward pass (NodeLayout.order); 0 elsewhere. Keys and values that heads share are
    followed through each head separately. Gradients are the mean over `points` between the two sides' embedded prompts,
    0 being the positives; KL, which has zero slope there, uses points of its own instead.

    A norm after attention keeps its divisor of the clean pass. Raises Cancelled within a block.
    """
    if inputs.answer_metric.metric == "kl" and 0 in points:
        points = points_between(KL_STEPS)
    layout = passes.layout
    # In the order of the forward pass, so that what a target can read is the beginning of the array.
    sorted_nodes = torch.tensor(sorted(range(layout.n_nodes), key=lambda node: (layout.order[node], node)))
    places = torch.tensor(layout.order)[sorted_nodes]
    found = torch.zeros(layout.n_nodes, layout.n_nodes)
    at_once = max(1, passes.rows_at_once(inputs.tokens.shape[1]) // layout.n_heads)
    for start in range(0, len(inputs), at_once):
        part = slice(start, min(start + at_once, len(inputs)))
        written = _written(passes, inputs, part)[sorted_nodes]
        for at in points:
            point = pass_at(passes, inputs, part, at, residuals=passes.n_layers)
            for layer in range(layout.n_layers):
                for targets, read in _reads(passes, inputs, layer, part, point):
                    n_sources = int((places < layout.order[targets.start]).sum())
                    effects = torch.einsum("srpm,trpm->st", written[:n_sources], read) / len(points) / len(inputs)
                    found[sorted_nodes[:n_sources], targets] += effects.cpu()
    return found


def n_edges(layout: NodeLayout) -> int:
    """Return how many pairs of a node and a later one there are."""
    places = torch.tensor(layout.order)
    return int((places[:, None] < places).sum())


def best_edges(found: Float[Tensor, "source target"], layout: NodeLayout, most: int) -> tuple[EdgeEffect, ...]:
    """Return the edges with the largest effects, positive or negative."""
    sizes = found.abs().flatten()
    order = sizes.argsort(descending=True, stable=True)[:most].tolist()
    return tuple(
        EdgeEffect(
            source=layout.ids[place // len(found)],
            target=layout.ids[place % len(found)],
            effect=round(float(found.flatten()[place]), 6),
        )
        for place in order
        if sizes[place] > 0
    )


def _written(passes: ForwardPasses, inputs: PatchingInputs, part: slice) -> Float[Tensor, "node row position d_model"]:
    """Return by what each node's output on these rows differs on the other side, as it is added to the stream."""
    weights = passes.model.head_weights
    found = [
        torch.einsum(
            "rphd,hdm->hrpm",
            (other[part] - clean[part]) * inputs.written_where(layer)[part][:, :, None, None],
            weights[layer],
        )
        for layer, (other, clean) in enumerate(zip(inputs.other, inputs.clean.z, strict=True))
    ]
    if passes.layout.n_outputs:
        found.append(torch.stack(inputs.outputs_apart(part)) * inputs.where[part][:, :, None])
    return torch.cat(found)


def _reads(
    passes: ForwardPasses, inputs: PatchingInputs, layer: int, part: slice, point: CleanPass
) -> Iterator[tuple[slice, Float[Tensor, "target row position d_model"]]]:
    """Return the layer's targets, as a slice of the layout, and the metric's gradient by what each reads alone."""
    layout = passes.layout
    assert point.gradients is not None
    if layer or layout.n_outputs:  # nothing but the embedding writes before the first layer's heads
        heads = slice(layer * layout.n_heads, (layer + 1) * layout.n_heads)
        yield heads, _read_by_heads(passes, inputs, layer, part, point.residual[layer], point.gradients[layer])
    if layout.n_outputs:
        assert point.output_gradients is not None
        index = layout.index(mlp(layer))
        yield slice(index, index + 1), _read_by_mlp(passes, inputs, layer, part, point)[None]


def _read_by_heads(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    layer: int,
    part: slice,
    entering: Float[Tensor, "row position d_model"],
    gradient: Float[Tensor, "row position head d_head"],
) -> Float[Tensor, "target row position d_model"]:
    """Return the gradient of the metric with respect to the layer's input, through each head alone.

    One pass for all heads: a copy of the rows for each, in which only that head's z has a gradient.
    """
    rows, n_heads = len(gradient), gradient.shape[2]
    tokens, last = inputs.tokens[part].repeat(n_heads, 1), inputs.last[part].repeat(n_heads)
    entering = entering.repeat(n_heads, 1, 1, 1).flatten(0, 1).requires_grad_(True)
    seen: list[Tensor] = []

    def see(_layer: int, z: Tensor) -> Tensor:
        seen.append(z)
        raise StopForward

    with recording_gradients():
        _until_stopped(passes, tokens, last, layer, entering, edit=see)
        alone = torch.eye(n_heads, device=tokens.device)[:, None, None, :, None] * gradient
        slope = alone.flatten(0, 1).to(seen[0].device, seen[0].dtype)
        (read,) = torch.autograd.grad(seen[0], entering, grad_outputs=slope)
    passes.work += tokens.numel()  # for the backward pass
    return read.to(passes.model.device, torch.float32).view(n_heads, rows, *read.shape[1:])


def _read_by_mlp(
    passes: ForwardPasses, inputs: PatchingInputs, layer: int, part: slice, point: CleanPass
) -> Float[Tensor, "row position d_model"]:
    """Return the gradient of the metric with respect to what the layer's MLP alone reads of the stream.

    With the layer's heads held as they are, a change of the layer's input reaches the MLP unchanged.
    """
    assert point.output_gradients is not None
    tokens, last = inputs.tokens[part], inputs.last[part]
    entering = point.residual[layer].clone().requires_grad_(True)
    seen: list[Tensor] = []

    def see(output: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
        seen.append(output)
        raise StopForward

    with recording_gradients():
        held = [(passes.model.mlps.hook(layer), see)]
        _until_stopped(
            passes, tokens, last, layer, entering, edit=lambda _layer, z: point.z[layer].to(z.dtype), held=held
        )
        slope = point.output_gradients[1 + layer].to(seen[0].device, seen[0].dtype)
        (read,) = torch.autograd.grad(seen[0], entering, grad_outputs=slope)
    passes.work += tokens.numel()
    return read.to(passes.model.device, torch.float32)


def _until_stopped(
    passes: ForwardPasses,
    tokens: Tensor,
    last: Tensor,
    layer: int,
    entering: Float[Tensor, "row position d_model"],
    *,
    edit: Edit,
    held: Hooks | None = None,
) -> None:
    """Run one layer from its input, until a hook stops the pass."""
    # Without the layers before it, also where it is the first and nothing would be skipped.
    hooks = [*(held or []), *([(STREAM_BEGIN, lambda _stream, hook: entering)] if layer == 0 else [])]  # noqa: ARG005
    try:
        passes.run(tokens, last, edit=edit, edited={layer}, first=layer, residual=entering, more_hooks=hooks)
    except StopForward:
        passes.work -= tokens.numel() * (passes.n_layers - layer - 1)
