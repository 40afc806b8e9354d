"""Run a screen on a separate terminal, as a user has it."""

import os
import pty
import signal
import threading
from contextlib import suppress
from pathlib import Path

from engine.machine.child_processes import python_command

from .commands import SCRIPTED_HOST


def show_screen(home: Path, real_worker: bool) -> int:
    """Show the workbench on this terminal; it starts the clients' kind of host if none runs."""
    os.environ["HEADCODE_HOME"] = str(home)
    if not real_worker:
        from sessions.client import launch

        launch.HOST = tuple(python_command(str(SCRIPTED_HOST)))
    from tui.app.launch import run_workbench

    return run_workbench(session=None, model="toy", task="ioi", colours="256")


class Screen:
    """A process on a pseudo-terminal that is read."""

    def __init__(self, words: list[str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execv(words[0], words)
        self.drawn = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):
            while chunk := os.read(self._fd, 65_536):
                self.drawn += len(chunk)

    def gone(self) -> bool:
        pid, _ = os.waitpid(self.pid, os.WNOHANG)
        return pid != 0

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)
