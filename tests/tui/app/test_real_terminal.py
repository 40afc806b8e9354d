"""Test the real program on a pseudo-terminal that closes, stalls, stops or gets a signal: the run continues."""

import asyncio
import os
import pty
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.machine.folders import AppFolders
from sessions.client.connection import HostClient
from sessions.protocol import CancelRun, Done, ListSessions, SessionDetailAnswer, SessionsAnswer, ShowSession

HOST = Path(__file__).parents[2] / "sessions" / "scripted_host.py"
SCREEN = """
import sys
from sessions.client import launch
launch.HOST = (sys.executable, "-P", sys.argv[1])
from tui.app.launch import run_workbench
sys.exit(run_workbench(session=None, model="wait", task="ioi", colours="256"))
"""
LEAVES = b"\x1b[?1049l"
"""Back from the alternate screen."""


class Terminal:
    """The program on a pseudo-terminal of 120 x 40, read by a thread unless it is to stall."""

    def __init__(self, home: Path, *, stalled_after: int | None = None) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(HEADCODE_HOME=str(home), TERM="xterm-256color", COLUMNS="120", LINES="40")
            os.execv(sys.executable, [sys.executable, "-c", SCREEN, str(HOST)])
        self.seen = b""
        self.code: int | None = None
        self._stalled_after = stalled_after
        self._closed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):
            while not self._closed and (self._stalled_after is None or len(self.seen) < self._stalled_after):
                if select.select([self.fd], [], [], 0.05)[0]:
                    self.seen += os.read(self.fd, 4096)

    def hang_up(self) -> None:
        """As when the window is closed or the SSH line drops."""
        self._closed = True
        self._reader.join()
        os.close(self.fd)

    def gone(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def state(self) -> str:
        """As the kernel has it: R, S, T (stopped)."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def end(self) -> None:
        if not self.gone():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if not self._closed:
            self.hang_up()


@pytest.fixture
def open_terminal(places: AppFolders) -> Any:
    opened: list[Terminal] = []

    def open_one(**more: Any) -> Terminal:
        opened.append(Terminal(places.data.parent, **more))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.end()


async def until(holds: Callable[[], object], *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never became true"
        await asyncio.sleep(0.02)


async def run_of(places: AppFolders) -> tuple[HostClient, str]:
    """A client beside the screen, and the run the screen began, which is under way."""
    client = await HostClient.connect(places, timeout_s=600, command=[sys.executable, "-P", str(HOST)])
    deadline = time.monotonic() + 600
    while True:
        for session in (await client.ask(ListSessions(), SessionsAnswer)).sessions:
            for run in (await client.ask(ShowSession(session=session.session_id), SessionDetailAnswer)).detail.runs:
                if run.state == "running":
                    return client, run.run_id
        assert time.monotonic() < deadline


async def state_of(client: HostClient, run: str) -> str:
    session = (await client.ask(ListSessions(), SessionsAnswer)).sessions[0]
    runs = (await client.ask(ShowSession(session=session.session_id), SessionDetailAnswer)).detail.runs
    return next(row.state for row in runs if row.run_id == run)


@pytest.mark.parametrize("how", ["closed", signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
async def test_the_screen_ends_and_the_run_goes_on_and_is_there_again(
    places: AppFolders, open_terminal: Any, how: Any
) -> None:
    screen = open_terminal()
    client, run = await run_of(places)
    await until(lambda: b"first light" in screen.seen or b"ioi" in screen.seen, within_s=600)
    if how == "closed":
        screen.hang_up()
    else:
        os.kill(screen.pid, how)
    await until(screen.gone, within_s=600)
    if how in (signal.SIGHUP, signal.SIGTERM):
        assert screen.code == 128 + how
        await until(lambda: LEAVES in screen.seen, within_s=600)  # what it wrote last may not be read yet
    assert await state_of(client, run) == "running"

    again = open_terminal()
    await until(lambda: b"train" in again.seen, within_s=600)
    await client.ask(CancelRun(run=run), Done)
    await until(lambda: b"stopped" in again.seen, within_s=600)
    await client.close()


async def test_a_terminal_nobody_reads_cannot_hold_the_program(places: AppFolders, open_terminal: Any) -> None:
    screen = open_terminal(stalled_after=2_000)
    client, run = await run_of(places)
    await until(lambda: len(screen.seen) >= 2_000, within_s=600)
    # What is typed makes it draw until the terminal takes no more; nobody reads a byte of it.
    for _ in range(200):
        os.write(screen.fd, b"\x14jkm")
    os.kill(screen.pid, signal.SIGTERM)
    await until(screen.gone, within_s=600)  # 3 s on a machine that has nothing else to do
    assert screen.code == 128 + signal.SIGTERM
    assert await state_of(client, run) == "running"
    await client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc whether it is stopped")
async def test_ctrl_z_stops_the_screen_only_and_fg_shows_what_happened_meanwhile(
    places: AppFolders, open_terminal: Any
) -> None:
    screen = open_terminal()
    client, run = await run_of(places)
    await until(lambda: b"train" in screen.seen, within_s=600)
    os.write(screen.fd, b"\x1a")
    await until(lambda: screen.state() == "T", within_s=600)
    await until(lambda: LEAVES in screen.seen, within_s=600)  # written, and perhaps not read yet
    await client.ask(CancelRun(run=run), Done)
    before = len(screen.seen)
    os.kill(screen.pid, signal.SIGCONT)
    await until(lambda: b"stopped" in screen.seen[before:], within_s=600)
    os.write(screen.fd, b"q")
    await until(screen.gone, within_s=600)
    assert screen.code == 0
    await client.close()


async def test_two_screens_and_a_client_see_the_same(places: AppFolders, open_terminal: Any) -> None:
    one = open_terminal()
    client, run = await run_of(places)
    other = open_terminal()
    for screen in (one, other):
        await until(lambda screen=screen: b"train" in screen.seen, within_s=600)
    before = [len(one.seen), len(other.seen)]
    os.write(one.fd, b"x")
    await until(lambda: b"stopped" in one.seen[before[0] :] and b"stopped" in other.seen[before[1] :], within_s=600)
    assert await state_of(client, run) == "stopped"
    await client.close()


async def test_the_program_goes_on_after_bytes_that_are_no_text(places: AppFolders, open_terminal: Any) -> None:
    screen = open_terminal()
    client, _ = await run_of(places)
    await until(lambda: b"train" in screen.seen, within_s=600)
    os.write(screen.fd, b"\x1b[200~caf\xe9\x9b\x1b[201~\xe1\x1b[:1u")
    os.write(screen.fd, b"q")
    await until(screen.gone, within_s=600)
    assert screen.code == 0
    await until(lambda: LEAVES in screen.seen, within_s=600)  # written, and perhaps not read yet
    assert b"Traceback" not in screen.seen
    await client.close()
