#!/bin/sh
# transformers 5.24.0 reads some GGUF files as other models, without a word (seen on 2026-11-29, CPU).
#
# - A Llama 3 file states its scaled positions in the tensor rope_freqs.weight, by which frequencies are divided. It is left
#   out: the loaded model has plain positions (rope_type "default"), and none of the messages says so.
# - A Gemma 2 file states its caps under gemma2.attn_logit_softcapping and gemma2.final_logit_softcapping. They are not read:
#   20 and 10 become the class's 50 and 30.
# - A StableLM file states how much of a head is turned under stablelm.rope.dimension_count. It is not read either: half of a
#   head becomes a quarter.
#
# Exit code 0: it is still so. 1: it has changed, and what Headcode carries over by itself may be in the way.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 transformers==5.24.0 gguf==0.19.0 accelerate==1.15.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import gguf
import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, Gemma2Config, LlamaConfig, StableLmConfig

TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
SMALL = {
    "vocab_size": len(TOKENS), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3, "tie_word_embeddings": False,
}


def write(path, model, architecture, keys, extra=()):
    config = model.config
    number = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture)
    names = gguf.get_tensor_name_map(number, config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(48)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_vocab_size(len(TOKENS))
    for key, value in keys.items():
        (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(f"{architecture}.{key}", value)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types([2, 3, 3, *[6] * 256])
    for name, tensor in model.state_dict().items():
        stem, kind = name.rsplit(".", 1)
        values = tensor.float().numpy()
        if architecture == "llama" and stem.endswith(("q_proj", "k_proj")):
            values = values.reshape(2, 2, 8, 32).swapaxes(1, 2).reshape(32, 32)
        if architecture == "gemma2" and name.endswith("norm.weight"):
            values = values + 1
        writer.add_tensor(f"{names.get_name(stem)}.{kind}", np.ascontiguousarray(values))
    for name, values in extra:
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


seen = []
torch.manual_seed(0)
tokens = torch.randint(3, 259, (1, 60))
scaling = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 16}
source = AutoModelForCausalLM.from_config(LlamaConfig(**SMALL, rms_norm_eps=1e-5, rope_parameters=scaling)).eval()
plain_config = LlamaConfig(**SMALL, rms_norm_eps=1e-5)
plain = AutoModelForCausalLM.from_config(plain_config).eval()
plain.load_state_dict(source.state_dict())
factors = (plain.model.rotary_emb.inv_freq / source.model.rotary_emb.inv_freq).numpy()
keys = {"rope.freq_base": 10000.0, "attention.layer_norm_rms_epsilon": 1e-5, "rope.dimension_count": 16}
write("llama.gguf", source, "llama", keys, [("rope_freqs.weight", factors)])
loaded = AutoModelForCausalLM.from_pretrained(".", gguf_file="llama.gguf", dtype=torch.float32).eval()
with torch.no_grad():
    found, wanted, without = loaded(tokens).logits, source(tokens).logits, plain(tokens).logits
kind = loaded.config.rope_parameters["rope_type"]
print(f"llama: rope_freqs.weight runs from {factors.min():.1f} to {factors.max():.1f}; loaded as rope_type {kind!r}")
print(f"llama: logits off the source by {(found - wanted).abs().max():.3f}, off plain positions by "
      f"{(found - without).abs().max():.6f}")
seen.append(kind == "default" and float((found - wanted).abs().max()) > 0.1)
seen.append(float((found - without).abs().max()) < 1e-3)

gemma = Gemma2Config(**SMALL | {"tie_word_embeddings": True}, head_dim=16)
keys = {"attention.layer_norm_rms_epsilon": 1e-6, "attention.key_length": 16, "attn_logit_softcapping": 20.0,
        "final_logit_softcapping": 10.0}
write("gemma2.gguf", AutoModelForCausalLM.from_config(gemma), "gemma2", keys)
config = AutoConfig.from_pretrained(".", gguf_file="gemma2.gguf")
caps = (config.attn_logit_softcapping, config.final_logit_softcapping)
print(f"gemma2: caps of 20 and 10 in the file; loaded as {caps[0]:g} and {caps[1]:g}")
seen.append(caps == (50.0, 30.0))

stable = AutoModelForCausalLM.from_config(StableLmConfig(**SMALL))
write("stablelm.gguf", stable, "stablelm", {"attention.layer_norm_epsilon": 1e-5, "rope.dimension_count": 8})
config = AutoConfig.from_pretrained(".", gguf_file="stablelm.gguf")
share = config.rope_parameters["partial_rotary_factor"]
print(f"stablelm: 8 of 16 dimensions are turned in the file; loaded as {share:g} of a head")
seen.append(share == 0.25)

print(f"transformers {transformers.__version__}, gguf 0.19.0:", "as described" if all(seen) else f"changed: {seen}")
sys.exit(0 if all(seen) else 1)
PYTHON
