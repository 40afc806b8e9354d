"""One thing a person can do, and the names of keys."""

import unicodedata
from collections.abc import Sequence

import msgspec


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do. The screen answers with a method named `action_` and the id; for Program, the application."""

    id: str
    keys: tuple[str, ...]
    """As Textual names them; the first is the one that is shown."""
    title: str
    tooltip: str
    group: str
    short: str = ""
    """Its word in the line at the bottom; empty: it is not there."""
    argument: str = ""
    """For actions that share a method: `show_pane` with the pane's name."""
    scope: str = ""
    """The table of keys.toml that holds its keys; empty: [keys], the workbench's."""

    @property
    def call(self) -> str:
        name = f"{self.id.split('.')[0]}({self.argument})" if self.argument else self.id
        return f"app.{name}" if self.group == "Program" else name

    @property
    def key(self) -> str:
        return format_key(self.keys[0])

    @property
    def full_id(self) -> str:
        """Told apart from the actions of every other screen: run, write:add."""
        return f"{self.scope}:{self.id}" if self.scope else self.id


def screen_actions(group: str, *rows: tuple[str, str, str, str, str, str]) -> tuple[Action, ...]:
    """The table of a screen over the workbench: id, argument, keys, title, tooltip and short word of each action."""
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
"""The actions of the tables that were made so far, by full id."""


def scope_name(group: str) -> str:
    """The name of a screen's table in keys.toml: Close look is [close-look]."""
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
    """A key as people write it."""
    found = _NAMES.get(key)
    if found is None and "_" in key:
        # Letters and signs beyond those above have their Unicode name.
        try:
            found = unicodedata.lookup(key.replace("_", " ").upper())
        except KeyError:
            found = key
    return found or key


def format_keys(keys: Sequence[str]) -> list[str]:
    """Keys as people write them, each once: other terminals' way to name a capital letter is left out."""
    own = [key for key in keys if not (key.startswith("shift+") and key.removeprefix("shift+").upper() in keys)]
    return list(dict.fromkeys(format_key(key) for key in own))
