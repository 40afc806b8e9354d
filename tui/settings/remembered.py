"""What the screen remembers of its person from one time to the next. Nothing that matters: it may be deleted.

What a person sets stands in config.toml: see tui.settings.settings.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from engine.machine.folders import find_folders
from engine.machine.plain_file import read_json

_FILE = "screen.json"


class ScreenMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Every field has a default: a file of another version, or none, is as good."""

    toured: bool = False
    """Whether the tour was offered."""


def screen_memory_path() -> Path:
    """Where it is kept."""
    return find_folders().state / _FILE


def load_screen_memory() -> ScreenMemory:
    """What was kept; nothing where there is no file, or none that can be read."""
    try:
        return read_json(screen_memory_path(), ScreenMemory)
    except (OSError, msgspec.MsgspecError):
        return ScreenMemory()


def record_toured(toured: bool = True) -> None:
    """The tour is offered once; False: and once more."""
    _keep(msgspec.structs.replace(load_screen_memory(), toured=toured))


def _keep(what: ScreenMemory) -> None:
    """A folder that cannot be written is no reason to complain about a tour."""
    path = screen_memory_path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_name(f"{_FILE}.new")
        new.write_bytes(msgspec.json.encode(what))
        new.replace(path)
