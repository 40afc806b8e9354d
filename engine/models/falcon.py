"""Falcon's new decoder: TransformerLens reads its fused queries, keys and values in another order than stored."""

from pathlib import Path
from typing import Any

import torch

from engine.catalog.settings_file import read_settings
from engine.errors import ModelError


def reordered_falcon(folder: Path, name: str, device: str | None, dtype: torch.dtype) -> Any:
    """Return the model as transformers loads it, with its fused projection in TransformerLens's order.

    TransformerLens divides it into all queries, all keys, all values; it is stored as the queries of a group, its key,
    its value. None for every other model. Raises ModelError for ALiBi positions, for which the bridge's answers differ
    from the model's.
    """
    config = read_settings(folder / "config.json")
    if config.get("model_type") != "falcon" or not config.get("new_decoder_architecture"):
        return None
    if config.get("alibi"):
        raise ModelError(
            f"{name} (FalconForCausalLM, new decoder with ALiBi) is computed wrongly by TransformerBridge.",
            hint="Choose a Falcon model with rotary positions, or one of the older decoder.",
        )
    if device is None:
        raise ModelError(
            f"{name} (FalconForCausalLM, new decoder) cannot be split: TransformerBridge takes it on one device.",
            hint="Leave out --devices and --device-map.",
        )
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=dtype, attn_implementation="eager", use_safetensors=True
    )
    n_heads, n_groups = model.config.num_attention_heads, model.config.num_kv_heads
    for block in model.transformer.h:
        fused = block.self_attention.query_key_value
        for values in (fused.weight, fused.bias):
            if values is not None:
                groups = values.detach().view(n_groups, n_heads // n_groups + 2, -1, *values.shape[1:])
                parts = (groups[:, :-2], groups[:, -2], groups[:, -1])
                values.data = torch.cat([part.reshape(-1, *values.shape[1:]) for part in parts])
    # With it the bridge assumes that all heads share one key, whatever the number of groups is.
    model.config.multi_query = False
    return model.to(device)
