"""The key-value cache of transformers models, under whichever name their version takes it."""

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
    """Return the name of the cache argument of this transformers model."""
    try:
        taken = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return _OLD
    return _NEW if _NEW in taken and _OLD not in taken else _OLD


def hand_on_cache(bridge: Any) -> None:
    """Make the bridge's attention read the cache under its new name as well.

    It looks for the old name only, and otherwise attends to the current tokens only, without an error.
    """
    for module in bridge.modules():
        update = getattr(module, "_update_kv_cache", None)
        if not callable(update):
            continue
        vars(module)["_update_kv_cache"] = _with_either_name(update)
        # Some modules (latent attention) look for it in their own forward.
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
    """Return the largest difference of the last logits between a whole pass and one that continues from a cache.

    Infinite if the first `split` tokens leave no cache, or if the model takes none.
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
    """Print the largest error with a cache of the bundled model and of a small random rotary model.

    The latter has rotary positions and grouped queries. `headcode doctor` runs this in a process of its own.
    """
    from engine.models.light_imports import import_bridge

    import_bridge()
    import transformers
    from transformer_lens.model_bridge import TransformerBridge

    from engine.catalog.local_models import BUNDLED
    from engine.config import LoadOptions
    from engine.models.loading import load_model

    bundled = load_model(BUNDLED, Path(), LoadOptions(device="cpu"))
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
