"""What the keys are called in the words of the screen: the key of an action, as the program's person chose it."""

import re
from collections.abc import Callable, Mapping

from tui.actions import ACTIONS, format_key
from tui.actions.action import KNOWN_ACTIONS

KeyLabel = Callable[[str], str]
"""The name of the key of an action, by the action's full id: run, write:add. Raises KeyError where there is none."""

_OWN: Mapping[str, tuple[str, ...]] = {}
_BLANK = re.compile(r"\{([a-z_-]+(?:[.:][a-z_.-]+)?)\}")


def key_label(full_id: str, own: Mapping[str, tuple[str, ...]] = _OWN) -> str:
    """The first key of the action among those its person chose, else its usual one."""
    if full_id in own:
        return format_key(own[full_id][0])
    found = KNOWN_ACTIONS.get(full_id) or next((each for each in ACTIONS if each.id == full_id), None)
    if found is None:
        # Of a screen that was not opened yet.
        from tui.actions.registry import all_tables

        all_tables()
        found = KNOWN_ACTIONS[full_id]
    return found.key


def key_label_in(program: object, full_id: str) -> str:
    """The same for whoever has the program at hand and no state."""
    under: KeyLabel | None = getattr(program, "key", None)
    return key_label(full_id) if under is None else under(full_id)


def fill_keys(words: str, key: KeyLabel) -> str:
    """The words with the keys of the actions that stand in braces: {run} runs it."""
    return _BLANK.sub(lambda found: key(found[1]), words)
