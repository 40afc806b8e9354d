"""How the host behaves, from the [host] table of config.toml."""

import difflib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from sessions.errors import SettingsError

_MEMORY = re.compile(r"[1-9]\d{0,6} ?(MB|GB)")
_KNOWN = ("idle_minutes", "worker_idle_minutes", "store_memory", "store_threads", "trash_days")


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of quiet after which worker and host leave (0: never), and what the store may use."""

    idle_s: float = 30 * 60
    worker_idle_s: float = 10 * 60
    store_memory: str = "512MB"
    store_threads: int = 2
    trash_days: float = 30
    """After so many days in the trash a session is removed for good; 0: never."""


def read_settings(path: Path, environ: Mapping[str, str] | None = None) -> HostSettings:
    """The settings in the file; the defaults where there is none. HEADCODE_HOST_IDLE_S and HEADCODE_WORKER_IDLE_S win.

    Raises SettingsError naming file and value.
    """
    env = os.environ if environ is None else environ
    table = _host_table(path)
    for key in table:
        if key not in _KNOWN:
            close = difflib.get_close_matches(key, _KNOWN, n=1)
            guess = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(_KNOWN)}."
            raise SettingsError(f"{path}: [host] has no setting {key!r}.", hint=guess)
    defaults = HostSettings()
    return HostSettings(
        idle_s=_seconds(path, table, "idle_minutes", defaults.idle_s, env.get("HEADCODE_HOST_IDLE_S")),
        worker_idle_s=_seconds(
            path, table, "worker_idle_minutes", defaults.worker_idle_s, env.get("HEADCODE_WORKER_IDLE_S")
        ),
        store_memory=_memory(path, table.get("store_memory", defaults.store_memory)),
        store_threads=_threads(path, table.get("store_threads", defaults.store_threads)),
        trash_days=_days(path, table.get("trash_days", defaults.trash_days)),
    )


def _host_table(path: Path) -> dict[str, object]:
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}.", hint="Correct it, or move it away.") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.", hint="Correct it, or move it away.") from error
    table = whole.get("host", {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: host={table!r} is not a table.", hint="Write [host] on a line of its own.")
    return table


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
        raise SettingsError(f"{override!r} in the environment is no number of seconds for {key}.", hint="Unset it.")
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
