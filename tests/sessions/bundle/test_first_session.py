"""Test the recorded first session: adopted once, by stores that had none, and still what the engine computes."""

import asyncio
import logging
import re
import shutil
import socket
import tempfile
import tomllib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from engine.events import ExamplesMade, ProbeFinished, Scored
from engine.machine.folders import find_folders
from sessions.bundle import first_session
from sessions.bundle.first_session import RECORDING, SESSION_NAME, adopt, is_untouched
from sessions.bundle.import_bundle import CheckedBundle
from sessions.bundle.portable_log import strip_paths
from sessions.client.connection import HostClient, stop_host
from sessions.edits.metadata import trash_session
from sessions.edits.trash import remove_for_good
from sessions.events import LogEntry, RunEnded, RunQueued, SessionImported, VerificationEnded
from sessions.handlers.bundles import adopt_first_session
from sessions.protocol import (
    AdoptFirstSession,
    CreateSession,
    GetVerification,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    SessionsAnswer,
    TrashSession,
    VerificationAnswer,
    VerificationStarted,
    VerifyRun,
)
from sessions.services.writer import StoreWriter
from sessions.store.queries import recent_sessions

from ...torture.sealing import open_up

ROOT = Path(__file__).parents[3]
AGAIN = "Record it again: .venv/bin/python -m sessions.asset_tools.record_first_session"


def take(home: Any) -> bool:
    with CheckedBundle(RECORDING, home.spool) as bundle:
        return bool(adopt(home.recorder, bundle, home.sae)[0])


def log_texts() -> list[str]:
    """All texts in the recording's log."""

    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for each in value.values() for text in texts(each)]
        if isinstance(value, list):
            return [text for each in value for text in texts(each)]
        return [value] if isinstance(value, str) else []

    lines = open_up(RECORDING.read_bytes())["events.jsonl"].splitlines()
    return [text for line in lines for text in texts(msgspec.json.decode(line))]


def test_it_becomes_an_ordinary_session_once(home: Any) -> None:
    assert is_untouched(home.store)
    assert take(home)
    (row,) = recent_sessions(home.store, limit=10)
    assert (row.name, row.model, row.task, row.n_runs) == (SESSION_NAME, "toy", "ioi", 1)
    assert home.store.rows("SELECT state FROM run") == [("done",)]
    assert home.store.rows("SELECT count(*) FROM code")[0][0] == 3 * 22
    (weights,) = home.store.rows("SELECT sae_sha256 FROM run")[0]
    assert (home.sae / f"{weights}.safetensors").is_file()
    counts = home.counts()
    assert not take(home)
    assert home.counts() == counts


def test_two_stores_can_exchange_what_grew_from_it(home: Any, away: Any, tmp_path: Path) -> None:
    ids = []
    for each in (home, away):
        assert take(each)
        (session,) = each.store.rows("SELECT session_id FROM session")[0]
        each.run(session)
        ids.append(session)
    home.export(ids[0], tmp_path / "grown.headcode")
    assert away.take(tmp_path / "grown.headcode").arrival == "new"


def test_a_store_with_a_session_gets_nothing_even_if_that_is_in_the_trash(home: Any) -> None:
    session = home.session(runs=1)
    assert not take(home)
    trash_session(home.recorder, TrashSession(session=session))
    assert not take(home)
    assert len(home.store.rows("SELECT * FROM session")) == 1


def test_once_deleted_it_does_not_come_back(home: Any) -> None:
    assert take(home)
    (session,) = home.store.rows("SELECT session_id FROM session")[0]
    remove_for_good(home.recorder, [session], home.sae)
    assert home.store.rows("SELECT * FROM session") == []
    assert not is_untouched(home.store)
    assert not take(home)


async def test_clients_that_start_together_get_the_same_one(lab: Any) -> None:
    clients = [await lab.connect() for _ in range(3)]
    answers = await asyncio.gather(*(client.ask(AdoptFirstSession(), SessionsAnswer) for client in clients))
    assert {len(answer.sessions) for answer in answers} == {1}
    assert len({answer.sessions[0].session_id for answer in answers}) == 1
    detail = await lab.detail(clients[0], answers[0].sessions[0].session_id)
    entries = await lab.entries(clients[0], detail.session.session_id, lambda have: len(have) == detail.last_seq)
    assert isinstance(entries[-1].event, SessionImported)
    # It goes on like any other.
    _, end = await lab.finish(clients[0], await lab.again(clients[0], detail.session.session_id))
    assert end.state == "done"


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
async def test_a_damaged_recording_is_logged_and_leaves_the_store_as_it_was(
    home: Any, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raw = bytearray(RECORDING.read_bytes())
    raw[2_000] ^= 1
    if damage != "gone":
        (tmp_path / "bad.headcode").write_bytes(raw if damage == "changed" else raw[:-500])
    monkeypatch.setattr(first_session, "RECORDING", tmp_path / "bad.headcode")
    before = home.counts()
    with ThreadPoolExecutor(1) as thread:
        writer = StoreWriter(home.store, thread, lambda _: None)
        host: Any = SimpleNamespace(writer=writer, places=find_folders({"HEADCODE_HOME": str(home.folder)}))
        with caplog.at_level(logging.ERROR):
            answer = await adopt_first_session(host, AdoptFirstSession())
        await writer.close()
    assert answer.sessions == ()
    assert "the recorded first session is not shown: " in caplog.text
    assert home.counts() == before
    assert is_untouched(home.store)


def test_it_is_small_in_the_wheel_and_names_nobody() -> None:
    assert RECORDING.stat().st_size < 700_000
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    name = RECORDING.relative_to(ROOT).as_posix()
    assert name.split("/")[0] in wheel["packages"]
    assert not any(name.startswith(folder) for folder in wheel["exclude"])
    # hatch leaves out what git ignores.
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    assert not any(fnmatch(part, pattern) for part in (name, *name.split("/")) for pattern in ignored)
    for text in log_texts():
        words = re.sub("[A-Za-z0-9+/]{200,}=*", "", text)  # base64 may look like a path
        assert strip_paths(words) == words
        assert socket.gethostname() not in text


@pytest.fixture
async def client() -> AsyncIterator[HostClient]:
    home = Path(tempfile.mkdtemp(prefix="hc-"))
    places = find_folders({"HEADCODE_HOME": str(home)})
    connected = await HostClient.connect(places, timeout_s=120)
    yield connected
    await connected.close()
    await stop_host(places)
    shutil.rmtree(home)


async def entries_until(client: HostClient, session: str, kind: type, n: int = 1) -> list[LogEntry]:
    found: list[LogEntry] = []
    async with asyncio.timeout(300):
        async for batch in client.follow(session):
            found += batch
            if sum(isinstance(entry.event, kind) for entry in found) == n:
                return found
    raise AssertionError


def only(entries: list[LogEntry], kind: type) -> Any:
    return [entry.event for entry in entries if isinstance(entry.event, kind)][-1]


async def test_it_is_what_the_engine_computes_now(client: HostClient) -> None:
    (recorded,) = (await client.ask(AdoptFirstSession(), SessionsAnswer)).sessions
    # As a first start without it does: other options, examples or steps by default show here,
    create = CreateSession(name=SESSION_NAME, model="toy", task="ioi")
    fresh = (await client.ask(create, SessionAnswer)).session
    run = (await client.ask(QueueRun(session=fresh.session_id), RunAnswer)).run
    then = await entries_until(client, recorded.session_id, RunEnded)
    now = await entries_until(client, fresh.session_id, RunEnded)
    assert only(now, RunEnded).state == "done"
    assert only(then, RunQueued) == only(now, RunQueued), AGAIN
    assert only(then, ExamplesMade) == only(now, ExamplesMade), AGAIN
    kinds = [[entry.event.__struct_config__.tag for entry in each] for each in (then, now)]
    assert set(kinds[0]) - {"session_imported"} == set(kinds[1]), AGAIN
    # and other codes, losses or scores here.
    run_id = next(entry.run_id for entry in then if entry.run_id is not None)
    assert run_id != run.run_id
    await client.ask(VerifyRun(run=run_id), VerificationStarted)
    await entries_until(client, recorded.session_id, VerificationEnded)
    report = (await client.ask(GetVerification(run=run_id), VerificationAnswer)).report
    assert report.verdict in ("same", "rounding"), f"{report.words} {AGAIN}"
    if report.verdict == "same":
        assert only(then, Scored).nodes == only(now, Scored).nodes, AGAIN
        assert only(then, ProbeFinished).circuit == only(now, ProbeFinished).circuit, AGAIN
