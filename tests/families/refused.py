"""Families that Headcode refuses, with the error's words, and architectures that no test makes a model of."""

from .build import SHAPE, Family
from .models import EXPERTS, FALCON, GPT2, MAMBA, WINDOW

_LAYERS = "attention heads in .* layers"
_TORCHVISION = "needs the optional torchvision library"
_BY_DEPTH = {
    "depth": 1,
    "hidden_size": 32,
    "num_heads": 4,
    "intermediate_size": 48,
    "patch_size": 14,
    "out_hidden_size": 32,
}
_HEADLESS = {"hidden_size": 32, "num_hidden_layers": 2}

REFUSED: dict[str, tuple[Family, str]] = {
    "bamba": (Family("BambaConfig", {**MAMBA, "mamba_chunk_size": 16, "attn_layer_indices": [1]}), _LAYERS),
    "jamba": (
        Family(
            "JambaConfig",
            {
                "num_experts": 2,
                "num_experts_per_tok": 1,
                "mamba_d_state": 8,
                "mamba_dt_rank": 4,
                "use_mamba_kernels": False,
                "attn_layer_period": 2,
                "attn_layer_offset": 1,
            },
        ),
        _LAYERS,
    ),
    "lfm2": (Family("Lfm2Config", {"layer_types": ["full_attention", "conv", "full_attention"]}), _LAYERS),
    "lfm2_moe": (
        Family(
            "Lfm2MoeConfig",
            {"layer_types": ["full_attention", "conv", "full_attention"], "num_dense_layers": 1, **EXPERTS},
        ),
        _LAYERS,
    ),
    "nemotron_h": (
        Family(
            "NemotronHConfig",
            {
                "mamba_num_heads": 4,
                "mamba_head_dim": 16,
                "ssm_state_size": 8,
                "n_groups": 1,
                "chunk_size": 16,
                "head_dim": 8,
                "layers_block_type": ["mamba", "attention", "mamba"],
            },
        ),
        _LAYERS,
    ),
    "olmo_hybrid": (
        Family("OlmoHybridConfig", {"layer_types": ["linear_attention", "linear_attention", "full_attention"]}),
        _LAYERS,
    ),
    "qwen3_next": (
        Family(
            "Qwen3NextConfig",
            {
                **EXPERTS,
                "head_dim": 12,
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
                "linear_key_head_dim": 8,
                "linear_value_head_dim": 8,
                "shared_expert_intermediate_size": 24,
                "layer_types": ["linear_attention", "linear_attention", "full_attention"],
            },
        ),
        _LAYERS,
    ),
    "recurrent_gemma": (
        Family("RecurrentGemmaConfig", {"lru_width": 32, "attention_window_size": WINDOW}),
        _LAYERS,
    ),
    "qwen3_5": (
        Family(
            "Qwen3_5TextConfig",
            {
                "head_dim": 12,
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
                "linear_key_head_dim": 8,
                "linear_value_head_dim": 8,
                "layer_types": ["linear_attention", "linear_attention", "full_attention"],
            },
        ),
        _LAYERS,
    ),
    "qwen3_5_moe": (
        Family(
            "Qwen3_5MoeTextConfig",
            {
                **EXPERTS,
                "head_dim": 12,
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
                "linear_key_head_dim": 8,
                "linear_value_head_dim": 8,
                "shared_expert_intermediate_size": 24,
                "layer_types": ["linear_attention", "linear_attention", "full_attention"],
            },
        ),
        _LAYERS,
    ),
    "zamba2": (
        Family(
            "Zamba2Config",
            {
                "layers_block_type": ["mamba", "hybrid", "mamba"],
                "mamba_d_state": 8,
                "n_mamba_heads": 4,
                "chunk_size": 16,
                "num_key_value_heads": 4,
            },
        ),
        _LAYERS,
    ),
    "codegen": (
        Family(
            "CodeGenConfig",
            {"rotary_dim": 4},
            shape=GPT2,
        ),
        "cannot be loaded: 'CodeGenAttention' object",
    ),
    "gpt_bigcode_own_keys": (
        Family(
            "GPTBigCodeConfig",
            {"multi_query": False},
            shape=GPT2,
        ),
        "only supports multi_query=True",
    ),
    "mamba": (Family("MambaConfig", {"state_size": 4}, shape=_HEADLESS), _LAYERS),
    "mamba2": (
        Family(
            "Mamba2Config",
            {"state_size": 4, "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 16},
            shape=_HEADLESS,
        ),
        _LAYERS,
    ),
    "falcon_mamba": (Family("FalconMambaConfig", {"state_size": 4}, shape=_HEADLESS), _LAYERS),
    "rwkv": (Family("RwkvConfig", {"context_length": 64}, shape=_HEADLESS), _LAYERS),
    "jetmoe": (Family("JetMoeConfig", {"kv_channels": 8, "num_local_experts": 4}), _LAYERS),
    "laguna_by_layer": (
        Family("LagunaConfig", {**EXPERTS, "head_dim": 12, "num_attention_heads_per_layer": [4, 6, 4]}),
        "heads",
    ),
    "hrm_text": (Family("HrmTextConfig", {"head_dim": 8}), "num_hidden_layers"),
    "deepseek4": (
        Family("DeepseekV4Config", {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}),
        _LAYERS,
    ),
    "qwen2_5_vl": (Family("Qwen2_5_VLConfig", images=_BY_DEPTH), _TORCHVISION),
    "qwen3_vl": (Family("Qwen3VLConfig", {"head_dim": 8}, images=_BY_DEPTH), _TORCHVISION),
    "qwen3_vl_moe": (Family("Qwen3VLMoeConfig", {**EXPERTS, "head_dim": 8}, images=_BY_DEPTH), _TORCHVISION),
    "glm4v": (Family("Glm4vConfig", images={**_BY_DEPTH, "image_size": 28}), _TORCHVISION),
    "bert": (
        Family("BertConfig", shape={key: size for key, size in SHAPE.items() if key != "num_key_value_heads"}),
        "reads a prompt in both directions",
    ),
    "falcon_alibi": (
        Family(
            "FalconConfig",
            {"num_kv_heads": 2, "new_decoder_architecture": True, "alibi": True, "bias": True},
            shape=FALCON,
        ),
        "new decoder with ALiBi",
    ),
}

ELSEWHERE = {
    "their code is on the hub, not in transformers": (
        "BaiChuanForCausalLM BaichuanForCausalLM BD3LM DreamModel ExaoneForCausalLM GiddForDiffusionLM "
        "HyenaDNAForCausalLM InternLM2ForCausalLM LLaDA2MoeModelLM LLaDAModelLM OpenELMForCausalLM OuroForCausalLM "
        "QwenForCausalLM RavenForCausalLM RWKV7ForCausalLM"
    ),
    "TransformerLens's own formats and teaching models, which transformers does not build": (
        "GPT2LMHeadCustomModel MinGPTForCausalLM NanoGPTForCausalLM NeelSoluOldForCausalLM TransformerLensNative "
        "TransformerLensPretrain"
    ),
    "other names of an architecture that is tested": (
        "BloomModel Gemma1ForCausalLM JetMoEForCausalLM MPTForCausalLM NeoForCausalLM NeoXForCausalLM PhiMoEForCausalLM"
    ),
    "an encoder, or an encoder with a decoder: no prompt that the next token follows": (
        "BartForConditionalGeneration BertForMaskedLM BlenderbotForConditionalGeneration "
        "LEDForConditionalGeneration LongT5ForConditionalGeneration M2M100ForConditionalGeneration MarianMTModel "
        "MBartForConditionalGeneration MT5ForConditionalGeneration PegasusForConditionalGeneration RobertaForMaskedLM "
        "SwitchTransformersForConditionalGeneration T5ForConditionalGeneration T5WithLMHeadModel "
        "T5GemmaForConditionalGeneration T5Gemma2ForConditionalGeneration"
    ),
    "reads images or sound, and its text is not of one of the forms above": (
        "ASTForAudioClassification AudioFlamingo3ForConditionalGeneration DeiTForImageClassification DeiTModel "
        "Emu3ForConditionalGeneration Florence2ForConditionalGeneration "
        "Gemma3nForConditionalGeneration Gemma4UnifiedForConditionalGeneration "
        "GlmAsrForConditionalGeneration HubertForCTC HubertModel "
        "Llama4ForConditionalGeneration "
        "MuseGlimmerForConditionalGeneration MusicFlamingoForConditionalGeneration "
        "Qwen2AudioForConditionalGeneration "
        "Qwen3_5ForConditionalGeneration Qwen3_5MoeForConditionalGeneration ViTForImageClassification ViTModel "
        "Wav2Vec2ForCTC Wav2Vec2ForPreTraining Wav2Vec2Model"
    ),
}
