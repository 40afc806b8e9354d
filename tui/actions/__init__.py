"""The action tables, the key map, key names.

May import: nothing of tui.
"""

from collections.abc import Callable, Sequence

from tui.actions.action import Action, format_key, format_keys, screen_actions
from tui.actions.workbench import ACTIONS

__all__ = [
    "ACTIONS",
    "EVERYWHERE_IDS",
    "Action",
    "format_key",
    "format_keys",
    "screen_actions",
    "with_own_keys",
    "with_program_actions",
    "workbench_actions",
]

EVERYWHERE_IDS = ("keys", "palette", "settings", "theme", "reopen", "suspend")
"""Ids of the program's actions that are also available on every screen opened from the workbench."""


def workbench_actions(program: object) -> Sequence[Action]:
    """Return the workbench's actions with the user's keys."""
    return with_own_keys(program, ACTIONS)


def with_own_keys(program: object, actions: Sequence[Action]) -> Sequence[Action]:
    """Return a table of actions with the user's keys; unchanged where `program` has none."""
    under: Callable[[Sequence[Action]], Sequence[Action]] | None = getattr(program, "with_own_keys", None)
    return actions if under is None else under(actions)


def with_program_actions(own: Sequence[Action], workbench: Sequence[Action]) -> tuple[Action, ...]:
    """Add the program's actions to a screen's own, except those whose key or id the screen already uses."""
    keys, ids = {key for action in own for key in action.keys}, {action.id for action in own}
    every = (action for action in workbench if action.id in EVERYWHERE_IDS and action.id not in ids)
    return (*own, *(action for action in every if not keys.intersection(action.keys)))
