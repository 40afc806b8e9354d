#!/bin/sh
# TransformerLens 4.3.0 installs torchvision with pip while it loads a model (seen on 2026-11-30, CPU).
#
# boot_transformers on a model that also reads images looks for its preprocessor. Where torchvision is missing, it runs
# `pip install torchvision` (or `uv pip install`, where there is uv) in the environment that the program runs in, without a
# question or a message, unpinned. Without the PIP_NO_DEPS below, the newest torchvision also replaces torch by the version it
# asks for, in the middle of the process that has the other one loaded. Nothing of the model's text needs torchvision.
#
# Exit code 0: it is still so. 1: it has changed (good news; engine/models/text_only.py may be needed no more).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 transformers==5.23.0 transformer-lens==4.3.0
cat > "$folder/seen.py" <<'PYTHON'
import importlib.metadata
import sys
import warnings

warnings.simplefilter("ignore")
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformer_lens.model_bridge import TransformerBridge
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


before = version("torchvision")
words = {f"w{number}": number for number in range(100)}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w0", eos_token="w1").save_pretrained("model")
size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
config = LlavaConfig(
    text_config=LlamaConfig(vocab_size=100, bos_token_id=None, eos_token_id=1, **size),
    vision_config=CLIPVisionConfig(image_size=16, patch_size=8, projection_dim=32, **size),
    image_token_index=99,
)
LlavaForConditionalGeneration(config).save_pretrained("model")
TransformerBridge.boot_transformers("model", device="cpu", dtype=torch.float32)
after = version("torchvision")
print("torchvision before the model was loaded:", before)
print("torchvision after:", after)
sys.exit(0 if before == "not installed" != after else 1)
PYTHON
cd "$folder"
# No dependencies: what it installs stays small, and torch as it is.
PIP_NO_DEPS=1 PATH="$folder/venv/bin:/usr/bin:/bin" "$folder/venv/bin/python" seen.py
# Seen:
# torchvision before the model was loaded: not installed
# torchvision after: 0.29.1
