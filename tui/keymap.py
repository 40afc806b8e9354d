"""Keys of a person's own: the [keys] table of keys.toml, by the ids of the actions."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from engine.errors import ConfigError
from tui.actions import ACTIONS, Action, key_name

_MODIFIERS = ("ctrl", "alt", "shift", "super", "hyper", "meta")
_NAMED = frozenset(
    {"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete", "enter", "escape", "tab"}
    | {"space", "backspace", *(f"f{number}" for number in range(1, 25))}
)


def read_keys(path: Path, actions: Sequence[Action] = ACTIONS) -> dict[str, tuple[str, ...]]:
    """The keys the file gives to actions, by id, as Textual names them; empty where there is no file.

    A value is a key or a list of keys: `run = "R"`, `cut.more = ["plus", "T"]`. Raises ConfigError naming file and
    value: an id there is not, a key there is not, a key that two actions would share.
    """
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}.", hint="Correct it; headcode keys prints one to begin with."
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", hint="Correct it, or move it away.") from error
    table = whole.get("keys", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: keys={table!r} is not a table.", hint="Write [keys] on a line of its own.")
    ids = {action.id for action in actions}
    found: dict[str, tuple[str, ...]] = {}
    for name, value in _flat(table):
        if name not in ids:
            close = difflib.get_close_matches(name, ids, n=1)
            raise ConfigError(
                f"{path}: there is no action {name!r}.",
                hint=f"Did you mean {close[0]}?" if close else "headcode keys lists them.",
            )
        keys = [value] if isinstance(value, str) else value
        if not isinstance(keys, list) or not keys:
            raise ConfigError(f"{path}: {name} = {value!r} is no key.", hint='Write "R", "ctrl+r" or ["R", "f5"].')
        found[name] = tuple(dict.fromkeys(form for key in keys for form in _forms(_key(path, name, key))))
    _check_shared(path, with_keys(actions, found))
    return found


def with_keys(actions: Sequence[Action], keys: Mapping[str, tuple[str, ...]]) -> tuple[Action, ...]:
    """The actions under the keys the person gave them."""
    return tuple(
        msgspec.structs.replace(action, keys=keys[action.id]) if action.id in keys else action for action in actions
    )


def keys_text(actions: Sequence[Action]) -> str:
    """The actions as the text of a keys.toml that changes nothing."""
    lines = ["[keys]"]
    for group in dict.fromkeys(action.group for action in actions):
        lines += ["", f"# {group}"]
        for action in (each for each in actions if each.group == group):
            keys = ", ".join(
                f'"{_written(key)}"' for key in action.keys if not key.startswith("shift+") or len(key) > 7
            )
            lines.append(f'"{action.id}" = [{keys}]  # {action.title}')
    return "\n".join(lines) + "\n"


def _flat(table: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    """TOML reads cut.more as a table in a table."""
    for key, value in table.items():
        name = f"{before}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _key(path: Path, action: str, key: object) -> str:
    """The key as Textual names it."""
    from textual.keys import _character_to_key

    if isinstance(key, str) and len(key) == 1 and key.isprintable():
        return "space" if key == " " else _character_to_key(key)
    if isinstance(key, str):
        *modifiers, last = key.split("+")
        plain = last in _NAMED or (len(last) == 1 and last.isprintable()) or last in _WORDS
        if plain and all(each in _MODIFIERS for each in modifiers) and len(set(modifiers)) == len(modifiers):
            return key
    raise ConfigError(
        f"{path}: {action} = {key!r} is no key.", hint='Write it like "R", "ctrl+r", "f5", "pageup" or "space".'
    )


def _forms(key: str) -> tuple[str, ...]:
    """A key under all its names: terminals tell a capital letter in two ways."""
    return (key, f"shift+{key.lower()}") if len(key) == 1 and key.isupper() else (key,)


_WORDS = frozenset({"question_mark", "colon", "plus", "minus", "slash", "right_square_bracket", "left_square_bracket"})
"""Signs by the names Textual has for them; written as themselves they are understood as well."""


def _written(key: str) -> str:
    """As a person writes it in the file."""
    shown = key_name(key)
    return shown if len(shown) == 1 and shown.isascii() and shown not in '"\\' else key


def _check_shared(path: Path, actions: Sequence[Action]) -> None:
    taken: dict[str, Action] = {}
    for action in actions:
        for key in dict.fromkeys(action.keys):
            other = taken.setdefault(key, action)
            if other is not action:
                raise ConfigError(
                    f"{path}: {key_name(key)} would be the key of {other.id} and of {action.id}.",
                    hint=f"Give {other.id} another one in the same file.",
                )
