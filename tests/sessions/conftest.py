"""Provide a separate host per test: real process, real store, scripted worker."""

import asyncio
import importlib.util
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine.config import ProbeConfig
from engine.machine.folders import AppFolders, find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.events import LogEntry, RunEnded
from sessions.protocol import (
    CreateSession,
    GetStatus,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    SessionDetailAnswer,
    ShowSession,
    StatusAnswer,
)
from sessions.rows import HostStatus, RunRow, SessionDetail, SessionRow

HERE = Path(__file__).parent


class Lab:
    """One store, its host once a client connects, and the requests that many tests make."""

    def __init__(self, home: Path) -> None:
        self.places: AppFolders = find_folders({"HEADCODE_HOME": str(home)})
        self.command = [sys.executable, "-P", str(HERE / "scripted_host.py")]
        self._clients: list[HostClient] = []

    async def connect(self, *, start: bool = True) -> HostClient:
        client = await HostClient.connect(self.places, start=start, timeout_s=600, command=self.command)
        self._clients.append(client)
        return client

    async def foreground(self) -> HostClient:
        client = await HostClient.foreground(self.places, command=self.command)
        self._clients.append(client)
        return client

    async def session(self, client: HostClient, model: str = "toy", **more: Any) -> SessionRow:
        request = CreateSession(**({"model": model, "task": "ioi", "pairs": 2} | more))
        return (await client.ask(request, SessionAnswer)).session

    async def queue(self, client: HostClient, model: str = "toy", *, seeds: tuple[int, ...] = (0, 1, 2)) -> RunRow:
        """Queue a run of that model in a new session."""
        session = await self.session(client, model)
        return await self.again(client, session.session_id, seeds=seeds)

    async def again(
        self, client: HostClient, session: str, *, model: str | None = None, seeds: tuple[int, ...] = (0, 1, 2)
    ) -> RunRow:
        request = QueueRun(session=session, model=model, config=ProbeConfig(seeds=seeds))
        return (await client.ask(request, RunAnswer)).run

    async def entries(
        self,
        client: HostClient,
        session: str,
        enough: Callable[[list[LogEntry]], bool],
        *,
        after_seq: int = 0,
        run: str | None = None,
    ) -> list[LogEntry]:
        """Return a session's entries once there are enough."""
        found: list[LogEntry] = []
        async with asyncio.timeout(600), aclosing(client.follow(session, after_seq=after_seq, run=run)) as batches:
            async for batch in batches:
                found += batch
                if enough(found):
                    return found
        raise AssertionError

    async def finish(self, client: HostClient, run: RunRow) -> tuple[list[LogEntry], RunEnded]:
        """Return all entries of a run's session up to the run's end, and that end."""
        found = await self.entries(client, run.session_id, lambda have: ending(have, run) is not None)
        end = ending(found, run)
        assert end is not None
        return found, end

    async def status(self, client: HostClient) -> HostStatus:
        return (await client.ask(GetStatus(), StatusAnswer)).status

    async def detail(self, client: HostClient, session: str) -> SessionDetail:
        return (await client.ask(ShowSession(session=session), SessionDetailAnswer)).detail

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await stop_host(self.places)


def ending(entries: list[LogEntry], run: RunRow) -> RunEnded | None:
    for entry in entries:
        if entry.run_id == run.run_id and isinstance(entry.event, RunEnded):
            return entry.event
    return None


def alive(pid: int) -> bool:
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"
    if sys.platform == "linux":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(true: Callable[[], bool], *, within_s: float = 600) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        await asyncio.sleep(0.01)


@pytest.fixture
async def lab(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    # tmp_path is too long for a socket under xdist, and Headcode would fall back to a folder shared by all tests.
    home = Path(tempfile.mkdtemp(prefix="hc-"))
    lab = Lab(home)
    opened: list[tuple[asyncio.StreamWriter, str]] = []

    async def open_recorded(*args: Any, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        caller = "".join(traceback.format_stack(limit=8))
        reader, writer = await open_connection(*args, **kwargs)
        opened.append((writer, caller))
        return reader, writer

    open_connection = asyncio.open_unix_connection
    monkeypatch.setattr(asyncio, "open_unix_connection", open_recorded)
    yield lab
    await lab.close()
    shutil.rmtree(home)
    # A connection left open would otherwise be reported at the next garbage collection, in another test.
    left = [caller for writer, caller in opened if not writer.is_closing()]
    assert not left, "connections left open:\n" + "\n".join(left)


@pytest.fixture(scope="session")
def script() -> ModuleType:
    """Return the scripted worker as a module: its events, without its process."""
    spec = importlib.util.spec_from_file_location("scripted_worker", HERE / "scripted_worker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Any]:
    return until


@pytest.fixture(name="alive")
def alive_fixture() -> Callable[[int], bool]:
    return alive
