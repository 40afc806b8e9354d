"""What MLPs add to the residual stream, and what the embedding puts into it: where they are read and replaced."""

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from engine.events import Notice
from engine.models.contributions import RecordedPass

STREAM_BEGIN = "blocks.0.hook_in"
"""The embedding as the first layer reads it, position embeddings included."""


class MLPs:
    """The MLPs of a model, through hooks that every family of TransformerBridge has with few exceptions.

    `hook_mlp_out` is what is added to the stream: after a norm behind the MLP and a residual multiplier, where there
    are any.
    """

    def __init__(self, bridge: Any, record: RecordedPass) -> None:
        self.n_layers = len(bridge.blocks)
        self.missing = tuple(layer for layer in range(self.n_layers) if self.hook(layer) not in bridge.hook_dict)
        """Layers whose MLP TransformerLens does not show."""
        self.unconfirmed = tuple(
            layer for layer in range(self.n_layers) if layer not in self.missing and not record.mlp_adds(layer)
        )
        """Layers where what was read is not what the MLP adds to the stream."""
        self.parallel = not self.missing and _reads_beside_attention(bridge)
        """True if MLPs read the stream before their layer's heads have written to it."""

    def hook(self, layer: int) -> str:
        """Return the name of the hook at which the MLP's output, [row, position, d_model], is read and replaced."""
        return f"blocks.{layer}.hook_mlp_out"

    def notice(self, name: str) -> Notice | None:
        """Return what to tell the user about MLPs that cannot be read as they should; None if all can."""
        if self.missing:
            return Notice(
                message=f"TransformerLens does not show what the MLPs of {name} write "
                f"(in {len(self.missing)} of {self.n_layers} layers): this run has heads only.",
                hint="--nodes heads says the same without this notice.",
            )
        if self.unconfirmed:
            return Notice(
                message=f"What the MLPs of {name} add to the stream is not confirmed in {len(self.unconfirmed)} of "
                f"{self.n_layers} layers (the first is {self.unconfirmed[0]}): they are compared by their output "
                "before whatever follows it.",
                hint="Effects do not depend on this: --cause combined.",
            )
        return None


def _reads_beside_attention(bridge: Any) -> bool:
    """Return True if an MLP writes the same when its layer's heads are silenced: the first MLP that writes anything."""
    for layer in range(len(bridge.blocks)):
        as_it_is, without = (_written(bridge, layer, silent=silent) for silent in (False, True))
        if bool(as_it_is.any()):
            return torch.equal(as_it_is, without)
    return False


def _written(bridge: Any, layer: int, *, silent: bool) -> Tensor:
    """Return what the layer's MLP writes on two tokens; with its heads silenced, if `silent`."""
    seen: list[Tensor] = []

    def silence(z: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
        return torch.zeros_like(z)

    def keep(output: Tensor, hook: object) -> None:  # noqa: ARG001
        seen.append(output.detach().float().clone())
        raise _Seen

    hooks = [(f"blocks.{layer}.attn.hook_z", silence)] if silent else []
    tokens = torch.tensor([[0, 1]], device=_device(bridge))
    with suppress(_Seen), torch.no_grad():
        bridge.run_with_hooks(tokens, fwd_hooks=[*hooks, (f"blocks.{layer}.hook_mlp_out", keep)], return_type="logits")
    return seen[0]


class _Seen(Exception):
    """Raised by a hook once its value is known."""


def _device(bridge: Any) -> torch.device:
    device = torch.device(bridge.cfg.device or "cpu")
    return torch.device("cpu") if device.type == "meta" else device
