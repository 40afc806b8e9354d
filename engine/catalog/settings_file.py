"""Read a model folder's JSON files as untrusted: regular files of limited size, strict JSON. No torch."""

import json
import math
import stat
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ModelError

CONFIG = "config.json"
_MOST_BYTES = {CONFIG: 16 << 20, "tokenizer.json": 512 << 20, "vocab.json": 512 << 20}
_MOST_OTHER = 64 << 20
"""tokenizer_config.json of the largest published vocabularies has about 10 MB."""
BESIDE = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_LARGE = ("tokenizer.json", "vocab.json")
_UNBOUNDED = frozenset({"time_step_limit"})
"""Mamba's, whose upper limit is published as Infinity; that such models are not supported is reported elsewhere."""
_HINT = "Save the model again, or get it from where it was published."


def read_settings(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises ModelError for a file that is too large, not JSON, nested too deeply, or has a number JSON cannot express
    (NaN, Infinity).
    """
    raw = bytes_of(path)
    try:
        found = json.loads(raw, object_pairs_hook=lambda pairs: _object(path.name, pairs), parse_constant=float)
    except RecursionError as error:
        raise ModelError(f"{path.name} is nested too deeply to be read.", hint=_HINT) from error
    except ValueError as error:  # not JSON, not UTF-8, or a number of thousands of digits
        raise ModelError(f"{path.name} is damaged: {str(error).rstrip('.')}.", hint=_HINT) from error
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} is not a JSON object.", hint=_HINT)
    return found


def check_other_files(folder: Path) -> None:
    """Check that the folder's other JSON files can be read. Raises ModelError as read_settings does."""
    for name in BESIDE:
        if (folder / name).exists():
            read_settings(folder / name)
    for name in _LARGE:
        if (folder / name).exists():
            try:
                msgspec.json.decode(bytes_of(folder / name), type=msgspec.Raw)  # validated, nothing is built
            except RecursionError as error:
                raise ModelError(f"{name} is nested too deeply to be read.", hint=_HINT) from error
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise ModelError(f"{name} is damaged: {error}.", hint=_HINT) from error


def bytes_of(path: Path) -> bytes:
    """Return the content of one of a model's files. Raises ModelError if it is not a regular file or too large."""
    most = _MOST_BYTES.get(path.name, _MOST_OTHER)
    try:
        known = path.stat()
        if not stat.S_ISREG(known.st_mode):
            raise ModelError(f"{path} is not a regular file.", hint=_HINT)
        if known.st_size > most:
            raise ModelError(
                f"{path.name} has {known.st_size >> 20} MB; settings are read up to {most >> 20} MB.", hint=_HINT
            )
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.", hint=_HINT) from error


def _object(name: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, value in pairs:
        if key not in _UNBOUNDED and (wrong := _not_finite(value)) is not None:
            raise ModelError(f"{name} says {key[:100]} = {wrong}, which is not a number.", hint=_HINT)
    return dict(pairs)


def _not_finite(value: Any) -> float | None:
    if isinstance(value, list):
        return next((wrong for each in value if (wrong := _not_finite(each)) is not None), None)
    return value if isinstance(value, float) and not math.isfinite(value) else None
