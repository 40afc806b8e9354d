"""The screen on a real host process with a worker that follows a script."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.machine.folders import AppFolders
from sessions.client.connection import HostClient
from sessions.protocol import ListSessions, SessionsAnswer
from tui.app.app import HeadcodeApp
from tui.screens.tour import TourSheet

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


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_a_newcomer_sees_the_recorded_run_as_recorded(
    places: AppFolders, text_of: Any, size: tuple[int, int]
) -> None:
    async def connect() -> HostClient:
        return await HostClient.connect(places, command=[sys.executable, "-P", str(HOST)])

    def start() -> HeadcodeApp:
        return HeadcodeApp(connect, model="toy", task="ioi", depth="full", tour=True)

    app = start()
    async with app.run_test(size=size) as pilot:
        await wait(pilot, lambda: isinstance(app.screen, TourSheet))
        await wait(pilot, lambda: "a run recorded on 20" in " ".join(text_of(app).split()))
        await pilot.press("escape")
        await wait(pilot, lambda: "not computed here: r runs it here, V compares" in text_of(app))
        assert "first light" in text_of(app)
        where = app.state.runs[0].picture.versions.where  # type: ignore[union-attr]
        for words in ("✓ done, recorded 20", f" s on {where}, Headcode ", ", torch 2."):
            assert words in " ".join(text_of(app).split())
        if size[0] == 160:
            assert f"{where}, recorded" in text_of(app)
        # It is there without an engine, and the engine is started behind it.
        await wait(pilot, lambda: app.state.worker is not None and app.state.worker.worker_state == "warm")
        assert [run.state for run in app.state.runs] == ["done"]
        await pilot.press("r")
        await wait(pilot, lambda: len(app.state.runs) == 2 and app.state.runs[1].state == "done")
        await wait(pilot, lambda: "scripted 2x3 · cpu" in text_of(app))
        assert "recorded" not in text_of(app).lower()
        await pilot.press("R")
        await wait(pilot, lambda: "recorded  toy" in text_of(app) and "done  toy" in text_of(app))
    again = start()
    async with again.run_test(size=size) as pilot:
        await wait(pilot, lambda: len(again.state.runs) == 2)
        assert again.state.session_id == app.state.session_id


async def test_first_run_codes_stop_and_a_killed_host(places: AppFolders, text_of: Any) -> None:
    clients: list[HostClient] = []

    async def connect() -> HostClient:
        clients.append(await HostClient.connect(places, command=[sys.executable, "-P", str(HOST)]))
        return clients[-1]

    # With --model or --task, as with a recording that cannot be used, the first session is computed here.
    app = HeadcodeApp(connect, model="toy", task="ioi", asked=True, depth="full")
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
