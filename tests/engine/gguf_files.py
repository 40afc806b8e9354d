"""Small random models of each architecture written as GGUF files, as llama.cpp's converter lays them out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers.convert_slow_tokenizer import bytes_to_unicode

TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "▁a", "▁b", "ab", "▁ab"]
MERGES = ["a b", "Ġ a", "Ġa b", "Ġ 1", "Ġ1 2", "1 2", "ab ab"]
BYTE_LEVEL = ["<unk>", "<s>", "</s>", *bytes_to_unicode().values(), *(merge.replace(" ", "") for merge in MERGES)]
"""The vocabulary of a tokenizer like GPT-2's, as large as the other."""
SHAPE = {
    "vocab_size": len(TOKENS),
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_ODD = {
    ".A_log": "ssm_a",
    ".D": "ssm_d",
    ".dt_bias": "ssm_dt.bias",
    ".sinks": "attn_sinks.weight",
    ".e_score_correction_bias": "exp_probs_b.bias",
    ".layer_scalar": "layer_output_scale.weight",
}
"""Parameters that are no weight and no bias, and their names in a block."""
Layout = Callable[[str, np.ndarray[Any, Any], Any], np.ndarray[Any, Any]]
"""(transformers' name, its values, the configuration) -> the values as the file has them."""


def random_model(config: Any) -> Any:
    """A model of that configuration; norms are random, too, so that a lost one is seen."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def write_gguf(
    path: Path,
    model: Any,
    architecture: str,
    keys: Mapping[str, Any],
    *,
    layout: Layout | None = None,
    extra: Mapping[str, np.ndarray[Any, Any]] | None = None,
    quantise: Callable[[str, np.ndarray[Any, Any]], gguf.GGMLQuantizationType | None] = lambda _name, _values: None,
    leave_out: Callable[[str], bool] = lambda _name: False,
    tokenizer: Mapping[str, Any] | None = None,
    general: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the model. `keys` without the architecture in front, `extra`: tensors besides the model's own."""
    config = model.config
    number = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture)
    names = gguf.get_tensor_name_map(number, config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in keys.items():
        _add(writer, f"{architecture}.{key}", value)
    for key, value in (general or {}).items():
        _add(writer, key, value)
    _write_tokenizer(writer, tokenizer or {})
    tied = config.tie_word_embeddings
    for name, values in {**_tensors(model), **(extra or {})}.items():
        here = values if layout is None else layout(name, values, config)
        if (name == "lm_head.weight" and tied) or leave_out(name):
            continue
        found = name if name in (extra or {}) or name.startswith("blk.") else _place(name, names)
        kind_of = quantise(found, here)
        if kind_of is None:
            writer.add_tensor(found, np.ascontiguousarray(here, dtype=np.float32))
        else:
            writer.add_tensor(found, gguf.quantize(np.ascontiguousarray(here), kind_of), raw_dtype=kind_of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _place(name: str, names: Any) -> str:
    """The file's name for a tensor of transformers."""
    block = next((part for part in name.split(".") if part.isdigit()), "")
    for ending, instead in _ODD.items():
        if name.endswith(ending):
            return f"blk.{block}.{instead}"
    stem, _, kind = name.rpartition(".")
    place = names.get_name(stem) or names.get_name(stem.removeprefix("transformer."))
    assert place is not None, f"no name for {name}"
    return f"{place}.{kind}"


def _tensors(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The state, experts that transformers keeps fused taken apart."""
    found = {}
    for name, value in model.state_dict().items():
        values = value.float().numpy()
        if ".experts." in name and model.config.model_type == "gpt_oss":
            found |= _interleaved(name, values)
        elif name.endswith("experts.gate_up_proj"):
            block = name.split(".")[2]
            half = values.shape[1] // 2
            found[f"blk.{block}.ffn_gate_exps.weight"] = values[:, :half]
            found[f"blk.{block}.ffn_up_exps.weight"] = values[:, half:]
        elif name.endswith("experts.down_proj"):
            found[f"blk.{name.split('.')[2]}.ffn_down_exps.weight"] = values
        else:
            found[name] = values
    return found


def _interleaved(name: str, values: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """GPT-OSS's experts: gates and ups alternate, and matrices lie the other way."""
    stem, kind = f"blk.{name.split('.')[2]}.ffn", "bias" if name.endswith("_bias") else "weight"
    turned = values.swapaxes(1, 2) if kind == "weight" else values
    if "down" in name:
        return {f"{stem}_down_exps.{kind}": turned}
    return {f"{stem}_gate_exps.{kind}": turned[:, ::2], f"{stem}_up_exps.{kind}": turned[:, 1::2]}


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def _write_tokenizer(writer: gguf.GGUFWriter, more: Mapping[str, Any]) -> None:
    kind = more.get("model", "llama")
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre(more.get("pre", "default"))
    if kind == "gpt2":
        writer.add_token_list(BYTE_LEVEL)
        writer.add_token_types([2, 3, 3, *[1] * (len(BYTE_LEVEL) - 3)])
        writer.add_token_merges(MERGES)
    else:
        writer.add_token_list([token.encode() for token in TOKENS])
        writer.add_token_scores([0.0 if len(token) > 3 else -1.0 for token in TOKENS])
        writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (len(TOKENS) - 259)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for key, value in more.items():
        if key not in ("model", "pre"):
            _add(writer, f"tokenizer.ggml.{key}", value)


def shape_keys(config: Any, **more: Any) -> dict[str, Any]:
    """The keys that every file of a llama-like model has."""
    return {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", config.num_attention_heads),
        "vocab_size": config.vocab_size,
    } | more


def permuted(name: str, values: np.ndarray[Any, Any], config: Any) -> np.ndarray[Any, Any]:
    """Llama's queries and keys: llama.cpp rotates neighbours where transformers rotates halves."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads is None:
        return values
    apart = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return apart.swapaxes(1, 2).reshape(values.shape)


def raised(name: str, values: np.ndarray[Any, Any], _config: Any) -> np.ndarray[Any, Any]:
    """Norms that transformers keeps less one (Gemma, Nemotron)."""
    return values + 1 if name.endswith("norm.weight") else values


def transposed(name: str, values: np.ndarray[Any, Any], _config: Any) -> np.ndarray[Any, Any]:
    """GPT-2's Conv1D."""
    return values.T if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")) else values


def squeezed(name: str, values: np.ndarray[Any, Any], _config: Any) -> np.ndarray[Any, Any]:
    """The gate of shared experts, and short convolutions, without their axis of one."""
    if name.endswith("shared_expert_gate.weight"):
        return values[0]
    return values[:, 0] if name.endswith("conv.conv.weight") else values


def ungrouped(name: str, values: np.ndarray[Any, Any], config: Any) -> np.ndarray[Any, Any]:
    """Bloom's fused queries, keys and values: all queries first."""
    if "query_key_value" not in name:
        return values
    parts = values.reshape(config.n_head, 3, -1, *values.shape[1:])
    return np.concatenate([parts[:, part].reshape(-1, *values.shape[1:]) for part in range(3)])


def qwen35(name: str, values: np.ndarray[Any, Any], _config: Any) -> np.ndarray[Any, Any]:
    """Qwen 3.5: norms raised but for those of linear attention, decays as they are used, convolutions squeezed."""
    if name.endswith("A_log"):
        return -np.exp(values)
    if name.endswith("conv1d.weight"):
        return values[:, 0]
    return values + 1 if name.endswith("norm.weight") and "linear_attn" not in name else values


def mamba(name: str, values: np.ndarray[Any, Any], _config: Any) -> np.ndarray[Any, Any]:
    """Mamba's decays as they are used, and its convolution squeezed."""
    if name.endswith("A_log"):
        return -np.exp(values)
    return values[:, 0] if name.endswith("conv1d.weight") else values
