"""Estimate every head's effect from gradients: attribution patching (Nanda 2023; Syed et al. 2023)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs

KL_STEPS = 5


def attribute(passes: ForwardPasses, inputs: PatchingInputs, *, steps: int = 0) -> Float[Tensor, "row layer head"]:
    """Return the estimated change of the metric per replaced head: (other - clean) . gradient, summed over positions.

    With `steps`, the gradient is the mean over that many points between the two sides' embedded prompts (integrated
    gradients, Hanna et al. 2024). KL has zero slope at the clean prompts, so it always uses some. Raises Cancelled.
    """
    if inputs.answer_metric.metric == "kl":
        steps = steps or KL_STEPS
    if not steps and inputs.clean.gradients is not None:
        return _times(inputs, slice(None), inputs.clean.gradients)
    size = passes.rows_at_once(inputs.tokens.shape[1])
    parts = [slice(start, min(start + size, len(inputs))) for start in range(0, len(inputs), size)]
    return torch.cat([_times(inputs, part, _gradients(passes, inputs, part, steps)) for part in parts])


def _times(inputs: PatchingInputs, part: slice, gradients: list[Tensor]) -> Float[Tensor, "row layer head"]:
    where = inputs.where[part][:, :, None, None]
    effects = [
        ((inputs.other[layer][part] - inputs.clean.z[layer][part]) * where * gradient).sum(dim=(1, 3))
        for layer, gradient in enumerate(gradients)
    ]
    return torch.stack(effects, dim=1)


def _gradients(passes: ForwardPasses, inputs: PatchingInputs, part: slice, steps: int) -> list[Tensor]:
    """Return d metric / d z of every layer; with `steps`, the mean over points between the two sides."""
    points = points_between(steps)
    total: list[Tensor] = []
    for point in points:
        found = passes.clean(
            inputs.tokens[part],
            inputs.last[part],
            slope=lambda logits: inputs.answer_metric(logits, part),
            begin=begin_between(inputs, part, point),
        ).gradients
        assert found is not None
        total = found if not total else [a + b for a, b in zip(total, found, strict=True)]
    return [each / len(points) for each in total]


def points_between(steps: int) -> list[float]:
    """Return the points at which gradients are taken: 0 is the positives, 1 the replacement."""
    return [(step + 0.5) / steps for step in range(steps)] or [0.0]


def begin_between(inputs: PatchingInputs, part: slice, point: float) -> Callable[[Tensor], Tensor] | None:
    """Return the function that moves the embedded prompts to that point; None at the positives."""
    if not point:
        return None

    def begin(stream: Tensor) -> Tensor:
        return stream + point * (inputs.other_input[part] - stream) * inputs.where[part][:, :, None]

    return begin
