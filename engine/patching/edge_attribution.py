"""What a head does to the answer through one later head: attribution on edges (edge attribution patching)."""

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
"""Where gradients are taken: at the positives, and a quarter of the way to the other side, where softmaxes that are
shut at the positives have opened. In the bundled model half way ranks best, in SmolLM2 much worse (docs/lab)."""


def attribute_edges(
    passes: ForwardPasses, material: PatchingInputs, *, points: Sequence[float] = EDGE_POINTS
) -> Float[Tensor, "source target"]:
    """The estimated change of the metric when a target head reads the other side's output of a source head.

    The source's difference, through its W_O, times the gradient of the metric at what the target alone reads of the
    residual stream, by its queries, keys and values together; mean over rows, summed over positions. Only earlier to
    later layers: 0 elsewhere. Keys and values that heads share are followed through each head on its own. Gradients are
    the mean over `points` between the two sides' embedded prompts, 0 being the positives; KL, which has no slope there,
    takes points of its own in place of that.

    Takes the output to reach the stream as it is: in models that normalise it there first, it is out by that scale.
    Raises Cancelled within a block.
    """
    if material.yardstick.metric == "kl" and 0 in points:
        points = points_between(KL_STEPS)
    info = passes.model.info
    n_heads = info.n_heads
    found = torch.zeros(info.n_layers * n_heads, info.n_layers * n_heads)
    weights = passes.model.head_weights
    at_once = max(1, passes.rows_at_once(material.tokens.shape[1]) // n_heads)
    for start in range(0, len(material), at_once):
        part = slice(start, min(start + at_once, len(material)))
        where = material.where[part][:, :, None, None]
        written = [
            torch.einsum("rphd,hdm->rphm", (other[part] - clean[part]) * where, weights[layer])
            for layer, (other, clean) in enumerate(zip(material.other, material.clean.z, strict=True))
        ]
        for at in points:
            point = _at(passes, material, part, at)
            assert point.gradients is not None
            for layer in range(1, info.n_layers):
                read = _read_by(passes, material, layer, part, point.residual[layer], point.gradients[layer])
                for source in range(layer):
                    effects = torch.einsum("rpsm,trpm->st", written[source], read) / len(points) / len(material)
                    rows, columns = source * n_heads, layer * n_heads
                    found[rows : rows + n_heads, columns : columns + n_heads] += effects.cpu()
    return found


def _at(passes: ForwardPasses, material: PatchingInputs, part: slice, point: float) -> CleanPass:
    """A pass with gradients at that point; the positives' is there already, as a rule."""
    if not point and material.clean.gradients is not None:
        return material.clean.rows(part)
    return passes.clean(
        material.tokens[part],
        material.last[part],
        residuals=passes.n_layers,
        slope=lambda logits: material.yardstick(logits, part),
        begin=begin_between(material, part, point),
    )


def best_edges(found: Float[Tensor, "source target"], n_heads: int, most: int) -> tuple[EdgeEffect, ...]:
    """The edges with the largest effects either way."""
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
    material: PatchingInputs,
    layer: int,
    part: slice,
    entering: Float[Tensor, "row position d_model"],
    gradient: Float[Tensor, "row position head d_head"],
) -> Float[Tensor, "target row position d_model"]:
    """The gradient of the metric at what enters the layer, as far as each head alone reads it.

    All heads in one pass: a copy of the rows for each, in which only that head's z counts.
    """
    rows, n_heads = len(gradient), gradient.shape[2]
    tokens, last = material.tokens[part].repeat(n_heads, 1), material.last[part].repeat(n_heads)
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
        (read,) = torch.autograd.grad(seen[0], entering, grad_outputs=alone.flatten(0, 1))
    passes.work += tokens.numel()  # and back
    return read.view(n_heads, rows, *read.shape[1:])
