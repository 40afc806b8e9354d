"""What the screen logs: every notice, refusal and lost connection, in the form of the host's lines."""

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
"""Characters of one line."""


def screen_log() -> Path:
    return find_folders().logs / "screen.log"


def write(level: str, words: str) -> None:
    """Adds a line; a log that cannot be written stops nothing."""
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
    """The same of something that was refused or went wrong."""
    hint = f" ({failure.hint})" if failure.hint else ""
    write("ERROR", f"{failure.name}: {failure.message}{hint}")
