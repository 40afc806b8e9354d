"""What heads do to the answer, done by plain hooks and whole passes; and what such tests begin with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.config import EffectsConfig
from engine.examples import Example
from engine.models.loading import Model
from engine.nodes import NodeChoice, NodeId
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs, prepare
from engine.patching.node_patching import measure_replaced, one_each
from engine.tasks.registry import TASKS


def prepared(
    model: Model,
    examples: Sequence[Example],
    recorder: Any,
    position: str = "mean",
    nodes: NodeChoice = "heads",
    unequal: bool = False,
    **config: Any,
) -> tuple[ForwardPasses, PatchingInputs]:
    passes = ForwardPasses(model, recorder, nodes)
    inputs = prepare(
        model,
        passes,
        examples,
        EffectsConfig(**config),
        position=position,
        task=None,
        monitor=passes.monitor,
        unequal=unequal,
    )
    return passes, inputs


def ioi(model: Model, pairs: int = 4) -> tuple[Example, ...]:
    return TASKS["ioi"].make(model, pairs=pairs, seed=0)


def with_head(
    model: Model, one: Example, other: Example, head: NodeId, positions: slice = slice(None)
) -> tuple[Tensor, Tensor]:
    """The last logits of one prompt, as it is and with a head's z from another: plain hooks, whole passes."""
    kept: list[Tensor] = []
    name = f"blocks.{head.layer}.attn.hook_z"

    def keep(z: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
        kept.append(z.clone())

    def replace(z: Tensor, hook: object) -> Tensor:  # noqa: ARG001
        changed = z.clone()
        changed[:, positions, head.head] = kept[0][:, positions, head.head]
        return changed

    bridge = model.bridge
    with torch.no_grad():
        bridge.run_with_hooks(torch.tensor([model.encode(other.prompt)[0]]), fwd_hooks=[(name, keep)])
        tokens = torch.tensor([model.encode(one.prompt)[0]])
        return bridge(tokens)[0, -1], bridge.run_with_hooks(tokens, fwd_hooks=[(name, replace)])[0, -1]


def with_hook_at(
    model: Model, one: Example, other: Example, name: str, here: int, there: int, part: slice = slice(None)
) -> Tensor:
    """The last logits of one prompt with what a hook sees at one position from a position of another: whole passes."""
    kept: list[Tensor] = []

    def keep(value: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
        kept.append(value.clone())

    def replace(value: Tensor, hook: object) -> Tensor:  # noqa: ARG001
        changed = value.clone()
        changed.flatten(2)[:, here, part] = kept[0].flatten(2)[:, there, part]
        return changed

    with torch.no_grad():
        model.bridge.run_with_hooks(torch.tensor([model.encode(other.prompt)[0]]), fwd_hooks=[(name, keep)])
        tokens = torch.tensor([model.encode(one.prompt)[0]])
        logits: Tensor = model.bridge.run_with_hooks(tokens, fwd_hooks=[(name, replace)])
    return logits[0, -1]


def with_node_at(model: Model, one: Example, other: Example, node: NodeId, here: int, there: int) -> Tensor:
    """The last logits of one prompt with a node at one position from a position of another."""
    if not node.is_head:
        name = "blocks.0.hook_in" if node.kind == "embedding" else f"blocks.{node.layer}.hook_mlp_out"
        return with_hook_at(model, one, other, name, here, there)
    size = model.head_weights[node.layer].shape[1]
    part = slice(node.head * size, (node.head + 1) * size)
    return with_hook_at(model, one, other, f"blocks.{node.layer}.attn.hook_z", here, there, part)


def all_heads(model: Model) -> list[NodeId]:
    return [NodeId(layer, head) for layer in range(model.info.n_layers) for head in range(model.info.n_heads)]


def exact(_model: Model, passes: ForwardPasses, inputs: PatchingInputs, heads: Sequence[NodeId]) -> Tensor:
    masks = one_each(heads, passes.layout)
    return measure_replaced(passes, inputs, masks) - inputs.base_by_row


def with_edge(model: Model, inputs: PatchingInputs, source: NodeId, target: NodeId, share: float = 1.0) -> Tensor:
    """The logits at the last tokens where one head reads of another what that one writes on the other side, or a
    share of the way there, and everybody else reads what was: plain hooks, whole passes."""
    moved = inputs.other[source.layer][:, :, source.head] - inputs.clean.z[source.layer][:, :, source.head]
    factor = inputs.clean.factors.get(source.layer)  # the divisor of a norm after attention stays
    moved = moved if factor is None else moved * factor[:, :, None]
    written = share * moved @ model.head_weights[source.layer][source.head]
    kept: list[Tensor] = []

    def read(stream: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
        return stream + written

    def keep(z: Tensor, hook: object) -> None:  # noqa: ARG001
        kept.append(z.clone())

    def replace(z: Tensor, hook: object) -> Tensor:  # noqa: ARG001
        changed = z.clone().view(*z.shape[:2], model.info.n_heads, -1)
        changed[:, :, target.head] = kept[0].view(changed.shape)[:, :, target.head]
        return changed.view(z.shape)

    block, bridge = f"blocks.{target.layer}", model.bridge
    with torch.no_grad():
        hooks = [(f"{block}.hook_in", read), (f"{block}.attn.hook_z", keep)]
        bridge.run_with_hooks(inputs.tokens, fwd_hooks=hooks)
        logits = bridge.run_with_hooks(inputs.tokens, fwd_hooks=[(f"{block}.attn.hook_z", replace)])
    return logits[torch.arange(len(inputs)), inputs.last]
