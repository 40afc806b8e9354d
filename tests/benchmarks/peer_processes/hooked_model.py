"""A HookedTransformer (TransformerLens 2) of a GPT-2 or Llama folder, whatever its width."""

import json
from pathlib import Path

import torch


def load(folder: str) -> torch.nn.Module:
    """Return the model in evaluation mode, weights as they are in the folder (nothing folded or centred)."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights, convert_llama_weights
    from transformers import AutoModelForCausalLM

    own = json.loads((Path(folder) / "config.json").read_text())
    if own["model_type"] == "gpt2":
        convert = convert_gpt2_weights
        fields = {
            "n_layers": own["n_layer"], "d_model": own["n_embd"], "n_heads": own["n_head"],
            "d_head": own["n_embd"] // own["n_head"], "d_mlp": own["n_inner"] or 4 * own["n_embd"],
            "n_ctx": own["n_positions"], "d_vocab": own["vocab_size"], "eps": own["layer_norm_epsilon"],
            "act_fn": "gelu_new", "normalization_type": "LN",
        }  # fmt: skip
    else:
        convert = convert_llama_weights
        rope = own.get("rope_parameters") or {"rope_theta": own["rope_theta"]}
        fields = {
            "n_layers": own["num_hidden_layers"], "d_model": own["hidden_size"], "n_heads": own["num_attention_heads"],
            "d_head": own["head_dim"], "d_mlp": own["intermediate_size"], "n_ctx": 256, "d_vocab": own["vocab_size"],
            "eps": own["rms_norm_eps"], "act_fn": own["hidden_act"], "normalization_type": "RMS", "final_rms": True,
            "n_key_value_heads": own["num_key_value_heads"], "gated_mlp": True, "rotary_dim": own["head_dim"],
            "positional_embedding_type": "rotary", "rotary_base": int(rope["rope_theta"]),
            "rotary_adjacent_pairs": False,
        }  # fmt: skip
    config = HookedTransformerConfig(**fields, device="cpu", dtype=torch.float32)
    model = HookedTransformer(config)
    plain = AutoModelForCausalLM.from_pretrained(folder).float()
    model.load_and_process_state_dict(
        convert(plain, config), fold_ln=False, center_writing_weights=False, center_unembed=False,
        fold_value_biases=False,
    )  # fmt: skip
    return model.eval()
