"""Read array files from the engine, validating them first."""

import hashlib
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.events import ArrayReady
from sessions.errors import BadArray

MAX_BYTES = 4 << 30
_MAX_HEADER = 1 << 20


class _TensorEntry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class CodeRows(msgspec.Struct, frozen=True):
    """A run's codes: one list per seed and example, heads layer by layer."""

    rows: list[tuple[int, int, list[int]]]
    """(index of the seed, example, codes)."""


def spool_file(spool: Path, name: str) -> Path:
    """Return a file's path in the spool folder. Raises BadArray if it is not a plain file there."""
    if not name or name in (".", "..") or Path(name).name != name or "\0" in name:
        raise BadArray(f"The engine named a file {name!r}, which is not a plain file name.", hint="Run it again.")
    path = spool / name
    if path.is_symlink() or not path.is_file():
        raise BadArray(f"The engine named the file {path}, which does not exist.", hint="Run it again.")
    if path.stat().st_size > MAX_BYTES:
        raise BadArray(f"{path} has {path.stat().st_size} bytes; {MAX_BYTES} is the most.", hint="Use fewer examples.")
    return path


def read_codes(spool: Path, event: ArrayReady) -> CodeRows:
    """Return the tensor "codes" of the event's file: int32 [seed, example, layer * head].

    Raises BadArray for a file with any other content.
    """
    return CodeRows(rows=list(iterate_codes(spool, event)))


def iterate_codes(spool: Path, event: ArrayReady) -> Iterator[tuple[int, int, list[int]]]:
    """Yield the same one row at a time, so that a file of any size has only one row in memory.

    The format is a length, a JSON header and raw numbers; reading it needs no tensor library.
    """
    import numpy

    path = spool_file(spool, event.file)
    if len(event.shape) != 3 or min(event.shape) < 1:
        raise BadArray(f"{path} should have the shape {list(event.shape)}; codes have three dimensions.", hint=_AGAIN)
    entry, start = _find(path, "codes")
    n_seeds, n_examples, n_places = event.shape
    begin, end = entry.data_offsets
    if entry.dtype != "I32" or entry.shape != event.shape or begin < 0 or end - begin != 4 * math.prod(event.shape):
        raise BadArray(
            f"{path} holds {entry.dtype} {list(entry.shape)}, not I32 {list(event.shape)} as announced.", hint=_AGAIN
        )
    if start + end > path.stat().st_size:
        raise BadArray(f"{path} is cut short ({path.stat().st_size} of {start + end} bytes).", hint=_AGAIN)
    with path.open("rb") as file:
        file.seek(start + begin)
        for seed in range(n_seeds):
            for example in range(n_examples):
                yield seed, example, numpy.frombuffer(file.read(4 * n_places), dtype="<i4").tolist()


def hash_file(path: Path) -> str:
    """Return the sha256 of the file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def store_by_content(path: Path, folder: Path) -> tuple[str, int]:
    """Move the file into `folder` under the sha256 of its content; return that and its size in bytes.

    Equal contents share one file.
    """
    digest = hash_file(path)
    n_bytes = path.stat().st_size
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    goal = folder / f"{digest}{path.suffix}"
    try:
        path.replace(goal)
    except OSError:  # another file system
        shutil.move(path, goal)
    return digest, n_bytes


def remove_spool(spool: Path) -> None:
    """Delete the spool folder."""
    shutil.rmtree(spool, ignore_errors=True)


_AGAIN = "Run again; if the error stays, see: headcode host log"


def _find(path: Path, tensor: str) -> tuple[_TensorEntry, int]:
    """Return the tensor's entry in a safetensors file, and the offset of the data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER, path.stat().st_size - 8):
            raise BadArray(f"{path} is not a safetensors file.", hint=_AGAIN)
        header = file.read(length)
    try:
        entries = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        return msgspec.json.decode(entries[tensor], type=_TensorEntry), 8 + length
    except KeyError as error:
        raise BadArray(f"{path} holds no tensor {tensor!r}.", hint=_AGAIN) from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadArray(f"{path} is not a safetensors file: {error}.", hint=_AGAIN) from error
