"""Keys of a person's own: keys.toml, one table a screen, by the ids of the actions."""

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
"""By the full ids of the actions, as Textual names keys."""


class KeyFile(msgspec.Struct, frozen=True):
    """What a keys.toml gives, and what in it makes no sense. A line of which nothing is said is in force."""

    keys: Keys
    problems: tuple[ConfigError, ...] = ()


def load_keys(path: Path, tables: Tables | None = None) -> KeyFile:
    """The keys the file gives to actions; none where there is no file. What is wrong with it is told, never raised.

    A value is a key or a list of keys: `run = "R"`, `cut.more = ["plus", "T"]`. [keys] is the workbench, each other
    screen has a table of its own name. Of two actions that would share a key on one screen, the one the file names
    later keeps what it had.
    """
    try:
        text = read_plain(path).decode("utf-8")
        whole = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return KeyFile({})
    except (ValueError, RecursionError) as error:
        hint = "Correct it; headcode keys prints one to begin with. Until then every key is the usual one."
        return KeyFile({}, (ConfigError(f"{path} is not TOML: {error}.", hint=hint),))
    except OSError as error:
        return KeyFile(
            {}, (ConfigError(f"{path} cannot be read: {error.strerror}.", hint="Correct it, or move it away."),)
        )
    return _KeyFileReader(path, text, all_tables() if tables is None else tables).read(whole)


def read_keys(path: Path, tables: Tables | None = None) -> Keys:
    """The same. Raises the first ConfigError there is something to say about."""
    found = load_keys(path, tables)
    if found.problems:
        raise found.problems[0]
    return found.keys


def with_keys(actions: Sequence[Action], keys: Mapping[str, tuple[str, ...]]) -> tuple[Action, ...]:
    """The actions under the keys the person gave them."""
    if not keys:
        return tuple(actions)
    return tuple(
        msgspec.structs.replace(action, keys=keys[action.full_id]) if action.full_id in keys else action
        for action in actions
    )


def keys_text(tables: Tables) -> str:
    """All actions as the text of a keys.toml that changes nothing."""
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
    """One file on its way to keys."""

    def __init__(self, path: Path, text: str, tables: Tables) -> None:
        self.path, self.text, self.tables = path, text, tables
        self.keys: Keys = {}
        self.lines: dict[str, int | None] = {}
        self.problems: list[ConfigError] = []

    def read(self, whole: Mapping[str, object]) -> KeyFile:
        for name, table in whole.items():
            if name not in self.tables:
                close = difflib.get_close_matches(name, self.tables, n=1)
                hint = f"Did you mean [{close[0]}]?" if close else f"There are: {', '.join(self.tables)}."
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
                self._problem(line, f"{each} = {value!r} is no key", 'Write "R", "ctrl+r" or ["R", "f5"].')
                continue
            found = [_read_key(key) for key in keys]
            wrong = next((key for key, as_named in zip(keys, found, strict=True) if as_named is None), None)
            if None in found:
                self._problem(
                    line, f"{each} = {wrong!r} is no key", 'Write it like "R", "ctrl+r", "f5", "pageup" or "space".'
                )
                continue
            full = by_id[each].full_id
            self.keys[full] = tuple(dict.fromkeys(form for key in found if key is not None for form in _key_forms(key)))
            self.lines[full] = line

    def _settle(self, actions: Sequence[Action]) -> None:
        """Takes entries back until no two actions of a screen share a key."""
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
                f"{format_key(key)} would be the key of {winner.id} and of {loser.id}",
                f"Give one of them another key; {loser.id} keeps what it had.",
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
    """TOML reads cut.more as a table in a table."""
    for key, value in table.items():
        name = f"{before}{key}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{name}.")
        else:
            yield name, value


def _read_key(key: object) -> str | None:
    """The key as Textual names it; None where there is no such key."""
    from textual.keys import _character_to_key

    if isinstance(key, str) and len(key) == 1 and key.isprintable():
        return "space" if key == " " else _character_to_key(key)
    if isinstance(key, str):
        *modifiers, last = key.split("+")
        plain = last in _NAMED or (len(last) == 1 and last.isprintable()) or last in _SIGN_NAMES
        if plain and all(each in _MODIFIERS for each in modifiers) and len(set(modifiers)) == len(modifiers):
            return key
    return None


def _key_forms(key: str) -> tuple[str, ...]:
    """A key under all its names: terminals tell a capital letter in two ways."""
    return (key, f"shift+{key.lower()}") if len(key) == 1 and key.isupper() else (key,)


_SIGN_NAMES = frozenset(
    {"question_mark", "colon", "plus", "minus", "slash", "right_square_bracket", "left_square_bracket", "comma"}
    | {"less_than_sign", "greater_than_sign", "equals_sign", "underscore", "full_stop"}
)
"""Signs by the names Textual has for them; written as themselves they are understood as well."""


def _format_for_file(key: str) -> str:
    """As a person writes it in the file."""
    shown = format_key(key)
    return shown if len(shown) == 1 and shown.isascii() and shown not in '"\\' else key
