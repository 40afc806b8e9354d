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
"""Of the program's own actions those that every sheet answers too."""


def workbench_actions(program: object) -> Sequence[Action]:
    """The workbench's table under the keys this program's person chose."""
    return with_own_keys(program, ACTIONS)


def with_own_keys(program: object, actions: Sequence[Action]) -> Sequence[Action]:
    """Any table under the keys this program's person chose."""
    under: Callable[[Sequence[Action]], Sequence[Action]] | None = getattr(program, "with_own_keys", None)
    return actions if under is None else under(actions)


def with_program_actions(own: Sequence[Action], workbench: Sequence[Action]) -> tuple[Action, ...]:
    """A sheet's actions, and those of the program's that its keys and ids leave room for."""
    keys, ids = {key for action in own for key in action.keys}, {action.id for action in own}
    every = (action for action in workbench if action.id in EVERYWHERE_IDS and action.id not in ids)
    return (*own, *(action for action in every if not keys.intersection(action.keys)))
