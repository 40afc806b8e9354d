"""Hooks that read what nodes write and the stream after each layer, in every family of TransformerBridge."""

from collections.abc import Callable, Collection

import torch
from jaxtyping import Float
from torch import Tensor

from engine.errors import Cancelled
from engine.events import Monitor
from engine.models.contributions import READOUT, Hooks
from engine.models.loading import Model
from engine.models.mlps import STREAM_BEGIN

Read = Callable[[int, Tensor], None]


def head_hooks(model: Model, layers: Collection[int], read: Read, monitor: Monitor) -> Hooks:
    """Return hooks that call `read` with (layer, z [row, position, head, d_head]) in float32.

    Behind a norm after attention, z is multiplied by its position's factor (engine.models.contributions). The hooks
    raise Cancelled.
    """
    waiting: dict[int, Tensor] = {}

    def scale(layer: int, factor: Float[Tensor, "row position"]) -> None:
        if layer in waiting:
            read(layer, waiting.pop(layer) * factor.to(model.device)[:, :, None, None])

    def keep(layer: int) -> Callable[..., None]:
        # Bound here: hook_z is an alias, and its hook is called under another name (blocks.N.attn.o.hook_in).
        def hook(z: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            if monitor.cancelled():
                raise Cancelled
            # Heads may differ in size from layer to layer.
            z = z.view(*z.shape[:2], model.info.n_heads, -1).to(model.device, torch.float32)
            if layer in model.contributions.gains:
                waiting[layer] = z  # until the norm after attention has run
            else:
                read(layer, z)

        return hook

    return [
        *((f"blocks.{layer}.attn.hook_z", keep(layer)) for layer in layers),
        *model.contributions.position_hooks(scale),
    ]


def output_hooks(model: Model, places: Collection[int], read: Read) -> Hooks:
    """Return hooks that call `read` with (place, output [row, position, d_model]) in float32.

    Place 0 is the embedding, 1 + layer the MLP of a layer.
    """

    def keep(place: int) -> Callable[..., None]:
        def hook(written: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            read(place, written.to(model.device, torch.float32))

        return hook

    return [(model.mlps.hook(place - 1) if place else STREAM_BEGIN, keep(place)) for place in places]


def stream_hooks(model: Model, layers: Collection[int], read: Read) -> Hooks:
    """Return hooks that call `read` with (layer, the stream after it [row, position, d_model]) in float32."""
    done: set[int] = set()

    def keep(layer: int) -> Callable[..., None]:
        def hook(residual: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            if layer not in done:
                done.add(layer)
                read(layer, residual.to(model.device, torch.float32))

        return hook

    found: Hooks = []
    for layer in layers:
        # GPT-1's blocks return lists, on which TransformerLens 4.3 calls no hook_out: there, what is read next.
        following = f"blocks.{layer + 1}.hook_in" if layer + 1 < model.info.n_layers else READOUT
        found += [(f"blocks.{layer}.hook_out", keep(layer)), (following, keep(layer))]
    return found
