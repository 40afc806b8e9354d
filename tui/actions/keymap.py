"""The user's keys: keys.toml, one table per screen, by action id."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from engine.errors import ConfigError
from engine.machine.plain_file import read_plain
from sessions.files.toml_edit import line_of
from tui.actions import Action, format_key
from tui.actions.registry import all_tables

_MODIFIERS = ("ctrl", "alt", "shift", "super", "hyper", "meta")
_NAMED = frozenset(
    {"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete", "enter", "escape", "tab"}
    | {"space", "backspace", *(f"f{number}" for number in range(1, 25))}
)
Tables = Mapping[str, Sequence[Action]]
Keys = dict[str, tuple[str, ...]]
"""Textual's key names by the full id of the action."""


class KeyFile(msgspec.Struct, frozen=True):
    """The keys of a keys.toml and its invalid entries. All other entries apply."""

    keys: Keys
    problems: tuple[ConfigError, ...] = ()


def load_keys(path: Path) -> KeyFile:
    """Load the user's keys; empty if there is no file. Invalid entries are returned, not raised.

    A value is a key or a list of keys: `run = "R"`, `cut.more = ["plus", "T"]`. [keys] is the workbench; every other
    screen has its own table. If two actions of a screen would share a key, the one listed later keeps its default.
    """
    try:
        text = read_plain(path).decode("utf-8")
        whole = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return KeyFile({})
    except (ValueError, RecursionError) as error:
        hint = "Correct it; headcode keys prints a valid file. Until then all keys are the defaults."
        return KeyFile({}, (ConfigError(f"{path} is not TOML: {error}.", hint=hint),))
    except OSError as error:
        return KeyFile(
            {}, (ConfigError(f"{path} cannot be read: {error.strerror}.", hint="Correct it, or move it away."),)
        )
    return _KeyFileReader(path, text, all_tables()).read(whole)


def with_keys(actions: Sequence[Action], keys: Mapping[str, tuple[str, ...]]) -> tuple[Action, ...]:
    """Return the actions with the given keys in place of their own."""
    if not keys:
        return tuple(actions)
    return tuple(
        msgspec.structs.replace(action, keys=keys[action.full_id]) if action.full_id in keys else action
        for action in actions
    )


def keys_text(tables: Tables) -> str:
    """Format all actions as a keys.toml with their current keys."""
    parts = []
    for name, actions in tables.items():
        lines = [f"[{name}]"]
        for group in dict.fromkeys(action.group for action in actions):
            if name == "keys":
                lines += ["", f"# {group}"]
            for action in (each for each in actions if each.group == group):
                keys = ", ".join(
                    f'"{_format_for_file(key)}"' for key in action.keys if not key.startswith("shift+") or len(key) > 7
                )
                lines.append(f'"{action.id}" = [{keys}]  # {action.title}')
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


class _KeyFileReader:
    """Reads one keys.toml and collects its problems."""

    def __init__(self, path: Path, text: str, tables: Tables) -> None:
        self.path, self.text, self.tables = path, text, tables
        self.keys: Keys = {}
        self.lines: dict[str, int | None] = {}
        self.problems: list[ConfigError] = []

    def read(self, whole: Mapping[str, object]) -> KeyFile:
        for name, table in whole.items():
            if name not in self.tables:
                close = difflib.get_close_matches(name, self.tables, n=1)
                hint = f"Did you mean [{close[0]}]?" if close else f"The screens are: {', '.join(self.tables)}."
                self._problem(line_of(self.text, name), f"there is no screen [{name}]", hint)
            elif not isinstance(table, dict):
                hint = f"Write [{name}] on a line of its own."
                self._problem(line_of(self.text, "", name), f"{name}={table!r} is not a table", hint)
            else:
                self._read_table(name, table, self.tables[name])
        for actions in self.tables.values():
            self._settle(actions)
        return KeyFile(self.keys, tuple(self.problems))

    def _read_table(self, name: str, table: Mapping[str, object], actions: Sequence[Action]) -> None:
        by_id = {action.id: action for action in actions}
        for each, value in _flatten(table):
            line = line_of(self.text, name, each)
            if each not in by_id:
                close = difflib.get_close_matches(each, by_id, n=1)
                hint = f"Did you mean {close[0]}?" if close else "headcode keys lists them."
                self._problem(line, f"[{name}] has no action {each!r}", hint)
                continue
            keys = [value] if isinstance(value, str) else value
            if not isinstance(keys, list) or not keys:
                self._problem(line, f"{each} = {value!r} is not a key", 'Write "R", "ctrl+r" or ["R", "f5"].')
                continue
            found = [_read_key(key) for key in keys]
            wrong = next((key for key, as_named in zip(keys, found, strict=True) if as_named is None), None)
            if None in found:
                self._problem(
                    line, f"{each} = {wrong!r} is not a key", 'Write it like "R", "ctrl+r", "f5", "pageup" or "space".'
                )
                continue
            full = by_id[each].full_id
            self.keys[full] = tuple(dict.fromkeys(form for key in found if key is not None for form in _key_forms(key)))
            self.lines[full] = line

    def _settle(self, actions: Sequence[Action]) -> None:
        """Drop entries until no two actions of a screen share a key."""
        while True:
            clash = _find_clash(with_keys(actions, self.keys))
            if clash is None:
                return
            key, one, other = clash
            named = [each for each in (one, other) if each.full_id in self.keys]
            loser = max(named, key=lambda each: self.lines[each.full_id] or 0)
            winner = one if loser is other else other
            line = self.lines[loser.full_id]
            del self.keys[loser.full_id]
            self._problem(
                line,
                f"{format_key(key)} is assigned to both {winner.id} and {loser.id}",
                f"Give one of them another key; {loser.id} keeps its default.",
            )

    def _problem(self, line: int | None, words: str, hint: str) -> None:
        where = f", line {line}" if line is not None else ""
        self.problems.append(ConfigError(f"{self.path}{where}: {words}.", hint=hint))


def _find_clash(actions: Sequence[Action]) -> tuple[str, Action, Action] | None:
    taken: dict[str, Action] = {}
    for action in actions:
        for key in dict.fromkeys(action.keys):
            other = taken.setdefault(key, action)
            if other is not action:
                return key, other, action
    return None


def _flatten(table: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    """Yield the entries by dotted name: TOML reads cut.more as a nested table."""
    for key, value in table.items():
        name = f"{before}{key}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{name}.")
        else:
            yield name, value


def _read_key(key: object) -> str | None:
    """Return Textual's name for the key; None if it is not a key."""
    from tui.terminal.textual_private import character_to_key

    if isinstance(key, str) and len(key) == 1 and key.isprintable():
        return "space" if key == " " else character_to_key(key)
    if isinstance(key, str):
        *modifiers, last = key.split("+")
        plain = last in _NAMED or (len(last) == 1 and last.isprintable()) or last in _SIGN_NAMES
        if plain and all(each in _MODIFIERS for each in modifiers) and len(set(modifiers)) == len(modifiers):
            return key
    return None


def _key_forms(key: str) -> tuple[str, ...]:
    """Return all names of a key: terminals report a capital letter as X or as shift+x."""
    return (key, f"shift+{key.lower()}") if len(key) == 1 and key.isupper() else (key,)


_SIGN_NAMES = frozenset(
    {"question_mark", "colon", "plus", "minus", "slash", "right_square_bracket", "left_square_bracket", "comma"}
    | {"less_than_sign", "greater_than_sign", "equals_sign", "underscore", "full_stop"}
)
"""Textual's names for characters, accepted beside the characters themselves."""


def _format_for_file(key: str) -> str:
    """Format a key for keys.toml."""
    shown = format_key(key)
    return shown if len(shown) == 1 and shown.isascii() and shown not in '"\\' else key
