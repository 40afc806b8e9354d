"""The precision a model is loaded in: what its checkpoint is stored in, and what `auto` means. No torch."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.catalog.safetensors_headers import TensorHeader, read_headers
from engine.config import Dtype, Precision

BYTES: dict[Precision, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of one number."""
_STORED: dict[str, Precision] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""By the names in safetensors files. Everything else (double precision, quantised weights) is loaded in float32."""


def resolve_dtype(asked: Dtype, *, on_cuda: bool, stored: Callable[[], Precision]) -> Precision:
    """Return the precision to load a model in; `auto` is that of its checkpoint on a CUDA GPU, elsewhere float32.

    `stored` is only called if it decides.
    """
    if asked != "auto":
        return asked
    return stored() if on_cuda else "float32"


def stored_precision(folder: Path) -> Precision:
    """Return the precision of most of the checkpoint's weights. Raises ModelError for damaged files."""
    return most_common_precision(read_headers(folder).values())


def most_common_precision(tensors: Iterable[TensorHeader]) -> Precision:
    """Return the precision of most numbers in these tensors."""
    counts: Counter[str] = Counter()
    for tensor in tensors:
        counts[tensor.dtype] += tensor.n_elements
    return _STORED.get(counts.most_common(1)[0][0], "float32") if counts else "float32"
