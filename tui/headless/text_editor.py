"""The user's text editor: which it is, and a file opened in it on this terminal."""

import os
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from engine.errors import ConfigError
from engine.machine import child_processes

VARIABLES = ("VISUAL", "EDITOR")
"""Environment variables that name the editor, the first one set counts."""
_SET_ONE = "For example: export EDITOR=nano, then start headcode again."


def editor_command() -> list[str]:
    """Return the words of the editor's command. Raises ConfigError if none is set, or none of that name is found."""
    name = next((name for name in VARIABLES if os.environ.get(name, "").strip()), None)
    if name is None:
        raise ConfigError("No text editor is known: neither VISUAL nor EDITOR is set.", hint=_SET_ONE)
    try:
        words = shlex.split(os.environ[name])
    except ValueError as error:
        raise ConfigError(f"{name}={os.environ[name]!r} cannot be read: {error}.", hint=_SET_ONE) from error
    program = os.path.expanduser(words[0]) if words else ""  # noqa: PTH111  # a name, perhaps no path
    found = child_processes.find_program(program) if program else None
    if found is None or not Path(found).is_absolute():
        raise ConfigError(f"There is no program {program!r}, which {name} names.", hint=_SET_ONE)
    return [found, *words[1:]]


def edit_file(command: list[str], path: Path) -> int:
    r"""Open the file in the editor, wait until it is left, and return its exit code. Raises OSError.

    Ctrl+C and Ctrl+\ belong to the editor meanwhile.
    """
    with _left_to_the_editor():
        return child_processes.run([*command, str(path)]).returncode


@contextmanager
def _left_to_the_editor() -> Iterator[None]:
    """Let the editor alone handle the keys that signal all programs of a terminal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def pass_over(_number: int, _frame: FrameType | None) -> None:
        """Do nothing. A signal that is ignored outright would be ignored by the editor, too."""

    before = {number: signal.signal(number, pass_over) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
