"""What the screen remembers of its person from one time to the next. Nothing that matters: it may be deleted.

What a person sets stands in config.toml: see tui.settings.settings.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from engine.machine.folders import find_places
from engine.machine.plain_file import read_json

_FILE = "screen.json"


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """Every field has a default: a file of another version, or none, is as good."""

    toured: bool = False
    """Whether the tour was offered."""


def file_of_memory() -> Path:
    """Where it is kept."""
    return find_places().state / _FILE


def remembered() -> Remembered:
    """What was kept; nothing where there is no file, or none that can be read."""
    try:
        return read_json(file_of_memory(), Remembered)
    except (OSError, msgspec.MsgspecError):
        return Remembered()


def keep_toured(toured: bool = True) -> None:
    """The tour is offered once; False: and once more."""
    _keep(msgspec.structs.replace(remembered(), toured=toured))


def _keep(what: Remembered) -> None:
    """A folder that cannot be written is no reason to complain about a tour."""
    path = file_of_memory()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_name(f"{_FILE}.new")
        new.write_bytes(msgspec.json.encode(what))
        new.replace(path)
