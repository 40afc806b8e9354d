"""Kept keys and values: how a model of transformers is handed them, whatever its version calls them."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

_NEW = "cache"
"""The argument's name from transformers 5.24 on; before, and in TransformerLens 4.3, it is `past_key_values`."""
_OLD = "past_key_values"


def cache_argument(model: Any) -> str:
    """The name under which this model of transformers takes kept keys and values."""
    try:
        taken = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return _OLD
    return _NEW if _NEW in taken and _OLD not in taken else _OLD


def hand_on_cache(bridge: Any) -> None:
    """Has the bridge's attention read kept keys and values under their new name as well.

    It looks for the old name only, and where it finds none attends to the tokens at hand alone, without a word.
    """
    for module in bridge.modules():
        update = getattr(module, "_update_kv_cache", None)
        if not callable(update):
            continue
        vars(module)["_update_kv_cache"] = _with_either_name(update)
        # Some (latent attention) look for it themselves, in their forward.
        code = getattr(type(module).forward, "__code__", None)
        if code is not None and _OLD in code.co_consts:
            module.register_forward_pre_hook(_rename, with_kwargs=True)


def _with_either_name(update: Callable[..., Any]) -> Callable[..., Any]:
    def either(keys: Tensor, values: Tensor, **given: Any) -> Any:
        kept = given.pop(_NEW, None)
        if kept is not None and given.get(_OLD) is None:
            given[_OLD] = kept
        return update(keys, values, **given)

    return either


def _rename(_module: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if given.get(_NEW) is not None and given.get(_OLD) is None:
        given = {**given, _OLD: given[_NEW]}
        del given[_NEW]
    return args, given


def cache_error(bridge: Any, tokens: Int[Tensor, "row position"], split: int) -> float:
    """The largest difference of the last logits between a whole pass and one that goes on from kept keys and values.

    Infinite where the first `split` tokens leave none, or where the model takes none.
    """
    from transformers import DynamicCache

    name, kept = cache_argument(bridge.original_model), DynamicCache()
    with torch.no_grad():
        whole = bridge(tokens)[:, -1]
        bridge(tokens[:, :split], use_cache=True, **{name: kept})
        if kept.get_seq_length() != split:
            return float("inf")
        after = bridge(tokens[:, split:], use_cache=True, **{name: kept})[:, -1]
    return float((whole - after).abs().max())


def main() -> None:
    """Prints the largest error with kept keys and values of the bundled model, and of a small random one with rotary
    positions and grouped queries: `headcode doctor` asks for it, in a process of its own."""
    import transformers
    from transformer_lens.model_bridge import TransformerBridge

    from engine.catalog.local_models import BUNDLED
    from engine.models.loading import load_model

    bundled = load_model(BUNDLED, Path(), torch.device("cpu"))
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=bundled.info.vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    rotary = TransformerBridge.boot_transformers(
        str(bundled.folder),
        hf_model=transformers.LlamaForCausalLM(config).eval(),
        tokenizer=bundled.tokenizer,
        device="cpu",
    )
    hand_on_cache(rotary)
    tokens = torch.arange(2 * 12).view(2, 12) * 7 % bundled.info.vocabulary
    sys.stdout.write(f"{max(cache_error(bridge, tokens, 8) for bridge in (bundled.bridge, rotary)):.1e}\n")


if __name__ == "__main__":
    main()
