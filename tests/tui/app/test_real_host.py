"""The screen on a real host process with a worker that follows a script."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from engine.machine.folders import AppFolders
from sessions.client.connection import HostClient
from sessions.protocol import ListSessions, SessionsAnswer
from tui.app.app import HeadcodeApp

from ..real_host import wait

HOST = Path(__file__).parents[2] / "sessions" / "scripted_host.py"
Wait = Callable[[Pilot[None], Callable[[], object]], Awaitable[None]]


async def test_a_model_that_nobody_has_leaves_no_session(places: AppFolders, text_of: Any) -> None:
    async def connect() -> HostClient:
        return await HostClient.connect(places, command=[sys.executable, "-P", str(HOST)])

    app = HeadcodeApp(connect, model="broken", task="ioi", depth="full")
    async with app.run_test(size=(160, 48)) as pilot:
        await wait(pilot, lambda: app.state.shown is not None and app.state.shown.state == "failed")
        await wait(pilot, lambda: "There is no model" in text_of(app))
        client = await connect()
        assert len((await client.ask(ListSessions(), SessionsAnswer)).sessions) == 1
    assert (await client.ask(ListSessions(), SessionsAnswer)).sessions == ()
    await client.close()


async def test_first_run_codes_stop_and_a_killed_host(places: AppFolders, text_of: Any) -> None:
    clients: list[HostClient] = []

    async def connect() -> HostClient:
        clients.append(await HostClient.connect(places, command=[sys.executable, "-P", str(HOST)]))
        return clients[-1]

    app = HeadcodeApp(connect, model="toy", task="ioi", depth="full")
    async with app.run_test(size=(160, 48)) as pilot:
        await wait(pilot, lambda: app.state.shown is not None and app.state.shown.state == "done")
        await wait(pilot, lambda: "code    +    -" in text_of(app))
        text = text_of(app)
        for words in ("first light", "scripted 2x3 · cpu", "✓ done", "saved "):
            assert words in text
        assert {len(codes.codes) for codes in app.state.codes.values()} == {20}  # type: ignore[union-attr]

        await pilot.press("r")
        await wait(pilot, lambda: len(app.state.runs) == 2 and app.state.runs[1].state == "done")

        seq = app.state.last_seq
        os.kill(clients[-1].welcome.pid, signal.SIGKILL)
        await wait(pilot, lambda: app.state.link == "lost")
        await wait(pilot, lambda: app.state.link == "live")
        await pilot.press("r")
        await wait(pilot, lambda: len(app.state.runs) == 3 and app.state.runs[2].state == "done")
        assert app.state.last_seq > seq
        assert [run.number for run in app.state.runs] == [1, 2, 3]


async def test_x_stops_a_run_of_the_real_host(places: AppFolders, text_of: Any) -> None:
    async def connect() -> HostClient:
        return await HostClient.connect(places, command=[sys.executable, "-P", str(HOST)])

    app = HeadcodeApp(connect, model="wait", task="ioi", depth="full")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait(pilot, lambda: app.state.shown is not None and app.state.shown.picture.steps)
        await pilot.press("x")
        await wait(pilot, lambda: not app.state.shown.active)  # type: ignore[union-attr]
        await wait(pilot, lambda: "stopped, results kept" in text_of(app))
