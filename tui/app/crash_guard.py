"""Handling of the program's own errors: the traceback goes to a log, the session continues if possible."""

import time
import traceback
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from engine.machine.folders import find_folders
from engine.machine.plain_file import append_plain
from tui.terminal.sanitize import clean
from tui.terminal.textual_private import HookedApp

_MOST, _WITHIN_S = 12, 10.0
"""Number of errors within that many seconds after which the program ends."""
_LOG_BYTES = 2_000_000


class CrashGuard(HookedApp):
    """Application that logs errors and keeps running."""

    survives_errors: bool = False
    """True if the program continues after an error. False in tests, which must see the error."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._errors_at: deque[float] = deque(maxlen=_MOST)
        self._reported_at = 0.0

    def report_error(self, error: Exception, what: str, *, aloud: bool = True) -> str:
        """Log the traceback, count the error and return a message; show it too if `aloud`."""
        where = write_trace(error)
        words = f"{what[:1].upper()}{what[1:]} failed: {format_error(error)}. "
        words += f"Traceback: {where}." if where is not None else "The traceback could not be saved."
        now = time.monotonic()
        self._errors_at.append(now)
        if len(self._errors_at) == _MOST and now - self._errors_at[0] < _WITHIN_S:
            self.survives_errors = False
            self.end_with(error)
        elif aloud and now - self._reported_at > 1.0:
            self._reported_at = now
            show: Any = getattr(self, "show_notice", None)
            if show is not None and self.is_running:
                show(
                    f"{words} The session and a run continue.",
                    title="Error in Headcode",
                    severity="error",
                    timeout=12,
                )
        return words

    def survive_error(self, error: Exception) -> bool:
        """Report an error of a timer, a worker or one of Textual's own widgets, and continue if allowed."""
        if not (self.survives_errors and self.is_running):
            return False
        self.report_error(error, "something on the screen")
        return True

    def last_words(self, error: BaseException | None) -> Text:
        """Return the error in one line, with the place of its traceback.

        Textual would print the traceback with all local variables, including prompts and tokens.
        """
        where = write_trace(error)
        words = f"headcode: the screen failed ({format_error(error)})."
        words += f" Traceback: {where}." if where is not None else " The traceback could not be saved."
        words += "\nNothing is lost: runs continue in the host. Start headcode again."
        return Text(words)


def format_error(error: BaseException | None) -> str:
    """Format an error as its class and message, sanitised and cut to 200 characters."""
    shown = _inner(error)
    return f"{type(shown).__name__}: {clean(str(shown))[:200]}"


def _inner(error: BaseException | None) -> BaseException | None:
    """Unwrap the error of a Textual worker."""
    inner = getattr(error, "error", None)
    return inner if isinstance(inner, BaseException) else error


def write_trace(error: BaseException | None) -> Path | None:
    """Append the traceback to the screen log; return its path, or None if it cannot be written."""
    folder = find_folders().logs
    path = folder / "screen.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(folder / "screen.log.old")
        trace = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n{''.join(traceback.format_exception(_inner(error)))}\n"
        with append_plain(path) as log:
            log.write(trace.encode("utf-8", "backslashreplace"))
    except OSError:
        return None
    return path
