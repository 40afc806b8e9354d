"""Log of the screen: notices, errors and lost connections, in the format of the host's log."""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from engine.errors import Failure
from engine.machine.folders import find_folders
from engine.machine.plain_file import append_plain
from tui.terminal.sanitize import clean

_MOST_BYTES = 1 << 20
_MOST = 2_000
"""Maximum characters of one line."""


def screen_log() -> Path:
    """Return the path of the screen's log."""
    return find_folders().logs / "screen.log"


def write(level: str, words: str) -> None:
    """Append a line; a log that cannot be written is ignored."""
    path, now = screen_log(), datetime.now()
    stamp = f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d}"
    line = f"{stamp} {os.getpid()} {level} headcode.screen: {clean(words[:_MOST])}\n"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and path.stat().st_size > _MOST_BYTES:
            path.replace(path.with_name("screen.log.old"))
        with append_plain(path) as log:
            log.write(line.encode("utf-8", "backslashreplace"))


def write_failure(failure: Failure) -> None:
    """Append a line for a failure."""
    hint = f" ({failure.hint})" if failure.hint else ""
    write("ERROR", f"{failure.name}: {failure.message}{hint}")
