"""Check the counts in config.json against the tensors in the files before anything is built from it. No torch.

A skeleton of a billion layers takes hours and all memory, so counts are bounded here by what the files contain. Whether
every shape agrees is checked later, on a skeleton without data (engine.install.weights_check).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.catalog.safetensors_headers import TensorHeader, read_headers
from engine.catalog.settings_file import CONFIG, check_other_files, read_settings
from engine.errors import ModelError

LAYERS = frozenset(
    {"num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"}
    | {"num_decoder_layers", "num_encoder_layers"}
)
_WIDTHS = frozenset({"hidden_size", "n_embd", "d_model"})
_HEADS = frozenset({"num_attention_heads", "n_head", "n_heads", "num_heads"})
_VOCABULARY = frozenset({"vocab_size"})
COUNTS = (
    LAYERS
    | _WIDTHS
    | _HEADS
    | _VOCABULARY
    | {"num_key_value_heads", "num_kv_heads", "head_dim", "intermediate_size", "ffn_dim", "d_ff", "n_inner"}
    | {"max_position_embeddings", "n_positions", "n_ctx"}
)
"""Settings that count something a model has at least one of."""
_OF_THE_TEXT = frozenset({"", "text_config", "llm_config", "language_config", "decoder"})
"""Parts of a configuration that describe the language model itself."""
_LOOKS_LIKE_A_COUNT = re.compile(r"(^|_)(num|n|max)_|_(size|dim|rank|heads|layers|experts|groups|positions)$|^dim$")
MOST = 100_000_000
"""Maximum of any count: the longest published context is 10 million tokens, every other number is smaller."""
MOST_LAYERS = 4_096
"""The deepest published models have some hundreds."""
_NUMBERED = re.compile(r"(?:^|\.)(\d{1,9})(?=\.)")
_HINT = "Its settings and its weights belong to different models, or one is damaged: get both from one place."


def check_declared(folder: Path) -> dict[str, Any]:
    """Return the folder's config.json if it can belong to this folder. Reads only the headers of the weights.

    Raises ModelError with the setting, its value and what the files contain.
    """
    config = read_settings(folder / CONFIG)
    check_other_files(folder)
    check_counts(config, read_headers(folder))
    return config


def check_counts(config: Mapping[str, Any], tensors: Mapping[str, TensorHeader]) -> None:
    """Check every count; layers, width and vocabulary must be those of the tensors. Raises ModelError."""
    held = longest_series(tensors) or len(tensors)
    for place, key, value in _settings(config):
        if place.rpartition(".")[2] in _OF_THE_TEXT and key in COUNTS:
            _check_count(place, key, value)
        if key in LAYERS and isinstance(value, int) and value > held:
            raise ModelError(f"{_setting_text(place, key, value)}, and its weights hold {held} layers.", hint=_HINT)
        if key in LAYERS and isinstance(value, int) and value > MOST_LAYERS:
            raise ModelError(
                f"{_setting_text(place, key, value)}; up to {MOST_LAYERS} are read.", hint="No model is so deep."
            )
        if isinstance(value, int | float) and _LOOKS_LIKE_A_COUNT.search(key) and abs(value) > MOST:
            raise ModelError(f"{_setting_text(place, key, value)}; that is too large for a model.", hint=_HINT)
    _check_sides(config, tensors)


def longest_series(tensors: Mapping[str, TensorHeader]) -> int:
    """Return the number of layers the tensors have: the most numbers after one name (h.0 to h.11: 12)."""
    numbers: dict[str, set[str]] = defaultdict(set)
    for name in tensors:
        for found in _NUMBERED.finditer(name):
            numbers[name[: found.start()]].add(found[1])
    return max(map(len, numbers.values()), default=0)


def _settings(config: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield every setting that is not an object, with its path."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{place}.{key}" if place else key)
        else:
            yield place, key, value


def _check_count(place: str, key: str, value: Any) -> None:
    if value is None:
        return
    by_layer = isinstance(value, list) and value and key not in LAYERS | _WIDTHS | _VOCABULARY
    for each in value if by_layer else [value]:
        if isinstance(each, bool) or not isinstance(each, int):
            raise ModelError(f"{_setting_text(place, key, each)}, which is not a whole number.", hint=_HINT)
        if each < 1:
            raise ModelError(f"{_setting_text(place, key, each)}; there must be at least one.", hint=_HINT)


def _check_sides(config: Mapping[str, Any], tensors: Mapping[str, TensorHeader]) -> None:
    """Check that width and vocabulary are sides of some tensor; which tensor differs between families."""
    if "quantization_config" in config or not tensors or _OF_THE_TEXT & {key for key in config if key}:
        return  # packed weights have other shapes; next to a text part, the top-level numbers mean little
    largest = max(sorted(tensors), key=lambda name: tensors[name].n_elements)
    held = f"{largest[:100]} is {' x '.join(map(str, tensors[largest].shape))}"
    sides = {side for tensor in tensors.values() for side in tensor.shape}
    for key in sorted((_WIDTHS | _VOCABULARY) & config.keys()):
        if isinstance(config[key], int) and config[key] not in sides:
            raise ModelError(
                f"{_setting_text('', key, config[key])}, and no tensor of its weights has that side: {held}.",
                hint=_HINT,
            )
    width, heads = (
        next((config[key] for key in sorted(keys & config.keys()) if isinstance(config[key], int)), None)
        for keys in (_WIDTHS, _HEADS)
    )
    if width is not None and heads is not None and heads > width:
        raise ModelError(f"{CONFIG} says {heads} heads in a width of {width}.", hint=_HINT)


def _setting_text(place: str, key: str, value: Any) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"{CONFIG} says {f'{place}.' if place else ''}{key} = {shown}"[:300]
