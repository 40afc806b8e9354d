#!/bin/sh
# TransformerLens 4.3.0 under transformers 5.24.0 leaves kept keys and values out, without a word (seen on 2026-11-29, CPU).
#
# transformers 5.24 renamed past_key_values to cache in every forward (the old name works until 5.40). The bridge's attention
# looks for the old name only: a cache that is handed to a pass stays empty, tokens behind it attend to themselves alone, and
# the bridge's own generate with its cache (the default) goes on otherwise than without. Under transformers 5.23.0 both are
# right. `generate(..., use_past_kv_cache=False)` and whole passes are right under both.
#
# Exit code 0: it is still so. 1: it has changed (good news; engine/models/kv_cache.py may be needed no more).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 transformers==5.24.0 transformer-lens==4.3.0
cat > "$folder/seen.py" <<'PYTHON'
import sys
import warnings

warnings.simplefilter("ignore")
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformer_lens.model_bridge import TransformerBridge
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

torch.manual_seed(0)
words = {f"w{number}": number for number in range(100)}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w0", eos_token="w1").save_pretrained("model")
config = LlamaConfig(
    vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, initializer_range=0.3, bos_token_id=None, eos_token_id=1,
)
LlamaForCausalLM(config).save_pretrained("model")
bridge = TransformerBridge.boot_transformers("model", device="cpu", dtype=torch.float32)
bridge.eval()
tokens = torch.randint(2, 100, (1, 12))
kept = DynamicCache()
with torch.no_grad():
    whole = bridge(tokens)[:, -1]
    bridge(tokens[:, :8], past_key_values=kept, use_cache=True)
    length = kept.get_seq_length()
    after = bridge(tokens[:, 8:], past_key_values=kept, use_cache=True)[:, -1]
    error = float((whole - after).abs().max())
    same = 0
    for prompt in torch.randint(2, 100, (10, 1, 6)):
        texts = [
            bridge.generate(prompt, max_new_tokens=8, do_sample=False, stop_at_eos=False, verbose=False,
                            return_type="tokens", use_past_kv_cache=cached)
            for cached in (True, False)
        ]
        same += bool(torch.equal(*texts))
found = f"{length} of 8 positions kept, logits off by {error:.4f}, {same} of 10 generated alike with and without"
print(f"transformers {transformers.__version__}, TransformerLens 4.3.0: {found}")
broken = length == 0 and error > 0.01 and same < 10
right = length == 8 and error < 1e-3 and same == 10
sys.exit(0 if (broken if transformers.__version__ == "5.24.0" else right) else 1)
PYTHON
cd "$folder"
venv/bin/python seen.py 2>/dev/null
venv/bin/python -m pip install --quiet --disable-pip-version-check transformers==5.23.0
rm -r model
venv/bin/python seen.py 2>/dev/null
