"""Every head's effect, estimated from gradients: attribution patching (Nanda 2023; Syed et al. 2023)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs

KL_STEPS = 5


def attribute(passes: ForwardPasses, material: PatchingInputs, *, steps: int = 0) -> Float[Tensor, "row layer head"]:
    """The estimated change of the metric when a head is replaced: (other - clean) . gradient, summed over positions.

    With steps, the gradient is the mean over that many points between the two sides' embedded prompts (integrated
    gradients, Hanna et al. 2024). KL has no slope where nothing is changed, so it always takes some. Raises Cancelled.
    """
    if material.yardstick.metric == "kl":
        steps = steps or KL_STEPS
    if not steps and material.clean.gradients is not None:
        return _times(material, slice(None), material.clean.gradients)
    size = passes.rows_at_once(material.tokens.shape[1])
    parts = [slice(start, min(start + size, len(material))) for start in range(0, len(material), size)]
    return torch.cat([_times(material, part, _gradients(passes, material, part, steps)) for part in parts])


def _times(material: PatchingInputs, part: slice, gradients: list[Tensor]) -> Float[Tensor, "row layer head"]:
    where = material.where[part][:, :, None, None]
    effects = [
        ((material.other[layer][part] - material.clean.z[layer][part]) * where * gradient).sum(dim=(1, 3))
        for layer, gradient in enumerate(gradients)
    ]
    return torch.stack(effects, dim=1)


def _gradients(passes: ForwardPasses, material: PatchingInputs, part: slice, steps: int) -> list[Tensor]:
    """d metric / d z of every layer; with steps, the mean over points between the embedded positives (0) and what
    stands in for them (1)."""
    points = points_between(steps)
    total: list[Tensor] = []
    for point in points:
        found = passes.clean(
            material.tokens[part],
            material.last[part],
            slope=lambda logits: material.yardstick(logits, part),
            begin=begin_between(material, part, point),
        ).gradients
        assert found is not None
        total = found if not total else [a + b for a, b in zip(total, found, strict=True)]
    return [each / len(points) for each in total]


def points_between(steps: int) -> list[float]:
    """Where gradients are taken: 0 is the positives, 1 what stands in for them."""
    return [(step + 0.5) / steps for step in range(steps)] or [0.0]


def begin_between(material: PatchingInputs, part: slice, point: float) -> Callable[[Tensor], Tensor] | None:
    """What makes the embedded prompts those of that point; None at the positives."""
    if not point:
        return None

    def begin(stream: Tensor) -> Tensor:
        return stream + point * (material.other_input[part] - stream) * material.where[part][:, :, None]

    return begin
