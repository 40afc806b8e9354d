"""Estimate every node's effect from gradients: attribution patching (Nanda 2023; Syed et al. 2023)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.patching.forward import CleanPass, ForwardPasses
from engine.patching.inputs import PatchingInputs

KL_STEPS = 5
SATURATED_POINTS = (0.0, 0.25)
"""Points at which gradients of MLPs, the embedding and edges are taken: the positives, and a quarter of the way on.

There, softmaxes that are saturated at the positives have opened. For edges half way ranks best in the bundled model and
much worse in SmolLM2; one gradient at the positives misleads for MLPs (docs/lab).
"""


def attribute(passes: ForwardPasses, inputs: PatchingInputs, *, steps: int = 0) -> Float[Tensor, "row node"]:
    """Return the estimated change of the metric per replaced node: (other - clean) . gradient, summed over positions.

    With `steps`, the gradient is the mean over that many points between the two sides' embedded prompts (integrated
    gradients, Hanna et al. 2024). KL has zero slope at the clean prompts, so it always uses some. Without, heads have
    one gradient at the positives, MLPs and the embedding one at each of SATURATED_POINTS. Raises Cancelled.
    """
    if inputs.answer_metric.metric == "kl":
        steps = steps or KL_STEPS
    points = points_between(steps)
    n_outputs = passes.layout.n_outputs
    size = passes.rows_at_once(inputs.tokens.shape[1])
    parts = [slice(start, min(start + size, len(inputs))) for start in range(0, len(inputs), size)]
    found = []
    for part in parts:
        of_heads, of_outputs = _gradients(passes, inputs, part, points)
        if n_outputs and not steps:
            # The gradient at the positives serves heads, too.
            _, more = _gradients(passes, inputs, part, [at for at in SATURATED_POINTS if at not in points])
            n = len(SATURATED_POINTS)
            of_outputs = [(one + (n - 1) * other) / n for one, other in zip(of_outputs, more, strict=True)]
        found.append(_times(inputs, part, of_heads, of_outputs))
    return torch.cat(found)


def _times(
    inputs: PatchingInputs, part: slice, gradients: list[Tensor], output_gradients: list[Tensor]
) -> Float[Tensor, "row node"]:
    where = inputs.where[part][:, :, None, None]
    effects = [
        ((inputs.other[layer][part] - inputs.clean.z[layer][part]) * where * gradient).sum(dim=(1, 3))
        for layer, gradient in enumerate(gradients)
    ]
    if not output_gradients:
        return torch.stack(effects, dim=1).flatten(1)
    of_outputs = [
        (each * where[..., 0] * gradient).sum(dim=(1, 2))
        for each, gradient in zip(inputs.outputs_apart(part), output_gradients, strict=True)
    ]
    return torch.cat([torch.stack(effects, dim=1).flatten(1), torch.stack(of_outputs, dim=1)], dim=1)


def _gradients(
    passes: ForwardPasses, inputs: PatchingInputs, part: slice, points: Sequence[float]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return d metric / d z of every layer and d metric / d output of embedding and MLPs, the means over the points."""
    totals: tuple[list[Tensor], list[Tensor]] = ([], [])
    for point in points:
        found = pass_at(passes, inputs, part, point)
        assert found.gradients is not None
        here = (found.gradients, found.output_gradients or [])
        totals = (_added(totals[0], here[0]), _added(totals[1], here[1]))
    heads, outputs = ([each / len(points) for each in total] for total in totals)
    return heads, outputs


def _added(total: list[Tensor], more: list[Tensor]) -> list[Tensor]:
    return [a + b for a, b in zip(total, more, strict=True)] if total else more


def pass_at(
    passes: ForwardPasses, inputs: PatchingInputs, part: slice, point: float, *, residuals: int = 0
) -> CleanPass:
    """Return a pass with gradients at that point; the positives' is reused if it exists.

    `residuals`: of how many layers the inputs are kept.
    """
    if not point and inputs.clean.gradients is not None:
        return inputs.clean.rows(part)
    return passes.clean(
        inputs.tokens[part],
        inputs.last[part],
        residuals=residuals,
        slope=lambda logits: inputs.answer_metric(logits, part),
        begin=begin_between(inputs, part, point),
    )


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
