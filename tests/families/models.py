"""Tiny random models of the attention families that transformers builds and TransformerBridge supports.

Each is made so that whatever the family has matters: biases, gains, caps, windows, multipliers, experts. Headcode
computes these; tests/families/refused.py has those that it refuses.
"""

from ..engine.plain import AfterAttention
from .build import SHAPE, Family

WINDOW = 6
"""Tokens that a head of a windowed layer sees; the prompts of the tests are longer."""
_OWN_HEADS = {**SHAPE, "num_key_value_heads": 4}
GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
_BIASES = {"attention_bias": True, "mlp_bias": True}
_SLIDING = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 24}
_LATENT = {"kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 12}
_GRANITE = {
    "residual_multiplier": 0.4,
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.3,
    "logits_scaling": 2.0,
    "attention_bias": True,
}
MAMBA = {"mamba_d_state": 8, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_expand": 2, "mamba_n_groups": 1}
_BEFORE_MLP = AfterAttention(middle="pre_feedforward_layernorm", norm="post_attention_layernorm", offset=1.0)
_OLMO2 = AfterAttention(middle="mlp", norm="post_attention_layernorm")
_PARALLEL = AfterAttention(middle=None)
_BEFORE_LN2 = AfterAttention(middle="ln_2")
_OWN_SIZES = {key: size for key, size in SHAPE.items() if key != "num_key_value_heads"}
_OPT = {**{key: size for key, size in _OWN_SIZES.items() if key != "intermediate_size"}, "ffn_dim": 48}
FALCON = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
_BLOOM = {"hidden_size": 32, "n_layer": 3, "n_head": 4}


IMAGES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}


FAMILIES = {
    "afmoe": Family(
        "AfmoeConfig",
        {
            **EXPERTS,
            **_SLIDING,
            "head_dim": 12,
            "num_shared_experts": 1,
            "num_dense_layers": 1,
            "mup_enabled": True,
            "route_scale": 1.5,
        },
        AfterAttention(middle="pre_mlp_layernorm", norm="post_attention_layernorm"),
    ),
    "apertus": Family("ApertusConfig", {"attention_bias": True}, AfterAttention(middle="feedforward_layernorm")),
    "arcee": Family("ArceeConfig", {**_BIASES, "head_dim": 12}),
    "bert_decoder": Family(
        "BertConfig", {"is_decoder": True}, AfterAttention(middle="attention.output.LayerNorm"), _OWN_SIZES
    ),
    "bitnet": Family("BitNetConfig", {"attention_bias": True}),
    "bloom": Family("BloomConfig", shape=_BLOOM),
    "bloom_post_norm": Family(
        "BloomConfig",
        {"apply_residual_connection_post_layernorm": True},
        AfterAttention(before="input_layernorm"),
        _BLOOM,
    ),
    "cohere": Family("CohereConfig", {"attention_bias": True, "use_qk_norm": True, "logit_scale": 0.25}, _PARALLEL),
    "cohere2": Family("Cohere2Config", {**_SLIDING, "attention_bias": True, "logit_scale": 0.25}, _PARALLEL),
    "deepseek": Family(
        "DeepseekV2Config",
        {**_ROUTED, **_LATENT, "q_lora_rank": None, "first_k_dense_replace": 3, "num_key_value_heads": 4},
    ),
    "deepseek_experts": Family(
        "DeepseekV2Config",
        {**_ROUTED, **_LATENT, "q_lora_rank": 12, "first_k_dense_replace": 1, "attention_bias": True},
        shape=_OWN_HEADS,
    ),
    "deepseek3": Family(
        "DeepseekV3Config",
        {**_ROUTED, **_LATENT, "q_lora_rank": 12, "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1}
        | {"attention_bias": True},
        shape=_OWN_HEADS,
    ),
    "ernie4_5": Family("Ernie4_5Config", {"use_bias": True, "head_dim": 12}),
    "ernie4_5_moe": Family(
        "Ernie4_5_MoeConfig",
        {"use_bias": True, "moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 24, "moe_num_shared_experts": 1},
    ),
    "exaone4": Family("Exaone4Config", {**_SLIDING, "head_dim": 12}, _OLMO2),
    "falcon": Family(
        "FalconConfig",
        {"num_kv_heads": 2, "new_decoder_architecture": True, "alibi": False, "bias": True},
        _PARALLEL,
        FALCON,
    ),
    "falcon_ungrouped": Family(  # as many keys as queries, which TransformerLens divides wrongly without complaint
        "FalconConfig",
        {"num_kv_heads": 4, "multi_query": False, "new_decoder_architecture": True, "alibi": False, "bias": True},
        _PARALLEL,
        FALCON,
    ),
    "falcon_7b": Family(
        "FalconConfig",
        {"multi_query": True, "parallel_attn": True, "alibi": False, "bias": True},
        _PARALLEL,
        FALCON,
    ),
    "falcon_rw": Family(
        "FalconConfig",
        {"multi_query": False, "parallel_attn": False, "alibi": True, "bias": True},
        shape=FALCON,
    ),
    "falcon_h1": Family(
        "FalconH1Config",
        {
            **MAMBA,
            **_BIASES,
            "mamba_d_ssm": 64,
            "attention_in_multiplier": 0.7,
            "attention_out_multiplier": 0.6,
            "ssm_out_multiplier": 0.8,
            "key_multiplier": 0.5,
            "lm_head_multiplier": 0.7,
            "embedding_multiplier": 2.0,
            "mamba_chunk_size": 16,
        },
        AfterAttention(middle="pre_ff_layernorm", factor=0.6, beside=("mamba", 0.8)),
    ),
    "flex_olmo": Family("FlexOlmoConfig", {"num_experts": 4, "num_experts_per_tok": 2, "attention_bias": True}, _OLMO2),
    "gemma": Family("GemmaConfig", {"head_dim": 12, "attention_bias": True}),
    "gemma2": Family(
        "Gemma2Config",
        {
            **_SLIDING,
            "head_dim": 12,
            "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 5.0,
            "attention_bias": True,
        },
        _BEFORE_MLP,
    ),
    "gemma3": Family(
        "Gemma3TextConfig",
        {**_SLIDING, "head_dim": 12, "query_pre_attn_scalar": 16, "final_logit_softcapping": 5.0},
        _BEFORE_MLP,
    ),
    "gemma4": Family(  # heads of 8 in windows, of 16 elsewhere; the last two layers read keys of earlier ones
        "Gemma4TextConfig",
        {
            "num_hidden_layers": 4,
            "head_dim": 8,
            "global_head_dim": 16,
            "sliding_window": WINDOW,
            "hidden_size_per_layer_input": 8,
            "num_kv_shared_layers": 2,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "final_logit_softcapping": 5.0,
        },
        AfterAttention(middle="pre_feedforward_layernorm", norm="post_attention_layernorm"),
    ),
    "gemma3_images": Family(
        "Gemma3Config",
        {**_SLIDING, "head_dim": 12, "query_pre_attn_scalar": 16},
        _BEFORE_MLP,
        images=IMAGES,
    ),
    "gemma4_images": Family(
        "Gemma4Config",
        {
            "num_hidden_layers": 4,
            "head_dim": 8,
            "global_head_dim": 16,
            "sliding_window": WINDOW,
            "hidden_size_per_layer_input": 8,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
        },
        AfterAttention(middle="pre_feedforward_layernorm", norm="post_attention_layernorm"),
        images={**IMAGES, "head_dim": 8, "num_key_value_heads": 4},
    ),
    "glm": Family("GlmConfig", {"head_dim": 12}),
    "glm4": Family(
        "Glm4Config",
        {"head_dim": 12},
        AfterAttention(middle="post_attention_layernorm", norm="post_self_attn_layernorm"),
    ),
    "glm4_moe": Family(
        "Glm4MoeConfig", {**_ROUTED, "head_dim": 12, "attention_bias": True, "use_qk_norm": True, "num_mtp_layers": 0}
    ),
    "glm4_moe_lite": Family("Glm4MoeLiteConfig", {**_ROUTED, **_LATENT, "q_lora_rank": 12}, shape=_OWN_HEADS),
    "glm_moe_dsa": Family(
        "GlmMoeDsaConfig",
        {**_ROUTED, **_LATENT, "q_lora_rank": 12, "index_topk": 5, "index_head_dim": 16, "index_n_heads": 2},
        shape=_OWN_HEADS,
    ),
    "gpt1": Family("OpenAIGPTConfig", {}, AfterAttention(middle="ln_1"), GPT2),
    "gpt2": Family("GPT2Config", {"scale_attn_by_inverse_layer_idx": True}, _BEFORE_LN2, GPT2),
    "gpt_bigcode": Family("GPTBigCodeConfig", {"multi_query": True}, _BEFORE_LN2, GPT2),
    "gpt_neo": Family(
        "GPTNeoConfig",
        {"attention_types": [[["global", "local"], 2]], "window_size": WINDOW},
        _BEFORE_LN2,
        {"hidden_size": 32, "num_layers": 4, "num_heads": 4, "max_position_embeddings": 64},
    ),
    "gpt_neox": Family(
        "GPTNeoXConfig",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
        _PARALLEL,
        _OWN_SIZES,
    ),
    "gpt_neox_serial": Family("GPTNeoXConfig", {"use_parallel_residual": False}, shape=_OWN_SIZES),
    "gpt_oss": Family("GptOssConfig", {**_SLIDING, "head_dim": 12, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "gptj": Family("GPTJConfig", {"rotary_dim": 4}, _PARALLEL, GPT2),
    "granite": Family("GraniteConfig", {**_GRANITE, "mlp_bias": True}, AfterAttention(factor=0.4)),
    "granite_moe": Family(
        "GraniteMoeConfig", {**_GRANITE, "num_local_experts": 4, "num_experts_per_tok": 2}, AfterAttention(factor=0.4)
    ),
    "granite_moe_hybrid": Family(  # with attention in every layer, as small Granite 4 models have it
        "GraniteMoeHybridConfig",
        {
            **_GRANITE,
            **MAMBA,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 24,
            "layer_types": ["attention"] * 3,
            "position_embedding_type": "rope",
        },
        AfterAttention(factor=0.4),
    ),
    "hunyuan": Family("HunYuanDenseV1Config", {"attention_bias": True, "head_dim": 12}),
    "idefics3": Family("Idefics3Config", {"model_type": "llama"}, images=IMAGES),
    "jais2": Family("Jais2Config", {"head_dim": 12}),
    "laguna": Family(
        "LagunaConfig",
        {**EXPERTS, **_SLIDING, "head_dim": 12, "attention_bias": True, "shared_expert_intermediate_size": 24},
    ),
    "llama": Family("LlamaConfig", {**_BIASES, "head_dim": 12}),
    "llama4": Family(
        "Llama4TextConfig",
        {
            "head_dim": 8,
            "num_local_experts": 4,
            "intermediate_size_mlp": 48,
            "attention_chunk_size": WINDOW,
            "no_rope_layer_interval": 3,
            "floor_scale": 4,
            "attention_bias": True,
            "interleave_moe_layer_step": 2,
        },
    ),
    "llava": Family(
        "LlavaConfig", {**_BIASES, "model_type": "llama"}, images={**IMAGES, "model_type": "clip_vision_model"}
    ),
    "llava_next": Family(
        "LlavaNextConfig", {**_BIASES, "model_type": "llama"}, images={**IMAGES, "model_type": "clip_vision_model"}
    ),
    "llava_onevision": Family(
        "LlavaOnevisionConfig", {"model_type": "qwen2"}, images={**IMAGES, "model_type": "siglip_vision_model"}
    ),
    "minimax_m2": Family("MiniMaxM2Config", {"head_dim": 12, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "ministral3": Family("Ministral3Config", {"head_dim": 12, "sliding_window": WINDOW}),
    "mistral": Family("MistralConfig", {"sliding_window": WINDOW, "head_dim": 12}),
    "mistral3": Family(
        "Mistral3Config",
        {"model_type": "mistral", "sliding_window": WINDOW, "head_dim": 12},
        images={**IMAGES, "model_type": "pixtral"},
    ),
    "mixtral": Family("MixtralConfig", {"sliding_window": WINDOW, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "modernbert_decoder": Family(
        "ModernBertDecoderConfig",
        {
            "attention_bias": True,
            "mlp_bias": True,
            "norm_bias": True,
            "local_attention": WINDOW,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
        },
        AfterAttention(middle="mlp_norm"),
    ),
    "mpt": Family(
        "MptConfig",
        {"attn_config": {"clip_qkv": 0.8, "softmax_scale": 0.5}},
        AfterAttention(middle="norm_2"),
        {"d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 64},
    ),
    "nanochat": Family("NanoChatConfig", {"attention_bias": True, "final_logit_softcapping": 5.0}),
    "nemotron": Family("NemotronConfig", {**_BIASES, "head_dim": 8}),
    "olmo": Family("OlmoConfig", {"clip_qkv": 0.8, "attention_bias": True}),
    "olmo2": Family("Olmo2Config", {"attention_bias": True}, _OLMO2),
    "olmo3": Family("Olmo3Config", {**_SLIDING, "attention_bias": True}, _OLMO2),
    "olmoe": Family(
        "OlmoeConfig", {"num_experts": 4, "num_experts_per_tok": 2, "clip_qkv": 0.8, "attention_bias": True}
    ),
    "opt": Family(
        "OPTConfig",
        {"word_embed_proj_dim": 32},
        AfterAttention(middle="final_layer_norm"),
        _OPT,
    ),
    "opt_post_norm": Family(
        "OPTConfig",
        {"word_embed_proj_dim": 24, "do_layer_norm_before": False},
        AfterAttention(middle="self_attn_layer_norm"),
        _OPT,
    ),
    "phi": Family("PhiConfig", {"qk_layernorm": False}, _PARALLEL, _OWN_HEADS),
    "phi3": Family("Phi3Config", {"sliding_window": WINDOW}),
    "qwen2": Family("Qwen2Config", {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}),
    "qwen2_moe": Family(
        "Qwen2MoeConfig",
        {**EXPERTS, "shared_expert_intermediate_size": 24, "use_sliding_window": True, "sliding_window": WINDOW}
        | {"max_window_layers": 1},
    ),
    "qwen3": Family("Qwen3Config", {"head_dim": 12, "attention_bias": True}),
    "qwen3_moe": Family("Qwen3MoeConfig", {**EXPERTS, "head_dim": 12, "attention_bias": True}),
    "seed_oss": Family("SeedOssConfig", {**_BIASES, "attention_out_bias": True, "head_dim": 12}),
    "smollm3": Family("SmolLM3Config", {**_BIASES, "no_rope_layers": [1, 0, 1]}),
    "stablelm": Family("StableLmConfig", {"use_qkv_bias": True, "qk_layernorm": True}),
    "stablelm_parallel": Family("StableLmConfig", {"use_qkv_bias": True, "use_parallel_residual": True}, _PARALLEL),
    "starcoder2": Family("Starcoder2Config", {"sliding_window": WINDOW}),
    "vaultgemma": Family(
        "VaultGemmaConfig",
        {
            **_SLIDING,
            "head_dim": 12,
            "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 5.0,
            "attention_bias": True,
        },
        AfterAttention(middle="pre_feedforward_layernorm"),
    ),
    "xglm": Family(
        "XGLMConfig",
        {"ffn_dim": 48, "scale_embedding": True},
        AfterAttention(middle="final_layer_norm"),
        {"d_model": 32, "num_layers": 3, "attention_heads": 4, "max_position_embeddings": 64},
    ),
    "youtu": Family("YoutuConfig", {**_LATENT, "q_lora_rank": 12, "attention_bias": True}, shape=_OWN_HEADS),
}
