"""All action tables, collected from the modules of screens and widgets."""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from types import MappingProxyType

from tui.actions.action import Action
from tui.actions.workbench import ACTIONS

PACKAGES = ("tui.screens", "tui.widgets")


@cache
def all_tables() -> MappingProxyType[str, Sequence[Action]]:
    """Return all tables by their name in keys.toml, the workbench's [keys] first. Imports textual."""
    found: dict[str, Sequence[Action]] = {"keys": ACTIONS}
    for package in PACKAGES:
        for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
            module = importlib.import_module(f"{package}.{info.name}")
            for value in vars(module).values():
                table = _table(value)
                if table is not None and table is not ACTIONS:
                    found[table[0].scope] = table
    return MappingProxyType(found)


def _table(value: object) -> Sequence[Action] | None:
    if isinstance(value, tuple) and value and all(isinstance(each, Action) and each.scope for each in value):
        return value
    return None
