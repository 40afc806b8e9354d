"""What steering changes in a pass: a direction added to what a node writes, or nodes replaced by fixed values."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.errors import ModelError
from engine.models.loading import Model
from engine.models.mlps import STREAM_BEGIN
from engine.nodes import EMBEDDING, NodeId, mlp
from engine.patching.forward import ForwardPasses, Hooks
from engine.patching.inputs import PatchingInputs

Where = Bool[Tensor, "row position"]


@runtime_checkable
class SteeringEdit(Protocol):
    """What a pass is steered by."""

    first: int
    """The first layer that it changes."""

    def hooks(self, where: Where) -> Hooks:
        """Return hooks that steer these rows at these positions."""
        ...


class AddedDirection:
    """A vector that is added to what one node writes, one per row of the pass."""

    def __init__(self, model: Model, node: NodeId, vectors: Float[Tensor, "row d_model"]) -> None:
        """Find where the node writes. Raises ModelError where TransformerLens does not show it."""
        self.first = max(node.layer, 0)
        self._name, self._vectors = output_hook(model, node), vectors

    def hooks(self, where: Where) -> Hooks:
        added = self._vectors[:, None] * where[..., None].to(self._vectors.dtype)

        def add(output: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
            return output + added.to(output.device, output.dtype)

        return [(self._name, add)]


class FixedOutputs:
    """Nodes whose outputs are replaced by the same values at every steered position."""

    def __init__(self, passes: ForwardPasses, inputs: PatchingInputs, nodes: Sequence[NodeId]) -> None:
        """Take the values from `inputs`, prepared with replacement mean or zero."""
        layout, info = passes.layout, passes.model.info
        self.first = min(max(node.layer, 0) for node in nodes)
        self._heads: dict[int, tuple[Tensor, Tensor]] = {}
        """By layer: which heads, and the z that replaces theirs, [head, d_head]."""
        for layer in range(info.n_layers):
            chosen = torch.tensor([NodeId(layer, head) in nodes for head in range(info.n_heads)])
            if chosen.any():
                self._heads[layer] = chosen.to(passes.model.device), inputs.other[layer][0, 0]
        self._outputs: list[tuple[str, Tensor]] = []
        if EMBEDDING in nodes:
            self._outputs.append((STREAM_BEGIN, inputs.other_input[0, 0]))
        for layer in range(info.n_layers):
            if mlp(layer) in nodes and layout.n_outputs:
                self._outputs.append((passes.model.mlps.hook(layer), inputs.other_mlps[layer][0, 0]))

    def hooks(self, where: Where) -> Hooks:
        heads = [
            (f"blocks.{layer}.attn.hook_z", _replace_heads(where, chosen, values))
            for layer, (chosen, values) in self._heads.items()
        ]
        return [*heads, *((name, _replace(where, value)) for name, value in self._outputs)]


def _replace_heads(where: Where, chosen: Tensor, values: Tensor) -> Callable[..., Tensor]:
    here = where[..., None, None] & chosen[:, None]

    def hook(z: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
        heads = z.view(*z.shape[:2], len(chosen), -1)
        return torch.where(here.to(z.device), values.to(z.device, z.dtype), heads).view(z.shape)

    return hook


def _replace(where: Where, value: Tensor) -> Callable[..., Tensor]:
    def hook(output: Tensor, hook: object) -> Tensor:  # noqa: ARG001
        return torch.where(where[..., None].to(output.device), value.to(output.device, output.dtype), output)

    return hook


def output_hook(model: Model, node: NodeId) -> str:
    """Return the name of the hook whose value is added to the stream, and to which a direction can be added.

    That of a head is its layer's attention: what heads write is added up there. It is tried: a vector added there must
    be in the stream after the layer. Raises ModelError where it is not.
    """
    if node.kind == "embedding":
        return STREAM_BEGIN
    name = f"blocks.{node.layer}.hook_attn_out" if node.is_head else model.mlps.hook(node.layer)
    known = model.steerable
    if name not in known:
        known[name] = name in model.bridge.hook_dict and _is_added(model, node, name)
    if not known[name]:
        raise ModelError(
            f"A direction cannot be added to what {node} of {model.info.name} writes: TransformerLens does not show it "
            "as it is added to the stream.",
            hint="Nodes of this model can be turned off: --off.",
        )
    return name


def _is_added(model: Model, node: NodeId, name: str) -> bool:
    """Return True if a vector added at this hook is in the stream after the layer, beside what its MLP changes."""
    of_mlp = model.mlps.hook(node.layer)
    after = f"blocks.{node.layer}.hook_out"
    if of_mlp not in model.bridge.hook_dict or after not in model.bridge.hook_dict:
        return False
    found: dict[str, Tensor] = {}

    def keep(of: str) -> Callable[..., None]:
        def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001
            found[of] = value.detach().to("cpu", torch.float32)

        return hook

    def rest(vector: Tensor | None) -> Tensor:
        """Return what the layer leaves in the stream, less its MLP's output."""
        hooks: Hooks = []
        if vector is not None:
            hooks.append((name, lambda output, hook: output + vector.to(output.device, output.dtype)))  # noqa: ARG005
        with torch.no_grad():
            model.bridge.run_with_hooks(
                tokens, fwd_hooks=[*hooks, (after, keep("after")), (of_mlp, keep("mlp"))], return_type="logits"
            )
        return found["after"] - found["mlp"] if node.is_head else found["after"]

    tokens = torch.arange(3, device=model.device)[None] % model.info.vocabulary
    plain = rest(None)
    vector = torch.linspace(-1, 1, plain.shape[-1]) * plain.abs().mean()
    gap = (rest(vector) - plain - vector).abs().max()
    bits = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}[model.precision]
    return bool(gap <= bits * plain.abs().max())
