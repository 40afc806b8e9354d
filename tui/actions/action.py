"""The record of one action, and the display names of keys."""

import unicodedata
from collections.abc import Sequence

import msgspec


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One action. The screen implements it in a method `action_` + id; for the group Program the application does.

    Actions that share a method have ids METHOD.NAME and an argument: `step.down` calls `action_step(1)`.
    """

    id: str
    keys: tuple[str, ...]
    """Textual's key names; the first one is displayed."""
    title: str
    tooltip: str
    group: str
    short: str = ""
    """Label in the key line at the bottom; empty: not listed there."""
    argument: str = ""
    """Argument, for actions that share a method: the pane's name for `show_pane`."""
    scope: str = ""
    """Table of keys.toml that holds its keys; empty: [keys], the workbench."""

    @property
    def call(self) -> str:
        """The action string that Textual runs, such as `show_pane('grid')` or `app.keys`."""
        name = f"{self.id.split('.')[0]}({self.argument})" if self.argument else self.id
        return f"app.{name}" if self.group == "Program" else name

    @property
    def key(self) -> str:
        """The display name of the first key."""
        return format_key(self.keys[0])

    @property
    def full_id(self) -> str:
        """Id that is unique over all screens: run, write:add."""
        return f"{self.scope}:{self.id}" if self.scope else self.id


def screen_actions(group: str, *rows: tuple[str, str, str, str, str, str]) -> tuple[Action, ...]:
    """Make and register the table of a screen; each row is id, argument, keys, title, tooltip, short label."""
    table = tuple(
        Action(
            id=name,
            argument=argument,
            keys=tuple(keys.split(",")),
            title=title,
            tooltip=tooltip,
            group=group,
            short=short,
            scope=scope_name(group),
        )
        for name, argument, keys, title, tooltip, short in rows
    )
    KNOWN_ACTIONS.update({action.full_id: action for action in table})
    return table


KNOWN_ACTIONS: dict[str, Action] = {}
"""All actions registered so far, by full id."""


def scope_name(group: str) -> str:
    """Return the name of a screen's table in keys.toml: [close-look] for Close look."""
    return group.lower().replace(":", "").replace(" ", "-")


_NAMES = {
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "question_mark": "?",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "escape": "esc",
    "colon": ":",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "equals_sign": "=",
    "underscore": "_",
    "plus": "+",
    "minus": "-",
    "slash": "/",
    "full_stop": ".",
    "comma": ",",
    "delete": "del",
}


def format_key(key: str) -> str:
    """Format a key for display: ? for question_mark."""
    found = _NAMES.get(key)
    if found is None and "_" in key:
        # Textual names other characters by their Unicode names.
        try:
            found = unicodedata.lookup(key.replace("_", " ").upper())
        except KeyError:
            found = key
    return found or key


def format_keys(keys: Sequence[str]) -> list[str]:
    """Format keys for display without duplicates; shift+x is omitted where X is listed too."""
    own = [key for key in keys if not (key.startswith("shift+") and key.removeprefix("shift+").upper() in keys)]
    return list(dict.fromkeys(format_key(key) for key in own))
