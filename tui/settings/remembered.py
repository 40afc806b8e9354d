"""What the screen remembers between sessions; the file may be deleted at any time.

Settings are in config.toml; see tui.settings.settings.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from engine.machine.folders import find_folders
from engine.machine.plain_file import read_json

_FILE = "screen.json"
_MOST_RECENT = 20


class ScreenMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Every field has a default, so a missing file or one of another version is fine."""

    toured: bool = False
    """Whether the tour was offered."""
    recent: tuple[str, ...] = ()
    """What was chosen in the palette, by id, the last one first."""


def screen_memory_path() -> Path:
    """Return the path of the file."""
    return find_folders().state / _FILE


def load_screen_memory() -> ScreenMemory:
    """Return the stored values, or defaults if there is no readable file."""
    try:
        return read_json(screen_memory_path(), ScreenMemory)
    except (OSError, msgspec.MsgspecError):
        return ScreenMemory()


def record_toured(toured: bool = True) -> None:
    """Record that the tour was offered; False: offer it again."""
    _keep(msgspec.structs.replace(load_screen_memory(), toured=toured))


def record_recent(entry: str) -> None:
    """Record what was chosen in the palette."""
    memory = load_screen_memory()
    recent = (entry, *(each for each in memory.recent if each != entry))[:_MOST_RECENT]
    _keep(msgspec.structs.replace(memory, recent=recent))


def _keep(what: ScreenMemory) -> None:
    """Write the file; a folder that cannot be written is ignored."""
    path = screen_memory_path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_name(f"{_FILE}.new")
        new.write_bytes(msgspec.json.encode(what))
        new.replace(path)
