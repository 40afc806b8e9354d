"""Test that screen, plain mode and commands report a silent job and what waits for it."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from engine.config import ProbeConfig
from engine.events import StageStarted
from sessions.events import RunQueued, RunStarted
from sessions.protocol import FollowEngine
from sessions.rows import CurrentJob
from tui.headless import watch_engine
from tui.plain.announcements import Announcements
from tui.plain.wording import runs, status
from tui.screens.progress import ProgressScreen
from tui.state.engine_status import format_work

SIZES = [(160, 48), (80, 24)]
OTHER = CurrentJob(
    job="run-9", title="run theirs/4", stage="train", done=12, total=500, unit="steps", run_id="run-9", heard_us=0,
    silent=False,
)  # fmt: skip
"""Another session's run."""


def own(*, silent: bool, seconds: float = 75.0) -> CurrentJob:
    """This session's first run, which loads and last reported so long ago."""
    work = msgspec.structs.replace(OTHER, job="run-1", run_id="run-1", title="run first light/1", stage="load")
    heard_us = int((time.time() - seconds) * 1e6)
    return msgspec.structs.replace(work, done=0, total=1, unit="", heard_us=heard_us, silent=silent)


def test_a_job_is_told_with_its_stage_how_far_it_is_and_its_silence() -> None:
    assert format_work(OTHER, 0) == "run theirs/4 (train, 12 of 500 steps)"
    silent = msgspec.structs.replace(OTHER, silent=True, heard_us=10_000_000)
    assert format_work(silent, 85_000_000) == "run theirs/4 (train, 12 of 500 steps, no report for 75 s)"
    begun = msgspec.structs.replace(OTHER, stage="", done=0, total=0, title="run \x1b[31mred/1")
    assert "\x1b" not in format_work(begun, 0)


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_a_silent_run_is_told_and_ended_with_one_key(
    recorded: Any, open_screen: Any, text_of: Any, size: Any
) -> None:
    host = recorded.host()
    host.add(RunQueued(config=ProbeConfig(), model="toy", task="ioi"), RunStarted())
    host.add(StageStarted(stage="load", total=1))
    async with open_screen(host, size=size, clock=time.time) as (app, pilot, until):
        await host.be_at(own(silent=False))
        await until(lambda: app.state.worker is not None and app.state.worker.at_work is not None)
        assert "has reported nothing" not in text_of(app)
        await host.be_at(own(silent=True))
        await until(lambda: "run first light/1 has reported nothing for 7" in text_of(app))
        assert "silent" in text_of(app)
        await pilot.press("x")
        await until(lambda: host.of_kind("CancelRun"))
        assert [(each.run, each.force) for each in host.of_kind("CancelRun")] == [("run-1", False)]


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_a_run_that_waits_says_for_whom(recorded: Any, open_screen: Any, text_of: Any, size: Any) -> None:
    host = recorded.host()
    host.add(RunQueued(config=ProbeConfig(), model="toy", task="ioi"))
    async with open_screen(host, size=size, clock=time.time) as (app, pilot, until):
        await host.be_at(OTHER)
        await until(lambda: "waiting for run theirs/4 (train, 12 of 500 steps)" in text_of(app))
        heard_us = int((time.time() - 200) * 1e6)
        await host.be_at(msgspec.structs.replace(OTHER, silent=True, heard_us=heard_us))
        await until(lambda: "run theirs/4 has reported nothing for 3 min" in text_of(app))
        assert "headcode host cancel" in " ".join(text_of(app).split())
        await pilot.press("i")
        await until(lambda: isinstance(app.screen, ProgressScreen))
        await until(lambda: "engine busy: run theirs/4" in text_of(app))
        assert "waiting for run theirs/4" in text_of(app)


async def test_plain_mode_says_both(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(RunQueued(config=ProbeConfig(), model="toy", task="ioi"))
    async with open_screen(host) as (app, _pilot, until):
        state, news = app.state, Announcements(app.state)
        await host.be_at(OTHER)
        await until(lambda: state.worker is not None and state.worker.at_work == OTHER)
        waits = "waits for run theirs/4 (train, 12 of 500 steps)"
        assert f"run 1 {waits}." in news.lines()
        assert not [line for line in news.lines() if "theirs" in line]  # said once
        assert any(waits in line for line in runs(state))
        assert any(waits in line for line in status(state))
        await host.be_at(own(silent=True))
        await until(lambda: state.worker.at_work.silent)
        for lines in (news.lines(), status(state)):
            assert any(line.startswith("run first light/1 has reported nothing for 7") for line in lines), lines


async def test_a_command_that_waits_says_so_on_its_standard_error(
    recorded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_engine, "_FIRST_S", 0)
    monkeypatch.setattr(watch_engine, "_BETWEEN_S", 0)
    host, message = recorded.host(), asyncio.Queue[str]()
    await host.be_at(OTHER)
    async with watch_engine.watch_engine(host, "run-1", message.put_nowait):
        assert await message.get() == "waiting for run theirs/4 (train, 12 of 500 steps)"
        await host.be_at(own(silent=False))
        await host.be_at(own(silent=True))
        assert (await message.get()).startswith("no report for 7")
        await host.be_at(None)
    assert message.empty()
    assert isinstance(host.asked[0], FollowEngine)
