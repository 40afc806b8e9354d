"""Read the host's settings from the [host] table of config.toml."""

import difflib
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from engine.machine.plain_file import read_plain
from sessions.errors import SettingsError
from sessions.files.toml_edit import line_of

T = TypeVar("T")

_MEMORY = re.compile(r"[1-9]\d{0,6} ?(MB|GB)")
_KNOWN = ("idle_minutes", "worker_idle_minutes", "store_memory", "store_threads", "trash_days")


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Idle seconds after which the worker and the host exit (0: never), and limits for the store."""

    idle_s: float = 30 * 60
    worker_idle_s: float = 10 * 60
    store_memory: str = "512MB"
    store_threads: int = 2
    trash_days: float = 30
    """Days in the trash after which a session is deleted; 0: never."""


class LoadedSettings(msgspec.Struct, frozen=True):
    """The settings in force, and the problems in the file or the environment, for which defaults are used."""

    settings: HostSettings
    problems: tuple[SettingsError, ...] = ()


def read_settings(path: Path, environ: Mapping[str, str] | None = None) -> HostSettings:
    """Return the settings in the file; the defaults if there is none.

    HEADCODE_HOST_IDLE_S and HEADCODE_WORKER_IDLE_S take precedence. Raises SettingsError naming file, line and
    value.
    """
    found = load_settings(path, environ)
    if found.problems:
        raise found.problems[0]
    return found.settings


def load_settings(path: Path, environ: Mapping[str, str] | None = None) -> LoadedSettings:
    """Return the settings with the problems found, for a host that must start in any case."""
    env = os.environ if environ is None else environ
    try:
        text, whole = read_toml(path)
    except SettingsError as error:
        return LoadedSettings(HostSettings(), (error,))
    problems: list[SettingsError] = []

    def taken(key: str, read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except SettingsError as error:
            line = line_of(text, "host", key)
            where = f"{path}, line {line}:" if line is not None else f"{path}:"
            problems.append(SettingsError(error.message.replace(f"{path}:", where, 1), hint=error.hint))
            return default

    table = whole.get("host", {})
    if not isinstance(table, dict):
        line = line_of(text, "", "host")
        hint = "Write [host] on a separate line."
        problems.append(SettingsError(f"{path}, line {line}: host={table!r} is not a table.", hint=hint))
        table = {}
    for key in table:
        if key not in _KNOWN:
            taken(key, partial(_unknown, path, key), None)
    usual = HostSettings()
    host, worker = env.get("HEADCODE_HOST_IDLE_S"), env.get("HEADCODE_WORKER_IDLE_S")
    settings = HostSettings(
        idle_s=taken("idle_minutes", lambda: _seconds(path, table, "idle_minutes", usual.idle_s, host), usual.idle_s),
        worker_idle_s=taken(
            "worker_idle_minutes",
            lambda: _seconds(path, table, "worker_idle_minutes", usual.worker_idle_s, worker),
            usual.worker_idle_s,
        ),
        store_memory=taken(
            "store_memory", lambda: _memory(path, table.get("store_memory", usual.store_memory)), usual.store_memory
        ),
        store_threads=taken(
            "store_threads",
            lambda: _threads(path, table.get("store_threads", usual.store_threads)),
            usual.store_threads,
        ),
        trash_days=taken(
            "trash_days", lambda: _days(path, table.get("trash_days", usual.trash_days)), usual.trash_days
        ),
    )
    return LoadedSettings(settings, tuple(problems))


def _unknown(path: Path, key: str) -> None:
    close = difflib.get_close_matches(key, _KNOWN, n=1)
    guess = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(_KNOWN)}."
    raise SettingsError(f"{path}: [host] has no setting {key!r}.", hint=guess)


def read_toml(path: Path) -> tuple[str, dict[str, object]]:
    """Return a config file's text and content, both empty if there is none. Raises SettingsError."""
    try:
        text = read_plain(path).decode("utf-8")
        return text, tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return "", {}
    except (ValueError, RecursionError) as error:  # also raised for a number of thousands of digits
        raise SettingsError(f"{path} is not TOML: {error}.", hint="Correct it, or move it away.") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.", hint="Correct it, or move it away.") from error


def _seconds(path: Path, table: Mapping[str, object], key: str, default: float, override: str | None) -> float:
    value = table.get(key, default / 60)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise SettingsError(f"{path}: {key}={value!r} is not a number of minutes.", hint="For example 30; 0: never.")
    if override is None:
        return value * 60
    try:
        seconds = float(override)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise SettingsError(f"{override!r} in the environment is not a number of seconds for {key}.", hint="Unset it.")
    return seconds


def _days(path: Path, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 36_500:
        raise SettingsError(f"{path}: trash_days={value!r} is not a number of days.", hint="For example 30; 0: never.")
    return value


def _memory(path: Path, value: object) -> str:
    if not isinstance(value, str) or not _MEMORY.fullmatch(value):
        raise SettingsError(f"{path}: store_memory={value!r} is not a size.", hint='Write it like "512MB" or "2GB".')
    return value


def _threads(path: Path, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 64:
        raise SettingsError(f"{path}: store_threads={value!r} is not a number from 1 to 64.", hint="2 is plenty.")
    return value
