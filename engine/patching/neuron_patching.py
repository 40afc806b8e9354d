"""Effects of single neurons of an MLP: from gradients for all, exact for some."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.mlps import STREAM_BEGIN
from engine.models.neurons import MlpNeurons
from engine.patching.attribution import SATURATED_POINTS, begin_between
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs
from engine.patching.node_patching import at_once
from engine.patching.other_side import read_clean, read_replacements
from engine.patching.places import in_passes
from engine.tensors.gradients import recording_gradients


class NeuronSides:
    """The activations of all neurons of one MLP on the positives, and their replacements."""

    def __init__(self, passes: ForwardPasses, inputs: PatchingInputs, neurons: MlpNeurons) -> None:
        """Run the model on both sides. Raises Cancelled within a block."""
        self.neurons = neurons
        self.clean: Float[Tensor, "row position neuron"] = read_clean(passes, inputs, [neurons.hook])[0]
        self.other: Float[Tensor, "row position neuron"] = read_replacements(passes, inputs, [neurons.hook])[0]

    def apart(self, inputs: PatchingInputs) -> Float[Tensor, "row position neuron"]:
        """Return replacement less activation; zero where nothing is replaced."""
        return (self.other - self.clean) * inputs.where[:, :, None]


def attribute_neurons(passes: ForwardPasses, inputs: PatchingInputs, sides: NeuronSides) -> Float[Tensor, "row neuron"]:
    """Return the estimated change of the metric per replaced neuron: (other - clean) . gradient, over positions.

    The gradient is the mean over SATURATED_POINTS, as for whole MLPs; for KL, whose slope is zero at the positives, it
    is taken at the last of them. Raises Cancelled within a block.
    """
    points = [point for point in SATURATED_POINTS if point or inputs.answer_metric.metric != "kl"]
    size = passes.rows_at_once(inputs.tokens.shape[1])
    apart, found = sides.apart(inputs), []
    for start in range(0, len(inputs), size):
        part = slice(start, min(start + size, len(inputs)))
        slopes = [_gradient(passes, inputs, sides.neurons.hook, part, point) for point in points]
        mean = torch.stack(slopes).mean(dim=0)
        found.append((apart[part] * mean.view(apart[part].shape)).sum(dim=1))
    return torch.cat(found)


def measure_neurons(
    passes: ForwardPasses, inputs: PatchingInputs, sides: NeuronSides, neurons: Sequence[int]
) -> Float[Tensor, "many row"]:
    """Return the exact change of the metric on every row with each neuron alone replaced, at all positions.

    Raises Cancelled within a block.
    """
    found = torch.zeros(len(neurons), len(inputs), device=inputs.tokens.device)
    layer = sides.neurons.layer
    with torch.no_grad():
        for copies in in_passes(list(range(len(neurons))), at_once(passes, inputs)):
            chosen = torch.tensor([neurons[copy] for copy in copies], device=found.device)
            for tail in inputs.tails(passes):
                metric = tail.run(
                    passes,
                    inputs,
                    len(copies),
                    first=layer,
                    residual=tail.entering(inputs, layer).repeat(len(copies), 1, 1),
                    more_hooks=[
                        (sides.neurons.hook, _replacing(inputs, sides, chosen, tail.rows, tail.begin, tail.end))
                    ],
                )
                found[torch.tensor(copies, device=found.device)[:, None], tail.rows] = (
                    metric - inputs.base_by_row[tail.rows]
                )
    return found


def _replacing(
    inputs: PatchingInputs, sides: NeuronSides, chosen: Tensor, rows: Tensor, begin: int, end: int
) -> Callable[..., Tensor]:
    where = inputs.where[rows, begin:end]
    other = sides.other[rows, begin:end]
    copies = torch.arange(len(chosen), device=chosen.device)

    def hook(post: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
        changed = post.clone().view(len(chosen), len(rows), end - begin, -1)
        there = changed.device
        now = changed[copies.to(there), :, :, chosen.to(there)]
        instead = other[:, :, chosen].permute(2, 0, 1).to(there, changed.dtype)
        changed[copies.to(there), :, :, chosen.to(there)] = torch.where(where.to(there), instead, now)
        return changed.view(post.shape)

    return hook


def _gradient(
    passes: ForwardPasses, inputs: PatchingInputs, name: str, part: slice, point: float
) -> Float[Tensor, "*row neuron"]:
    """Return d metric / d activation of all neurons of an MLP on these rows, in float32."""
    begin = begin_between(inputs, part, point)
    kept: list[Tensor] = []

    def enter(stream: Tensor, hook: object) -> Tensor:  # noqa: ARG001
        return stream if begin is None else begin(stream.float()).to(stream.dtype)

    def keep(post: Tensor, hook: object) -> Tensor:  # noqa: ARG001
        kept.append(post.detach().requires_grad_(True))  # parameters are frozen: the graph starts here
        return kept[0]

    with recording_gradients():
        hooks = [(STREAM_BEGIN, enter), (name, keep)]
        logits = passes.run(inputs.tokens[part], inputs.last[part], more_hooks=hooks)
        slope = inputs.answer_metric(logits, part).sum()
        (found,) = torch.autograd.grad(slope, kept)
    passes.work += inputs.tokens[part].numel() * passes.n_layers  # at most: the backward pass ends at the MLP
    return found.to(passes.model.device, torch.float32)
