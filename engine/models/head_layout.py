"""The layout of a model's attention heads: their size per layer, and the matrices they write with."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engine.errors import ModelError

_COUNTS = ("num_attention_heads", "num_query_heads", "n_head", "num_heads", "num_attention_heads_per_layer")
"""Names of the number of heads in configurations; a list where it differs by layer."""


def output_matrices(bridge: Any, n_heads: int) -> list[Float[Tensor, "head _ d_model"]]:
    """Return W_O of every layer's heads, read from the projections.

    Heads of one model may differ in size by layer (Gemma 4) and from its queries and keys (DeepSeek's latent
    attention). A factor that the model applies to a head's output after W_O is included. Raises ValueError where the
    heads cannot share one projection.
    """
    return [
        matrix if scale == 1.0 else matrix * scale
        for matrix, scale in zip(_projections(bridge, n_heads), output_scales(bridge), strict=True)
    ]


def output_scales(bridge: Any) -> tuple[float, ...]:
    """Return per layer the factor between W_O and the stream.

    1 for most models; Granite's residual multiplier, and Falcon-H1's of its attention.
    """
    config = bridge.original_model.config
    elsewhere = float(getattr(config, "attention_out_multiplier", None) or 1.0)
    residual = float(getattr(config, "residual_multiplier", None) or 1.0)
    return tuple(elsewhere * float(getattr(block, "residual_contribution_scale", residual)) for block in bridge.blocks)


def _projections(bridge: Any, n_heads: int) -> list[Tensor]:
    found = []
    for layer, block in enumerate(bridge.blocks):
        projection = getattr(block.attn, "o", None)
        module = getattr(projection, "original_component", None)
        if module is None:
            return list(bridge.W_O.detach().float())
        with in_memory(module):
            # Conv1D (GPT-2) stores [in, out], linear layers [out, in].
            matrix = module.weight.detach() if type(module).__name__ == "Conv1D" else module.weight.detach().T
        if matrix.dim() != 2 or matrix.shape[0] % n_heads:
            raise ValueError(f"layer {layer} writes through {tuple(matrix.shape)}, which {n_heads} heads cannot share")
        found.append(matrix.detach().float().reshape(n_heads, -1, matrix.shape[1]))
    return found


def in_memory(module: Any) -> AbstractContextManager[Any]:
    """Return a context in which the module's weights are in memory, also those of a device map that are on disk."""
    from accelerate.utils import align_module_device

    context: AbstractContextManager[Any] = align_module_device(module)
    return context


def unembedding(bridge: Any) -> tuple[Tensor | None, Tensor | None]:
    """Return W_U [d_model, vocabulary] and its bias [vocabulary]; None for what the model does not have."""
    module = getattr(getattr(bridge, "unembed", None), "original_component", None)
    with in_memory(module) if module is not None else nullcontext():
        found = [getattr(bridge, name, None) for name in ("W_U", "b_U")]
        weights, bias = (each.detach() if isinstance(each, Tensor) else None for each in found)
    return weights, bias


def stacked(matrices: list[Tensor]) -> Float[Tensor, "layer head d_head d_model"]:
    """Stack all layers' matrices; smaller heads are padded with rows of zeros, which write nothing."""
    size = max(each.shape[1] for each in matrices)
    if all(each.shape[1] == size for each in matrices):
        return torch.stack(matrices)
    return torch.stack([torch.nn.functional.pad(each, (0, 0, 0, size - each.shape[1])) for each in matrices])


def check_heads(bridge: Any, name: str) -> None:
    """Check that the heads are a grid of layers by heads. Raises ModelError, which says what the model has instead."""
    kind, config = type(bridge.original_model).__name__, bridge.cfg
    seen = [layer for layer in range(config.n_layers) if f"blocks.{layer}.attn.hook_z" in bridge.hook_dict]
    if len(seen) < config.n_layers:
        have = f"{len(seen)} of {config.n_layers} layers" if seen else "none of its layers"
        where = f" ({', '.join(map(str, seen))})" if 0 < len(seen) <= 8 else ""
        raise ModelError(
            f"{name} ({kind}) has attention heads in {have}{where}.",
            hint="Headcode compares attention heads layer by layer: choose a model with attention in every layer.",
        )
    sheet = bridge.original_model.config.to_dict()
    for count in _COUNTS:
        by_layer = _by_layer(sheet, count)
        if len(set(by_layer)) > 1:
            raise ModelError(
                f"{name} ({kind}) has {min(by_layer)} to {max(by_layer)} heads by layer.",
                hint="Headcode's grid needs as many heads in every layer: choose such a model.",
            )
    try:
        output_matrices(bridge, int(config.n_heads))
    except (ValueError, AttributeError, NotImplementedError) as error:
        raise ModelError(
            f"{name} ({kind}) does not expose what its heads write: {error}.", hint="Choose another model."
        ) from error


def _by_layer(sheet: dict[str, Any], name: str) -> list[int]:
    """Return the values that a configuration has for its layers: one, a list, or those of some layers."""
    value, layers = sheet.get(name), sheet.get("per_layer_config")
    values = [*value] if isinstance(value, list | tuple) else [value]
    values += [each.get(name) for each in layers.values() if isinstance(each, dict)] if isinstance(layers, dict) else []
    return [each for each in values if isinstance(each, int)]
