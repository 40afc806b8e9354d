"""Read the tensor names, dtypes and shapes from the headers of safetensors files. No torch."""

import stat
from math import prod
from pathlib import Path

import msgspec

from engine.catalog.local_models import weight_files
from engine.errors import ModelError

MOST_HEADER_BYTES = 100_000_000
"""The limit of safetensors itself."""
_HINT = "Download the model again."


class TensorHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The header of one tensor."""

    dtype: str
    """In safetensors's notation: F32, BF16."""
    shape: tuple[int, ...]
    n_bytes: int = 0
    """In its file."""

    @property
    def n_elements(self) -> int:
        return prod(self.shape)


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def read_headers(folder: Path) -> dict[str, TensorHeader]:
    """Return every tensor of the weights to read, by name.

    Raises ModelError for a file that is damaged or shorter than its header says.
    """
    found: dict[str, TensorHeader] = {}
    for path in weight_files(folder):
        found |= read_header(path)
    return found


def read_header(path: Path) -> dict[str, TensorHeader]:
    """Return the tensors of one file. Raises ModelError as read_headers does."""
    try:
        whole = path.stat()
        if not stat.S_ISREG(whole.st_mode):
            raise ModelError(f"{path} is not a regular file.", hint="Weights are read from files on a disk.")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MOST_HEADER_BYTES, whole.st_size - 8):
                raise ModelError(f"{path} is damaged: its header is incomplete.", hint=_HINT)
            header = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
            header.pop("__metadata__", None)
            entries = {name: msgspec.json.decode(raw, type=_Entry) for name, raw in header.items()}
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.", hint="Check its permissions.") from error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is damaged: its header cannot be read ({error}).", hint=_HINT) from error
    for name, entry in entries.items():
        begin, end = entry.data_offsets
        if any(side < 0 for side in entry.shape) or not 0 <= begin <= end:
            raise ModelError(f"{path} is damaged: {name[:200]!r} has sizes below 0.", hint=_HINT)
        if end > whole.st_size - 8 - length:
            raise ModelError(f"{path} is damaged: it ends before {name[:200]!r} does.", hint=_HINT)
    return {
        name: TensorHeader(dtype=entry.dtype, shape=entry.shape, n_bytes=entry.data_offsets[1] - entry.data_offsets[0])
        for name, entry in entries.items()
    }
