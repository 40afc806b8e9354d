"""Estimate what a head does to the answer through one later head: edge attribution patching."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.patching.attribution import KL_STEPS, begin_between, points_between
from engine.patching.edge_patching import StopForward
from engine.patching.forward import CleanPass, ForwardPasses
from engine.patching.inputs import PatchingInputs
from engine.results import EdgeEffect

EDGE_POINTS = (0.0, 0.25)
"""Points at which gradients are taken: the positives, and a quarter of the way to the other side.

There, softmaxes that are saturated at the positives have opened. In the bundled model half way ranks best, in SmolLM2
much worse (docs/lab).
"""


def attribute_edges(
    passes: ForwardPasses, inputs: PatchingInputs, *, points: Sequence[float] = EDGE_POINTS
) -> Float[Tensor, "source target"]:
    """Return the estimated change of the metric when a target head reads a source head's output of the other side.

    The source's difference, through its W_O, times the gradient of the metric with respect to what the target alone
    reads of the residual stream, by its queries, keys and values together; mean over rows, summed over positions. Only
    from earlier to later layers; 0 elsewhere. Keys and values that heads share are followed through each head
    separately. Gradients are the mean over `points` between the two sides' embedded prompts, 0 being the positives; KL,
    which has zero slope there, uses points of its own instead.

    A norm after attention keeps its divisor of the clean pass. Raises Cancelled within a block.
    """
    if inputs.answer_metric.metric == "kl" and 0 in points:
        points = points_between(KL_STEPS)
    info = passes.model.info
    n_heads = info.n_heads
    found = torch.zeros(info.n_layers * n_heads, info.n_layers * n_heads)
    weights = passes.model.head_weights
    at_once = max(1, passes.rows_at_once(inputs.tokens.shape[1]) // n_heads)
    for start in range(0, len(inputs), at_once):
        part = slice(start, min(start + at_once, len(inputs)))
        written = [
            torch.einsum(
                "rphd,hdm->rphm",
                (other[part] - clean[part]) * inputs.written_where(layer)[part][:, :, None, None],
                weights[layer],
            )
            for layer, (other, clean) in enumerate(zip(inputs.other, inputs.clean.z, strict=True))
        ]
        for at in points:
            point = _at(passes, inputs, part, at)
            assert point.gradients is not None
            for layer in range(1, info.n_layers):
                read = _read_by(passes, inputs, layer, part, point.residual[layer], point.gradients[layer])
                for source in range(layer):
                    effects = torch.einsum("rpsm,trpm->st", written[source], read) / len(points) / len(inputs)
                    rows, columns = source * n_heads, layer * n_heads
                    found[rows : rows + n_heads, columns : columns + n_heads] += effects.cpu()
    return found


def _at(passes: ForwardPasses, inputs: PatchingInputs, part: slice, point: float) -> CleanPass:
    """Return a pass with gradients at that point; the positives' is reused if it exists."""
    if not point and inputs.clean.gradients is not None:
        return inputs.clean.rows(part)
    return passes.clean(
        inputs.tokens[part],
        inputs.last[part],
        residuals=passes.n_layers,
        slope=lambda logits: inputs.answer_metric(logits, part),
        begin=begin_between(inputs, part, point),
    )


def best_edges(found: Float[Tensor, "source target"], n_heads: int, most: int) -> tuple[EdgeEffect, ...]:
    """Return the edges with the largest effects, positive or negative."""
    sizes = found.abs().flatten()
    order = sizes.argsort(descending=True, stable=True)[:most].tolist()
    return tuple(
        EdgeEffect(
            source=divmod(place // len(found), n_heads),
            target=divmod(place % len(found), n_heads),
            effect=round(float(found.flatten()[place]), 6),
        )
        for place in order
        if sizes[place] > 0
    )


def _read_by(
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

    with torch.enable_grad():
        try:
            passes.run(tokens, last, edit=see, edited={layer}, first=layer, residual=entering)
        except StopForward:
            passes.work -= tokens.numel() * (passes.n_layers - layer - 1)
        alone = torch.eye(n_heads, device=tokens.device)[:, None, None, :, None] * gradient
        slope = alone.flatten(0, 1).to(seen[0].device, seen[0].dtype)
        (read,) = torch.autograd.grad(seen[0], entering, grad_outputs=slope)
    passes.work += tokens.numel()  # for the backward pass
    return read.to(passes.model.device, torch.float32).view(n_heads, rows, *read.shape[1:])
