"""One small model of each architecture that transformers reads from GGUF, and the keys that llama.cpp writes for it."""

from collections.abc import Callable
from typing import Any

import msgspec
import transformers as tf

from .gguf_files import SHAPE, Layout, mamba, permuted, qwen35, raised, shape_keys, squeezed, transposed, ungrouped

RMS = {"attention.layer_norm_rms_epsilon": 1e-5}
NORM = {"attention.layer_norm_epsilon": 1e-5}
WIDE = {"attention.key_length": 32, "attention.value_length": 32}
"""Heads wider than the stream's share of one."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A model and its file."""

    architecture: str
    config: Callable[[], Any]
    keys: dict[str, Any]
    layout: Layout | None = None
    message: str = ""
    """Words of the notice that this file gets; empty where it gets none."""


def rope(base: float, **more: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": base, **more}


def of(config: Callable[..., Any], **more: Any) -> Callable[[], Any]:
    return lambda: config(**{**SHAPE, **more})


def case(
    architecture: str, config: Callable[[], Any], *, layout: Layout | None = None, message: str = "", **keys: Any
) -> Case:
    return Case(
        architecture=architecture,
        config=config,
        keys=shape_keys(config()) | keys.pop("more", {}),
        layout=layout,
        message=message,
    )


CASES: dict[str, Case] = {
    "llama": case(
        "llama",
        of(tf.LlamaConfig, rope_parameters=rope(5e5), rms_norm_eps=1e-5),
        layout=permuted,
        more={**RMS, "rope.freq_base": 5e5, "rope.dimension_count": 16},
    ),
    "llama with wide heads": case(
        "llama",
        of(tf.LlamaConfig, rope_parameters=rope(5e5), rms_norm_eps=1e-5, head_dim=32),
        layout=permuted,
        more={**RMS, **WIDE, "rope.freq_base": 5e5, "rope.dimension_count": 32},
    ),
    "llama with linear scaling": case(
        "llama",
        of(tf.LlamaConfig, rope_parameters=rope(1e4) | {"rope_type": "linear", "factor": 4.0}, rms_norm_eps=1e-5),
        layout=permuted,
        more={**RMS, "rope.freq_base": 1e4, "rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    ),
    "llama with yarn": case(
        "llama",
        of(
            tf.LlamaConfig,
            rms_norm_eps=1e-5,
            rope_parameters=rope(1e4) | {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
        ),
        layout=permuted,
        more={
            **RMS,
            "rope.freq_base": 1e4,
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 32,
        },
    ),
    "qwen2": case(
        "qwen2", of(tf.Qwen2Config, rope_parameters=rope(1e6), rms_norm_eps=1e-5), more={**RMS, "rope.freq_base": 1e6}
    ),
    "qwen3": case(
        "qwen3",
        of(tf.Qwen3Config, rope_parameters=rope(1e6), rms_norm_eps=1e-5, head_dim=32),
        more={**RMS, **WIDE, "rope.freq_base": 1e6},
    ),
    "gemma2": case(
        "gemma2",
        of(
            tf.Gemma2Config,
            head_dim=32,
            query_pre_attn_scalar=32,
            attn_logit_softcapping=20.0,
            final_logit_softcapping=10.0,
            sliding_window=6,
            rms_norm_eps=1e-5,
        ),
        layout=raised,
        message="query scalar",
        more={
            **RMS,
            **WIDE,
            "attn_logit_softcapping": 20.0,
            "final_logit_softcapping": 10.0,
            "attention.sliding_window": 6,
        },
    ),
    "gemma3": case(
        "gemma3",
        of(
            tf.Gemma3TextConfig,
            head_dim=32,
            query_pre_attn_scalar=32,
            sliding_window=6,
            num_hidden_layers=7,
            rms_norm_eps=1e-5,
        ),
        layout=raised,
        message="query scalar",
        more={**RMS, **WIDE, "attention.sliding_window": 6, "rope.freq_base": 1e6},
    ),
    "phi3": case(
        "phi3",
        of(
            tf.Phi3Config,
            rope_parameters=rope(1e4),
            original_max_position_embeddings=128,
            rms_norm_eps=1e-5,
            sliding_window=6,
        ),
        more={**RMS, "rope.freq_base": 1e4, "rope.dimension_count": 16, "attention.sliding_window": 6},
    ),
    "phi3 with two sets of factors": case(
        "phi3",
        of(
            tf.Phi3Config,
            original_max_position_embeddings=32,
            rms_norm_eps=1e-5,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 1e4,
                "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
                "long_factor": [1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 9.0, 9.5],
                "original_max_position_embeddings": 32,
                "factor": 4.0,
            },
        ),
        more={
            **RMS,
            "rope.freq_base": 1e4,
            "rope.dimension_count": 16,
            "rope.scaling.original_context_length": 32,
            "rope.scaling.attn_factor": 1.1832159566199232,
        },
    ),
    "stablelm": case(
        "stablelm",
        of(tf.StableLmConfig, rope_parameters=rope(1e4, partial_rotary_factor=0.5)),
        more={**NORM, "rope.freq_base": 1e4, "rope.dimension_count": 8, "use_parallel_residual": False},
    ),
    "nemotron": case(
        "nemotron",
        of(tf.NemotronConfig, rope_parameters=rope(1e4, partial_rotary_factor=0.25)),
        layout=raised,
        more={**NORM, "rope.freq_base": 1e4, "rope.dimension_count": 4},
    ),
    "starcoder2": case(
        "starcoder2",
        of(tf.Starcoder2Config, rope_parameters=rope(1e6), sliding_window=None),
        more={**NORM, "rope.freq_base": 1e6},
    ),
    "gpt2": Case(
        architecture="gpt2",
        config=lambda: tf.GPT2Config(
            **{key: SHAPE[key] for key in ("vocab_size", "initializer_range", "bos_token_id", "eos_token_id")},
            n_embd=64,
            n_layer=3,
            n_head=4,
            n_positions=128,
            n_inner=96,
        ),
        keys={
            "context_length": 128,
            "embedding_length": 64,
            "block_count": 3,
            "feed_forward_length": 96,
            "attention.head_count": 4,
            **NORM,
        },
        layout=transposed,
    ),
    "bloom": Case(
        architecture="bloom",
        config=lambda: tf.BloomConfig(
            vocab_size=SHAPE["vocab_size"], hidden_size=64, n_layer=3, n_head=4, initializer_range=0.3
        ),
        keys={
            "context_length": 128,
            "embedding_length": 64,
            "block_count": 3,
            "feed_forward_length": 256,
            "attention.head_count": 4,
            "attention.head_count_kv": 4,
            **NORM,
        },
        layout=ungrouped,
    ),
    "falcon": case(
        "falcon",
        of(tf.FalconConfig, multi_query=True, bias=False, intermediate_size=256),
        more={**NORM, "attention.head_count_kv": 1, "rope.freq_base": 1e4},
    ),
    "qwen2moe": case(
        "qwen2moe",
        of(
            tf.Qwen2MoeConfig,
            rope_parameters=rope(1e6),
            rms_norm_eps=1e-5,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=48,
        ),
        layout=squeezed,
        more={
            **RMS,
            "rope.freq_base": 1e6,
            "expert_count": 4,
            "expert_used_count": 2,
            "expert_feed_forward_length": 32,
            "expert_shared_feed_forward_length": 48,
        },
    ),
    "qwen3moe": case(
        "qwen3moe",
        of(
            tf.Qwen3MoeConfig,
            rope_parameters=rope(1e6),
            rms_norm_eps=1e-5,
            head_dim=32,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            norm_topk_prob=True,
        ),
        more={
            **RMS,
            **WIDE,
            "rope.freq_base": 1e6,
            "expert_count": 4,
            "expert_used_count": 2,
            "expert_feed_forward_length": 32,
        },
    ),
    "minimax-m2": case(
        "minimax-m2",
        of(
            tf.MiniMaxM2Config,
            head_dim=32,
            rotary_dim=16,
            num_local_experts=4,
            num_experts_per_tok=2,
            rms_norm_eps=1e-5,
        ),
        more={
            **RMS,
            **WIDE,
            "rope.freq_base": 5e6,
            "rope.dimension_count": 16,
            "expert_count": 4,
            "expert_used_count": 2,
            "expert_gating_func": 2,
            "expert_feed_forward_length": 96,
        },
    ),
    "lfm2": case(
        "lfm2",
        of(
            tf.Lfm2Config,
            rope_parameters=rope(1e6),
            layer_types=["conv", "full_attention", "conv"],
            block_auto_adjust_ff_dim=False,
            norm_eps=1e-5,
        ),
        layout=squeezed,
        more={**RMS, "rope.freq_base": 1e6, "shortconv.l_cache": 3, "attention.head_count_kv": [0, 2, 0]},
    ),
    "qwen35": case(
        "qwen35",
        of(
            tf.Qwen3_5TextConfig,
            num_hidden_layers=4,
            head_dim=32,
            rms_norm_eps=1e-5,
            full_attention_interval=4,
            linear_conv_kernel_dim=4,
            linear_key_head_dim=16,
            linear_value_head_dim=16,
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            rope_parameters=rope(1e7, mrope_section=[2, 1, 1], mrope_interleaved=True, partial_rotary_factor=0.25),
        ),
        layout=qwen35,
        more={
            **RMS,
            **WIDE,
            "rope.freq_base": 1e7,
            "rope.dimension_count": 8,
            "rope.dimension_sections": [2, 1, 1, 0],
            "full_attention_interval": 4,
            "ssm.conv_kernel": 4,
            "ssm.state_size": 16,
            "ssm.group_count": 2,
            "ssm.time_step_rank": 2,
            "ssm.inner_size": 32,
        },
    ),
    "mamba": Case(
        architecture="mamba",
        config=lambda: tf.MambaConfig(
            vocab_size=SHAPE["vocab_size"], hidden_size=64, num_hidden_layers=2, state_size=8, bos_token_id=1
        ),
        keys={
            "context_length": 1 << 20,
            "embedding_length": 64,
            "block_count": 2,
            "feed_forward_length": 0,
            "attention.head_count": 0,
            "ssm.conv_kernel": 4,
            "ssm.state_size": 8,
            "ssm.time_step_rank": 4,
            "ssm.inner_size": 128,
            **RMS,
        },
        layout=mamba,
    ),
}
