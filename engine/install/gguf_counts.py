"""Check the counts in a GGUF file's keys against its tensors before anything is built from it. No torch."""

import re
from typing import Any

from engine.catalog.declared_shape import MOST, MOST_LAYERS
from engine.errors import ModelError
from engine.install.gguf_file import GgufFile

_BLOCK = re.compile(r"blk\.(\d{1,9})\.")
_COUNTS = {
    "block_count": 1,
    "embedding_length": 1,
    "context_length": 1,
    "vocab_size": 1,
    "feed_forward_length": 0,
    "attention.head_count": 0,
    "attention.key_length": 0,
    "attention.value_length": 0,
}
"""Keys of the architecture that are counts, and their minimum: a model without attention has 0 heads."""
_ATTENTION = re.compile(r"blk\.\d{1,9}\.attn_(q|qkv)\.weight")
_EMBEDDING = "token_embd.weight"
_HINT = "The file is damaged, or was combined from two models: download it again."


def check_counts(file: GgufFile) -> None:
    """Check every count; layers, width and vocabulary must be those of the file's tensors.

    Raises ModelError with the key, its value and what the file contains.
    """
    for name, value in file.keys.items():
        if name.startswith(f"{file.architecture}."):
            key = name.removeprefix(f"{file.architecture}.")
            _check_number(file, key, value, least=_COUNTS.get(key))
    layers, held = file.key("block_count"), _layers(file)
    ahead = file.key("nextn_predict_layers") or 0  # layers that predict further tokens; many files omit them
    if layers is not None and layers - ahead > held:
        raise _disagrees(file, "block_count", layers, f"it holds the tensors of {held} layers")
    if layers is not None and layers > MOST_LAYERS:
        raise _disagrees(file, "block_count", layers, f"up to {MOST_LAYERS} are read")
    embedding = next((each.shape for each in file.tensors if each.name == _EMBEDDING), ())
    for key, side in (("embedding_length", 1), ("vocab_size", 0)):
        value = file.key(key)
        if value is not None and len(embedding) == 2 and value != embedding[side]:
            shown = " x ".join(map(str, embedding))
            raise _disagrees(file, key, value, f"its {_EMBEDDING} is {shown}")
    width, heads = file.key("embedding_length"), file.key("attention.head_count")
    if heads == 0 and any(_ATTENTION.match(each.name) for each in file.tensors):
        raise _disagrees(file, "attention.head_count", heads, "it holds the tensors of attention")
    if isinstance(width, int) and isinstance(heads, int) and heads > width:
        raise _disagrees(file, "attention.head_count", heads, f"its width is {width}")


def _check_number(file: GgufFile, key: str, value: Any, *, least: int | None) -> None:
    for each in value if isinstance(value, list) else [value]:
        whole = isinstance(each, int) and not isinstance(each, bool)
        if least is not None and not whole:
            raise _disagrees(file, key, each, "that is not a whole number")
        if least is not None and each < least:
            raise _disagrees(file, key, each, f"there must be at least {least}" if least else "it is below 0")
        if whole and abs(each) > MOST:
            raise _disagrees(file, key, each, "that is too large for a model")


def _layers(file: GgufFile) -> int:
    return len({found[1] for each in file.tensors if (found := _BLOCK.match(each.name))})


def _disagrees(file: GgufFile, key: str, value: Any, why: str) -> ModelError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return ModelError(f"{file.path.name} says {file.architecture}.{key} = {shown}, and {why}."[:400], hint=_HINT)
