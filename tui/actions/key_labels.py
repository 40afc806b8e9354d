"""Names of the user's keys for texts on the screen."""

import re
from collections.abc import Callable, Mapping

from tui.actions import ACTIONS, format_key
from tui.actions.action import KNOWN_ACTIONS

KeyLabel = Callable[[str], str]
"""Function from an action's full id (run, write:add) to the display name of its key. Raises KeyError."""

_OWN: Mapping[str, tuple[str, ...]] = {}
_BLANK = re.compile(r"\{([a-z_-]+(?:[.:][a-z_.-]+)?)\}")


def key_label(full_id: str, own: Mapping[str, tuple[str, ...]] = _OWN) -> str:
    """Return the display name of an action's key: the user's, else the default. Raises KeyError."""
    if full_id in own:
        return format_key(own[full_id][0])
    found = KNOWN_ACTIONS.get(full_id) or next((each for each in ACTIONS if each.id == full_id), None)
    if found is None:
        # The screen's module is not imported yet.
        from tui.actions.registry import all_tables

        all_tables()
        found = KNOWN_ACTIONS[full_id]
    return found.key


def key_label_in(program: object, full_id: str) -> str:
    """Return the same from the application."""
    under: KeyLabel | None = getattr(program, "key", None)
    return key_label(full_id) if under is None else under(full_id)


def fill_keys(words: str, key: KeyLabel) -> str:
    """Replace action ids in braces by the names of their keys: {run} runs it."""
    return _BLANK.sub(lambda found: key(found[1]), words)
