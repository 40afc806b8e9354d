"""Test a session that moves from one host to another."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from engine.events import Scored
from engine.steering import SteerPlan
from sessions.client.connection import stop_host
from sessions.errors import Refusal
from sessions.events import SessionImported
from sessions.protocol import (
    BundleExported,
    BundleImported,
    CodesAnswer,
    ExportSession,
    GetCodes,
    GetSteering,
    ImportBundle,
    ListSteerings,
    Steering,
    SteeringsAnswer,
)


async def test_a_session_goes_from_host_to_host(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    plan = SteerPlan(kind="code", nodes=((0, 1),), code=3, strengths=(2.0,))
    steered = await client.ask(GetSteering(run=run.run_id, plan=plan), Steering)
    folder = Path(tempfile.mkdtemp(prefix="hc-"))
    other = type(lab)(folder / "home")
    try:
        one, two = folder / "one.headcode", folder / "two.headcode"
        ask = ExportSession(session=run.session_id, path=str(one), sae=True)
        done = (await client.ask(ask, BundleExported)).exported
        assert done.n_bytes == one.stat().st_size
        there = await other.connect()
        imported = (await there.ask(ImportBundle(path=str(one)), BundleImported)).imported
        assert (imported.arrival, imported.n_runs, imported.n_sae) == ("new", 1, 1)
        await there.ask(ExportSession(session=run.session_id, path=str(two), sae=True), BundleExported)
        assert one.read_bytes() == two.read_bytes()
        # It can be replayed: the log is the same, followed by the entry about its origin.
        detail = await other.detail(there, run.session_id)
        here = await lab.entries(client, run.session_id, lambda have: len(have) == detail.last_seq - 1)
        output = await other.entries(there, run.session_id, lambda have: len(have) == detail.last_seq)
        assert output[:-1] == here
        assert isinstance(output[-1].event, SessionImported)
        assert any(isinstance(entry.event, Scored) for entry in output)
        codes = (await there.ask(GetCodes(run=run.run_id, layer=1, head=2), CodesAnswer)).codes
        assert codes == (await client.ask(GetCodes(run=run.run_id, layer=1, head=2), CodesAnswer)).codes
        listed = await there.ask(ListSteerings(run=run.run_id), SteeringsAnswer)
        assert [each.steered for each in listed.steerings] == [steered.steered]
        # It continues: the same session gets a run here.
        again = await other.again(there, run.session_id)
        assert again.number == 2
        _, end = await other.finish(there, again)
        assert end.state == "done"
        with pytest.raises(Refusal, match="exists already"):
            await client.ask(ask, BundleExported)
    finally:
        await other.close()
        await stop_host(other.places)
        shutil.rmtree(folder)


async def test_a_file_that_is_none_is_refused_by_the_host(lab: Any) -> None:
    client = await lab.connect()
    path = Path(tempfile.mkdtemp(prefix="hc-")) / "bad.headcode"
    path.write_bytes(b"PK\5\6" + bytes(18))
    with pytest.raises(Refusal, match="not a Headcode bundle"):
        await client.ask(ImportBundle(path=str(path)), BundleImported)
    assert (await lab.status(client)).worker_state in ("none", "starting", "warm")
    shutil.rmtree(path.parent)
