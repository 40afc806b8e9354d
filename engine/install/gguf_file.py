"""Read a GGUF file's keys, and its tensors' names, types and shapes. No torch.

The `gguf` package builds an array for each word of the vocabulary, 10 s for 262,144 of them; this skips them.
"""

import mmap
import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ModelError
from engine.machine.plain_file import open_plain

_LONGEST = 4096
"""Longer arrays (a vocabulary, its scores, its merges) are not read."""
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_TOKENS = "tokenizer.ggml.tokens"
DAMAGE = (struct.error, ValueError, TypeError, IndexError, KeyError, OverflowError, RecursionError, EOFError)
"""Exceptions raised when reading a damaged file (UnicodeDecodeError is a ValueError)."""


class GgufTensor(msgspec.Struct, frozen=True, kw_only=True):
    """The header of one tensor."""

    name: str
    kind: str
    """In llama.cpp's notation: F32, Q4_K."""
    shape: tuple[int, ...]
    """In torch's order."""
    begin: int
    """Offset of its data, in bytes from the file's start."""


class GgufFile(msgspec.Struct, frozen=True, kw_only=True):
    """The keys and tensors of one file."""

    path: Path
    architecture: str
    keys: dict[str, Any]
    """As named in the file. Arrays as long as a vocabulary are None."""
    tensors: tuple[GgufTensor, ...]
    joins_digits: bool = False
    """True if the vocabulary has tokens that join digits: only then the splitting of numbers matters."""

    def key(self, name: str, otherwise: Any = None) -> Any:
        """Return the value of an architecture key, such as block_count."""
        return self.keys.get(f"{self.architecture}.{name}", otherwise)

    def has(self, tensor: str) -> bool:
        return any(each.name == tensor for each in self.tensors)

    def values(self, tensor: str) -> tuple[float, ...]:
        """Return the data of a small tensor in single precision. Raises ModelError if it has another type."""
        found = next(each for each in self.tensors if each.name == tensor)
        if found.kind != "F32":
            raise ModelError(
                f"{tensor} of {self.path.name} is in {found.kind}, not F32.",
                hint="Get another GGUF file of this model.",
            )
        count = prod(found.shape)
        with open_plain(self.path) as file:
            try:
                file.seek(found.begin)
                return struct.unpack(f"<{count}f", file.read(4 * count))
            except (*DAMAGE, OSError) as error:
                raise damaged(self.path, error) from error


def read_gguf_file(path: Path) -> GgufFile:
    """Return the file's keys and tensors. Raises ModelError if it is not a whole GGUF file."""
    with open_plain(path) as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{path} is not a GGUF file: it does not begin with GGUF.", hint="Download it again.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                found = _Header(path, content).read()
                n_parts = int(found.keys.get("split.count") or 0)
                if n_parts <= 1:  # in a part of several, tensors may be missing
                    _check_sizes(found, len(content))
            except DAMAGE as error:
                raise damaged(path, error) from error
    if n_parts > 1:
        raise _part_of_several(found)
    return found


def damaged(path: Path, error: BaseException) -> ModelError:
    """Return the error for a file that could not be read."""
    reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {str(error)[:200]}"
    return ModelError(
        f"{path.name} cannot be read: {reason.rstrip('.: ')}.",
        hint="The file is damaged or incomplete: download it again.",
    )


def _check_sizes(file: GgufFile, n_bytes: int) -> None:
    """Check that all tensors are in the file. Raises ValueError."""
    import gguf

    sizes: dict[str, tuple[int, int]] = {kind.name: each for kind, each in gguf.GGML_QUANT_SIZES.items()}
    for tensor in file.tensors:
        block, size = sizes.get(tensor.kind, (1, 0))
        if tensor.begin + prod(tensor.shape) // block * size > n_bytes:
            raise ValueError(f"{tensor.name} is beyond its end")


def _part_of_several(found: GgufFile) -> ModelError:
    count, number = int(found.keys["split.count"]), int(found.keys.get("split.no") or 0) + 1
    name = found.path.name
    first = name.replace(f"-{number:05d}-of-", "-00001-of-")
    return ModelError(
        f"{name} is part {number} of {count}: it lacks the weights of the others.",
        hint=f"Join them with llama.cpp, then import the whole: llama-gguf-split --merge {first} whole.gguf",
    )


class _Header:
    """Reads the file from its start to its first tensor."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self._path, self._content, self._at = path, content, 4

    def read(self) -> GgufFile:
        (version,) = self._take("I")
        if version not in _VERSIONS:
            raise ValueError(f"version {version} of GGUF is unknown")
        n_tensors, n_keys = self._take("QQ")
        keys: dict[str, Any] = {}
        joins = False
        for _ in range(n_keys):
            name = self._string()
            (kind,) = self._take("I")
            before = self._at
            keys[name] = self._value(kind)
            if name == _TOKENS and keys.get("tokenizer.ggml.model") == "gpt2":
                joins = self._joins_digits(before, self._at)
        entries = [self._tensor() for _ in range(n_tensors)]
        step = int(keys.get("general.alignment") or 32)
        begin = -(-self._at // step) * step
        architecture = keys.get("general.architecture")
        if not isinstance(architecture, str):
            raise ValueError("it names no architecture")
        return GgufFile(
            path=self._path,
            architecture=architecture,
            keys=keys,
            tensors=tuple(
                GgufTensor(name=name, kind=_kind(kind), shape=shape, begin=begin + offset)
                for name, shape, kind, offset in entries
            ),
            joins_digits=joins,
        )

    def _take(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self._content, self._at)
        self._at += struct.calcsize(f"<{form}")
        return found

    def _string(self) -> str:
        return self._bytes().decode("utf-8")

    def _bytes(self) -> bytes:
        (length,) = self._take("Q")
        if length > len(self._content) - self._at:
            raise ValueError("it ends within a text")
        self._at += length
        return self._content[self._at - length : self._at]

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._take(_form(kind))[0]
        inner, count = self._take("IQ")
        if count > _LONGEST:
            self._pass_over(inner, count)
            return None
        return [self._value(inner) for _ in range(count)]

    def _pass_over(self, kind: int, count: int) -> None:
        if kind == _STRING:
            for _ in self._texts(count):
                pass
            return
        self._at += count * struct.calcsize(f"<{_form(kind)}")

    def _texts(self, count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield self._bytes()

    def _joins_digits(self, begin: int, end: int) -> bool:
        self._at = begin
        _, count = self._take("IQ")
        found = any(
            len(token) > 1 and any(48 <= byte <= 57 for byte in token) and not _special(token)
            for token in self._texts(count)
        )
        self._at = end
        return found

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        (n_axes,) = self._take("I")
        shape = tuple(reversed(self._take(f"{n_axes}Q")))
        kind, offset = self._take("IQ")
        return name, shape, kind, offset


def _form(kind: int) -> str:
    if kind not in _NUMBERS:
        raise ValueError(f"it has a value of unknown type {kind}")
    return _NUMBERS[kind]


def _special(token: bytes) -> bool:
    """Return True if a byte-level token is a marker, such as <|reserved_1|>: text is not split there."""
    return token.startswith((b"<", b"[")) and token.endswith((b">", b"]"))


def _kind(number: int) -> str:
    import gguf

    try:
        return str(gguf.GGMLQuantizationType(number).name)
    except ValueError:
        return f"quantisation {number}"
