"""What the screen remembers of its person from one time to the next. Nothing that matters: it may be deleted."""

from contextlib import suppress

import msgspec

from engine.places import find_places
from tui.themes import CHOICES

_FILE = "screen.json"


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """Every field has a default: a file of another version, or none, is as good."""

    theme: str | None = None
    toured: bool = False
    """Whether the tour was offered."""


def remembered() -> Remembered:
    """What was kept; nothing where there is no file, or none that can be read."""
    try:
        found = msgspec.json.decode((find_places().state / _FILE).read_bytes(), type=Remembered)
    except (OSError, msgspec.MsgspecError):
        return Remembered()
    known = {theme.name for theme in CHOICES}
    return found if found.theme in known else msgspec.structs.replace(found, theme=None)


def keep_theme(name: str) -> None:
    """For the next time."""
    _keep(msgspec.structs.replace(remembered(), theme=name))


def keep_toured() -> None:
    """The tour is offered once."""
    _keep(msgspec.structs.replace(remembered(), toured=True))


def _keep(what: Remembered) -> None:
    """A folder that cannot be written is no reason to complain about a colour."""
    folder = find_places().state
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = folder / f"{_FILE}.new"
        new.write_bytes(msgspec.json.encode(what))
        new.replace(folder / _FILE)
