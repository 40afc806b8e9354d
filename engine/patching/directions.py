"""Directions of the stream that steering adds, and how long they are: a code's, a difference of two sets, random."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.errors import ExampleError
from engine.models.contributions import FINAL_NORM
from engine.nodes import NodeId
from engine.patching.forward import CleanPass, ForwardPasses, Hooks
from engine.patching.inputs import PatchingInputs
from engine.steering import SteerControl, SteerRead, SteerSource
from engine.tensors.generators import generator

Encoded = tuple[Sequence[int], Sequence[bool]]
"""A prompt's tokens and which are its own."""
_LEAST = 1e-6
"""A shorter direction, as a share of what was read, is rounding."""


def node_output(passes: ForwardPasses, clean: CleanPass, node: NodeId) -> Float[Tensor, "row position d_model"]:
    """Return what the node adds to the stream in a clean pass that kept the first layer's input."""
    if node.kind == "embedding":
        return clean.residual[0].to(passes.model.device, torch.float32)
    if not node.is_head:
        return clean.mlps[node.layer]
    z = clean.z[node.layer][:, :, node.head].to(passes.model.device)
    if node.layer in clean.factors:
        z = z * clean.factors[node.layer][..., None]
    return z @ passes.model.head_weights[node.layer][node.head].float()


def mean_length(passes: ForwardPasses, inputs: PatchingInputs, node: NodeId) -> float:
    """Return the mean length of what the node writes, over the positives' own tokens."""
    lengths = node_output(passes, inputs.clean, node).norm(dim=-1)
    return float(lengths[inputs.where].mean())


def contrast_direction(
    passes: ForwardPasses,
    node: NodeId,
    toward: Sequence[Encoded],
    away: Sequence[Encoded],
    *,
    source: SteerSource,
    read: SteerRead,
) -> Float[Tensor, " d_model"]:
    """Return the mean over the prompts of one side less that over the other.

    Raises ExampleError if the sides do not differ there.
    """
    sides = [_side_mean(passes, node, side, source, read) for side in (toward, away)]
    difference = sides[0] - sides[1]
    if float(difference.norm()) <= _LEAST * float(sides[0].norm() + sides[1].norm()):
        raise ExampleError(
            f"The two sets do not differ in what is read at {node}: there is no direction between them.",
            hint="Choose a later layer, other prompts, or read them as the mean over their tokens.",
        )
    return difference


def _side_mean(
    passes: ForwardPasses, node: NodeId, prompts: Sequence[Encoded], source: SteerSource, read: SteerRead
) -> Float[Tensor, " d_model"]:
    device, info = passes.model.device, passes.model.info
    width = max(len(ids) for ids, _ in prompts)
    size = passes.rows_at_once(width)
    total = torch.zeros(info.d_model, device=device)
    for start in range(0, len(prompts), size):
        some = prompts[start : start + size]
        tokens = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids, _ in some], device=device)
        last = torch.tensor([len(ids) - 1 for ids, _ in some], device=device)
        outputs = _streams(passes, node, tokens, last) if source == "stream" else None
        if outputs is None:
            with torch.no_grad():
                outputs = node_output(passes, passes.clean(tokens, last, residuals=1), node)
        if read == "last":
            where = torch.arange(width, device=device) == last[:, None]
        else:
            where = torch.tensor([[*own, *[False] * (width - len(own))] for _, own in some], device=device)
        share = where.float() / where.sum(dim=1, keepdim=True)
        total += torch.einsum("rpd,rp->d", outputs, share)
    return total / len(prompts)


def _streams(
    passes: ForwardPasses, node: NodeId, tokens: Tensor, last: Tensor
) -> Float[Tensor, "row position d_model"] | None:
    """Return the stream after the node's layer; None for the embedding, which is all of the stream there."""
    if node.kind == "embedding":
        return None
    found: list[Tensor] = []

    def keep(stream: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
        found.append(stream.detach().to(passes.model.device, torch.float32))

    end = node.layer + 1 == passes.n_layers
    hooks: Hooks = [(FINAL_NORM if end else f"blocks.{node.layer + 1}.hook_in", keep)]
    with torch.no_grad():
        passes.run(tokens, last, more_hooks=hooks, readout=False)
    return found[-1]


def random_directions(
    passes: ForwardPasses, node: NodeId, many: int, seed: int, control: SteerControl
) -> Float[Tensor, "direction d_model"]:
    """Return unit vectors: of any direction, or of those that the node's heads can write.

    The latter are a random z of one head through its W_O; for MLPs and the embedding both are the same.
    """
    source = generator(seed, "random directions")
    if control == "head" and node.is_head:
        weight = passes.model.head_weights[node.layer][node.head].float().cpu()
        found = torch.randn(many, weight.shape[0], generator=source) @ weight
    else:
        found = torch.randn(many, passes.model.info.d_model, generator=source)
    return torch.nn.functional.normalize(found, dim=-1).to(passes.model.device)
