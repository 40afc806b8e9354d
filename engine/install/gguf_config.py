"""Build a model's configuration from a GGUF file's keys: every key is carried over, or reported."""

from collections.abc import Callable
from typing import Any

from engine.errors import ModelError
from engine.install.gguf_file import GgufFile
from engine.install.gguf_rope import SCALING, rope_parameters_of, scaling_of

_NAMES: dict[str, tuple[str, ...]] = {
    "context_length": ("max_position_embeddings", "n_positions"),
    "embedding_length": ("hidden_size", "n_embd"),
    "attention.head_count": ("num_attention_heads", "n_head"),
    "attention.head_count_kv": ("num_key_value_heads",),
    "attention.key_length": ("head_dim",),
    "attention.value_length": ("head_dim",),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps", "layer_norm_epsilon"),
    "attention.sliding_window": ("sliding_window",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "feed_forward_length": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "expert_count": ("num_local_experts", "num_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "use_parallel_residual": ("use_parallel_residual",),
    "expert_weights_norm": ("norm_topk_prob",),
    "shortconv.l_cache": ("conv_L_cache",),
    "vocab_size": ("vocab_size",),
    "embedding_scale": ("embedding_multiplier",),
    "logit_scale": ("logit_scale",),
    "router_logit_softcapping": ("router_logit_softcapping",),
    "activation_sparsity_scale": ("activation_sparsity_scale",),
    "swiglu_clamp_exp": ("swiglu_limit",),
    "attention.output_scale": ("attention_out_multiplier",),
    "attention.temperature_scale": ("attn_scale",),
    "attention.kv_lora_rank": ("kv_lora_rank",),
    "residual_scale": ("residual_multiplier",),
    "attention.scale": ("attention_multiplier",),
    "ssm.conv_kernel": ("linear_conv_kernel_dim", "conv_kernel"),
    "ssm.state_size": ("linear_key_head_dim", "state_size"),
    "ssm.group_count": ("linear_num_key_heads",),
    "ssm.time_step_rank": ("linear_num_value_heads", "time_step_rank"),
}
"""A key of the architecture and its names in transformers: the first one that the configuration has is used.

If it has none of them, the model is a different one.
"""
_OTHER_NAMES: dict[tuple[str, str], tuple[str, ...]] = {
    ("minimax-m2", "expert_gating_func"): ("scoring_func",),
    ("minimax-m2", "expert_feed_forward_length"): ("intermediate_size",),
}
"""The same for architectures that use a key with another meaning."""
_ELSEWHERE = frozenset(
    {"block_count", "rope.freq_base", "rope.freq_base_swa", "rope.dimension_count", "rope.dimension_sections"}
    | {"ssm.inner_size", "nextn_predict_layers", "full_attention_interval", "decoder_start_token_id"}
)
"""Handled by other code here, or by transformers together with the layers they count."""
_FIXED: dict[str, Callable[[Any], bool]] = {
    "attention.causal": bool,
    "tensor_data_layout": lambda value: value in ("", "Meta AI original pth"),
    "attention.max_alibi_bias": lambda value: float(value) == 8.0,
    "attention.clamp_kqv": lambda value: float(value) == 0.0,
    "pooling_type": lambda value: int(value) <= 0,
    "expert_weights_scale": lambda value: float(value) in (0.0, 1.0),
    "expert_gating_func": lambda value: int(value) == 1,
    "leading_dense_block_count": lambda value: int(value) == 0,
    "expert_shared_count": lambda value: int(value) <= 1,
}
"""Keys that state a default, and the values that do."""
_HARMLESS = ("general.", "tokenizer.", "quantize.", "split.", "imatrix.", "GGUF.", "mradermacher.", "adapter.")
_KNOWN_SCALARS = (
    {("gemma2", 26): None, ("gemma2", 42): None, ("gemma2", 46): "width"}
    | dict.fromkeys([("gemma3", layers) for layers in (18, 26, 34, 48)])
    | {("gemma3", 62): "width"}
)
"""Query scalar by family and layers of the published models: the width of a head, or d_model / heads ("width")."""


def complete_config(file: GgufFile, config: Any) -> list[str]:
    """Set the configuration from the file's keys; return notices for the user.

    Raises ModelError for a key that changes the model and cannot be carried over.
    """
    notices: list[str] = []
    for name in sorted(key for key in file.keys if key.startswith(f"{file.architecture}.")):
        key = name.removeprefix(f"{file.architecture}.")
        if key in _ELSEWHERE or key.startswith(SCALING):
            continue
        _carry(file, config, key, file.keys[name], notices)
    for name, value in sorted(file.keys.items()):
        if not name.startswith((*_HARMLESS, f"{file.architecture}.")):
            notices.append(f"The key {name} = {_brief(value)} is not carried over.")
    _settle_rope(file, config)
    _settle_scalar(file, config, notices)
    _settle_special(config)
    return notices


def _carry(file: GgufFile, config: Any, key: str, value: Any, notices: list[str]) -> None:
    if isinstance(value, list):
        _check_list(file, config, key, value, notices)
        return
    if key in _FIXED and (file.architecture, key) not in _OTHER_NAMES:
        if not _FIXED[key](value):
            raise _not_carried(file, key, value)
        return
    if key == "attention.sliding_window" and not value:
        value = None
    elif value == 0 and not isinstance(value, bool):
        return  # not used
    if isinstance(value, float):
        value = float(f"{value:.7g}")  # the value before rounding to single precision
    if key == "expert_gating_func":
        value = {1: "softmax", 2: "sigmoid"}.get(int(value), str(value))
    names = [name for name in _names(file, key) if hasattr(config, name)]
    if key == "attention.head_count_kv" and (not names or hasattr(config, "multi_query")):
        _check_shared(file, config, int(value))
    elif key in ("attention.key_length", "attention.value_length") and not names:
        _check_width(file, config, key, int(value))
    elif key == "feed_forward_length" and not names:
        return  # four times the width, from the tensors' shapes
    elif names:
        setattr(config, names[0], value)
    elif not _names(file, key):
        notices.append(f"The key {file.architecture}.{key} = {_brief(value)} is not carried over.")
    elif key not in ("context_length",):
        raise _not_carried(file, key, value)


def _names(file: GgufFile, key: str) -> tuple[str, ...]:
    return _OTHER_NAMES.get((file.architecture, key), _NAMES.get(key, ()))


def _check_list(file: GgufFile, config: Any, key: str, value: list[Any], notices: list[str]) -> None:
    """Handle a value per layer: transformers reads some lists; a list of equal values is one value."""
    if key in ("rope.dimension_sections", "attention.sliding_window_pattern"):
        if key == "attention.sliding_window_pattern" and hasattr(config, "layer_types"):
            config.layer_types = ["sliding_attention" if slides else "full_attention" for slides in value]
        return
    if key == "attention.head_count_kv" and getattr(config, "layer_types", None):
        full = [count > 0 for count in value]
        if full == [kind == "full_attention" for kind in config.layer_types] and len({*value} - {0}) == 1:
            return
    if len({*value}) == 1:
        _carry(file, config, key, value[0], notices)
        return
    raise _not_carried(file, key, value)


def _check_shared(file: GgufFile, config: Any, count: int) -> None:
    """Check Falcon's shared keys and values.

    llama.cpp splits its fused queries, keys and values, and transformers does not fuse them again; with one set of keys
    and values for all heads nothing is moved.
    """
    if getattr(config, "multi_query", False) and count == 1:
        return
    heads = getattr(config, "num_attention_heads", None) or getattr(config, "n_head", 0)
    if count == heads and not hasattr(config, "multi_query"):
        return
    raise _not_carried(file, "attention.head_count_kv", count)


def _check_width(file: GgufFile, config: Any, key: str, width: int) -> None:
    heads = config.num_attention_heads
    if width != config.hidden_size // heads:
        raise _not_carried(file, key, width)


def _settle_rope(file: GgufFile, config: Any) -> None:
    every = getattr(config, "rope_parameters", None)
    scaling = scaling_of(file, int(file.key("context_length", 0) or 0))
    if not isinstance(every, dict):
        if scaling is not None:
            raise _not_carried(file, f"{SCALING}type", file.key(f"{SCALING}type", "factors of frequencies"))
        return
    by_kind = {kind: each for kind, each in every.items() if isinstance(each, dict)}
    own = by_kind.get("full_attention", every)
    base, slow = file.key("rope.freq_base"), file.key("rope.freq_base_swa")
    if base is not None:
        own["rope_theta"] = float(base)
    if slow is not None and "sliding_attention" in by_kind:
        by_kind["sliding_attention"]["rope_theta"] = float(slow)
    turned = file.key("rope.dimension_count")
    if turned is not None and not by_kind and ((width := _width(config)) != turned or "partial_rotary_factor" in own):
        own["partial_rotary_factor"] = turned / width
        if hasattr(config, "partial_rotary_factor"):
            config.partial_rotary_factor = turned / width
    if scaling is None:
        if not by_kind:
            own["rope_type"] = "default"
        return
    if "factors" in scaling:
        if by_kind:
            raise _not_carried(file, "rope_freqs.weight", "factors of frequencies")
        scaling = rope_parameters_of(scaling, float(own["rope_theta"]))
    own.update(scaling)
    trained = scaling.get("original_max_position_embeddings")
    if trained is not None and hasattr(config, "original_max_position_embeddings"):
        config.original_max_position_embeddings = trained


def _settle_scalar(file: GgufFile, config: Any, notices: list[str]) -> None:
    """Set Gemma's query scalar, for which GGUF has no key, from the model's size as llama.cpp does."""
    if not hasattr(config, "query_pre_attn_scalar"):
        return
    shape = (file.architecture, int(file.key("block_count", 0)))
    if _KNOWN_SCALARS.get(shape) == "width":
        config.query_pre_attn_scalar = config.hidden_size // config.num_attention_heads
        return
    config.query_pre_attn_scalar = config.head_dim
    if shape not in _KNOWN_SCALARS:
        notices.append(
            f"GGUF has no key for the query scalar of {file.architecture}: taken as the width of a head, "
            f"{config.head_dim}. If this model has another, its attention is wrong: import its Hugging Face folder."
        )


def _settle_special(config: Any) -> None:
    """Remove a class's default for a token that this vocabulary does not have."""
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        token = getattr(config, name, None)
        if isinstance(token, int) and not 0 <= token < config.vocab_size:
            setattr(config, name, None)


def _width(config: Any) -> int:
    own = getattr(config, "head_dim", None)
    return int(own) if own else int(config.hidden_size // config.num_attention_heads)


def _not_carried(file: GgufFile, key: str, value: Any) -> ModelError:
    return ModelError(
        f"{file.path.name} says {file.architecture}.{key} = {_brief(value)}, which this conversion cannot carry over.",
        hint="The result would be a different model. Get it as a Hugging Face folder with safetensors.",
    )


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
