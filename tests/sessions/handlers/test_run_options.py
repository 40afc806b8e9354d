"""Test options of the next run: recorded, sent to every client, without trust, and part of a bundle."""

import asyncio
from typing import Any

import msgspec
import pytest

from engine.config import ProbeConfig, SAEConfig
from engine.planning.run_options import RunOptions
from sessions.bundle.log_checks import InvalidLog, LogCheck
from sessions.errors import SessionError
from sessions.events import LogEntry, OptionsChosen, SessionCreated
from sessions.protocol import ChooseOptions, CreateSession, Done, FollowEngine, SessionAnswer, StatusAnswer
from sessions.protocol.bundle_manifest import BundleLine

MINE = RunOptions(config=ProbeConfig(sae=SAEConfig(steps=77)), model="toy", device="cpu", trust_remote_code=True)


async def test_they_are_recorded_and_told_without_trust(lab: Any) -> None:
    client = await lab.connect()
    session = (await client.ask(CreateSession(model="toy", task="ioi"), SessionAnswer)).session
    await client.ask(ChooseOptions(session=session.name, options=MINE), Done)
    received: list[LogEntry] = []
    async for entries in client.follow(session.session_id):
        received += entries
        if isinstance(received[-1].event, OptionsChosen):
            break
    output = received[-1].event
    assert isinstance(output, OptionsChosen)
    assert output.options == msgspec.structs.replace(MINE, trust_remote_code=False)
    with pytest.raises(SessionError, match="nowhere"):
        await client.ask(ChooseOptions(session="nowhere", options=MINE), Done)


def test_a_strangers_options_are_looked_at() -> None:
    made = SessionCreated(name="one", model="toy", task="ioi")
    for model, device in (("x" * 2_000, "cpu"), ("", "cpu"), ("toy", "y" * 500)):
        check = LogCheck()
        check.line(BundleLine(seq=1, at_us=1_790_000_000_000_000, run_id=None, event=made))
        options = RunOptions(model=model, device=device)
        with pytest.raises(InvalidLog):
            check.line(
                BundleLine(seq=2, at_us=1_790_000_000_000_001, run_id=None, event=OptionsChosen(options=options))
            )


async def test_another_state_of_the_engine_is_told_at_once(lab: Any) -> None:
    client = await lab.connect()
    first = (await client.ask(FollowEngine(), StatusAnswer)).status
    assert first.worker_state == "none"
    other = await lab.connect()
    waits = asyncio.ensure_future(client.ask(FollowEngine(seen="none"), StatusAnswer))
    await asyncio.sleep(0)
    run = await lab.queue(other)
    status = (await asyncio.wait_for(waits, 600)).status
    seen = [status]
    while status.worker_state != "warm":
        job = status.at_work.job if status.at_work is not None else ""
        asked = FollowEngine(seen=status.worker_state, job=job)
        status = (await asyncio.wait_for(client.ask(asked, StatusAnswer), 600)).status
        seen.append(status)
    # The job is reported as soon as it begins, before its worker has started.
    assert (seen[0].worker_state, seen[0].at_work is not None) in [
        (each, True) for each in ("none", "starting", "busy")
    ]
    assert seen[-1].at_work is None
    await lab.finish(other, run)
