"""A home for a real host, and waiting for a screen on it."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable

import pytest
from textual.pilot import Pilot

from engine.machine.folders import AppFolders, find_folders
from sessions.client.connection import stop_host

PATIENCE = 30_000
"""Hundredths of a second: torch alone takes a busy machine half a minute to import."""


@pytest.fixture
async def places() -> AsyncIterator[AppFolders]:
    """Folders of their own, whose host is stopped afterwards."""
    home = tempfile.mkdtemp(prefix="hc-")  # short: a socket's path has about 100 characters
    found = find_folders({"HEADCODE_HOME": home})
    yield found
    await stop_host(found)
    shutil.rmtree(home)


async def wait(pilot: Pilot[None], holds: Callable[[], object]) -> None:
    for _ in range(PATIENCE):
        if holds():
            await pilot.pause()
            return
        await pilot.pause(0.01)
    assert holds()
