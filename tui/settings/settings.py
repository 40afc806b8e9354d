"""The settings of config.toml: their values, where each comes from, and changing one of them."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.errors import HeadcodeError
from sessions.errors import SettingsError
from sessions.files.host_settings import load_settings, read_toml
from sessions.files.toml_edit import line_of, overwrite, set_value
from tui.settings.table import SETTINGS, SettingSpec, Value

TABLES = tuple(dict.fromkeys(setting.table for setting in SETTINGS))


class SettingValue(msgspec.Struct, frozen=True):
    """The current value of a setting."""

    setting: SettingSpec
    value: Value
    source: str
    """Its source: default, a line of the file, or the environment."""
    own: bool = False
    """Whether the user set it."""


class Settings(msgspec.Struct, frozen=True):
    """All settings, and the problems of the file; invalid entries have their default."""

    path: Path
    found: dict[str, SettingValue]
    """By full name: screen.theme."""
    problems: tuple[HeadcodeError, ...] = ()

    def __getitem__(self, name: str) -> Value:
        return self.found[name].value

    def text(self, name: str) -> str:
        return str(self[name])

    def number(self, name: str) -> float:
        value = self[name]
        return float(value) if isinstance(value, int | float) else 0.0


def load(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Load the settings of the file and the environment. Problems are returned, not raised."""
    env = os.environ if environ is None else environ
    problems: list[HeadcodeError] = []
    text = ""
    whole: dict[str, object] = {}
    try:
        text, whole = read_toml(path)
    except SettingsError as error:
        problems.append(SettingsError(error.message, hint=f"{error.hint} Until then every setting has its default."))
    found = {setting.name: _one(path, text, whole, env, setting, problems) for setting in SETTINGS}
    problems += _unknown_entries(path, text, whole)
    # Problems of the host's table are reported by its own loader.
    problems += [] if not whole else load_settings(path, env).problems
    return Settings(path, found, tuple(problems))


def change(path: Path, setting: SettingSpec, value: Value | None) -> None:
    """Write the value to the file, leaving all else; None removes the entry. Raises SettingsError."""
    text, _ = read_toml(path)
    new = set_value(text, setting.table, setting.key, None if value is None else setting.written(value))
    try:
        overwrite(path, new)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror}.",
            hint="It applies until you quit; fix the folder's permissions.",
        ) from error


def _one(
    path: Path,
    text: str,
    whole: Mapping[str, object],
    env: Mapping[str, str],
    setting: SettingSpec,
    problems: list[HeadcodeError],
) -> SettingValue:
    if setting.variable and env.get(setting.variable):
        value = setting.read(env[setting.variable])
        if value is not None:
            return SettingValue(setting, value, f"{setting.variable} in the environment", own=True)
        if setting.table != "host":
            words = f"{setting.variable}={env[setting.variable]!r} in the environment is not {setting.wanted}."
            problems.append(SettingsError(words, hint="Unset it, or correct it."))
    table = whole.get(setting.table)
    if not isinstance(table, dict) or setting.key not in table:
        return SettingValue(setting, setting.default, "default")
    line = line_of(text, setting.table, setting.key)
    value = setting.checked(table[setting.key])
    if value is not None:
        return SettingValue(setting, value, "config.toml" + (f", line {line}" if line else ""), own=True)
    if setting.table != "host":
        where = f"{path}, line {line}" if line else f"{path}"
        words = f"{where}: {setting.key} = {table[setting.key]!r} is not {setting.wanted}."
        problems.append(SettingsError(words, hint=f"Until then the default is used: {setting.shown(setting.default)}."))
    return SettingValue(setting, setting.default, f"default, as line {line} is invalid" if line else "default")


def _unknown_entries(path: Path, text: str, whole: Mapping[str, object]) -> list[HeadcodeError]:
    """Return problems for unknown entries, mostly typos; tables of unrelated names are ignored."""
    found: list[HeadcodeError] = []
    for name, table in whole.items():
        close = difflib.get_close_matches(name, TABLES, n=1)
        if name not in TABLES and close:
            line = line_of(text, name)
            found.append(
                SettingsError(f"{path}, line {line}: unknown table [{name}].", hint=f"Did you mean [{close[0]}]?")
            )
        elif name == "screen" and not isinstance(table, dict):
            line = line_of(text, "", name)
            words = f"{path}, line {line}: {name}={table!r} is not a table."
            found.append(SettingsError(words, hint=f"Write [{name}] on a line of its own."))
        elif name == "screen" and isinstance(table, dict):
            known = [setting.key for setting in SETTINGS if setting.table == name]
            for key in table:
                if key not in known:
                    near = difflib.get_close_matches(key, known, n=1)
                    hint = f"Did you mean {near[0]}?" if near else f"Settings: {', '.join(known)}."
                    line = line_of(text, name, key)
                    found.append(SettingsError(f"{path}, line {line}: [{name}] has no setting {key!r}.", hint=hint))
    return found
