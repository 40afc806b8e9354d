"""Test units of the bundled model: the same codes with any number of workers, with one killed, and on a node."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil
import pytest

from engine.machine.folders import find_folders
from engine.sweeps.content_key import installed_versions
from engine.sweeps.expansion import identity_of
from engine.sweeps.plan import SweepPlan
from sessions.client.connection import HostClient, stop_host
from sessions.errors import BadBundle, Refusal
from sessions.protocol import (
    CancelSweep,
    GatherSweep,
    GetSweep,
    StartSweep,
    SweepAnswer,
    SweepDetail,
    SweepGathered,
)
from sessions.services.writer import StoreWriter
from sessions.store.database import Store
from sessions.store.recorder import Recorder
from sessions.store.sweep_units import stored_units, unit_rows
from sessions.sweeps.executor import AnyReport, Pack, UnitDone, UnitFailed, UnitStarted, UnitTask
from sessions.sweeps.gather import UnitBundle, gather, record_bundle
from sessions.sweeps.records import make_task, record_plan
from sessions.sweeps.version_check import find_difference, find_other_model

from ...torture.sealing import open_up, seal
from .cluster_parts import CODES, follow, plan_of, rows


@pytest.fixture
async def homes() -> AsyncIterator[list[Path]]:
    homes = [Path(tempfile.mkdtemp(prefix="hc-")) for _ in range(2)]
    yield homes
    for home in homes:
        await stop_host(find_folders({"HEADCODE_HOME": str(home)}))
        shutil.rmtree(home)


async def connect(home: Path) -> HostClient:
    return await HostClient.connect(find_folders({"HEADCODE_HOME": str(home)}), timeout_s=600)


async def test_forty_units_on_two_workers_with_one_killed_have_the_codes_of_one_worker(homes: list[Path]) -> None:
    plan = plan_of(40)
    two, one = await connect(homes[0]), await connect(homes[1])
    await two.ask(StartSweep(plan=plan, workers=2), SweepAnswer)
    await follow(two, lambda answer: answer.progress.done >= 8)
    children = psutil.Process(two.welcome.pid).children()
    workers = [child for child in children if "engine.worker" in " ".join(child.cmdline())]
    assert len(workers) == 2
    os.kill(workers[1].pid, signal.SIGKILL)
    answer = await follow(two, lambda answer: not answer.progress.active)
    assert (answer.sweep.done, answer.sweep.failed) == (40, 0)
    assert len(answer.progress.problems) <= 1  # it may have been killed between two units
    assert await rows(two, "SELECT count(*), count(DISTINCT run_id) FROM sweep_runs WHERE state = 'done'") == [[40, 40]]
    assert await rows(two, "SELECT count(*) FROM runs WHERE state = 'done'") == [[40]]
    await one.ask(StartSweep(plan=plan, workers=1), SweepAnswer)
    await follow(one, lambda answer: not answer.progress.active)
    codes = await rows(two, CODES)
    assert len(codes) == 40
    assert len({tuple(each) for _, each in codes}) > 30  # seeds differ
    assert codes == await rows(one, CODES)
    await two.close()
    await one.close()


def tasks_of(store: Store, plan: SweepPlan, home: Path) -> list[UnitTask]:
    places = find_folders({"HEADCODE_HOME": str(home)})
    sweep = record_plan(Recorder(store), plan)[0]
    return [
        make_task(
            sweep.name,
            unit,
            places,
            identity=identity_of("toy", places.models),
            versions=installed_versions(),
            last=False,
        )
        for unit in sweep.units
    ]


def run_node(pack: Pack, folder: Path) -> list[AnyReport]:
    """Run a pack as a node does: in a process of its own, with a home of its own and no host."""
    folder.mkdir()
    (folder / "pack.json").write_bytes(msgspec.json.encode(pack))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sessions.sweeps.node", "pack.json", "out", "--scratch", str(folder)],
        cwd=folder,
        env={**os.environ, "HEADCODE_HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return [msgspec.json.decode(line, type=AnyReport) for line in done.stdout.splitlines()]


async def test_units_of_a_node_are_taken_in_once_with_the_codes_of_the_host(homes: list[Path], tmp_path: Path) -> None:
    plan = plan_of(3)
    client = await connect(homes[0])
    await client.ask(StartSweep(plan=plan, workers=1), SweepAnswer)
    await follow(client, lambda answer: not answer.progress.active)
    here = await rows(client, CODES)
    await client.close()

    store = Store.open(tmp_path / "sessions.duckdb")
    tasks = tasks_of(store, plan, homes[1])
    wrong = msgspec.structs.replace(tasks[2], identity="0" * 64)
    other = msgspec.structs.replace(tasks[2], versions=msgspec.structs.replace(installed_versions(), torch="0.1"))
    reports = run_node(Pack(units=(*tasks[:2], wrong, other, tasks[2])), tmp_path / "node")
    ends = [each for each in reports if isinstance(each, UnitDone | UnitFailed)]
    assert [type(each) for each in ends] == [UnitDone, UnitDone, UnitFailed, UnitFailed, UnitDone]
    assert [each.failure.name for each in ends if isinstance(each, UnitFailed)] == ["OtherWeights", "VersionsDiffer"]
    assert not any(each.again for each in ends if isinstance(each, UnitFailed))
    assert sum(isinstance(each, UnitStarted) for each in reports) == 5
    left = sorted(path.name for path in (tmp_path / "node").iterdir())
    assert left == ["home", "out", "pack.json"] or left == ["out", "pack.json"]  # no scratch file stays
    files = {each.run_id: Path(each.bundle) for each in ends if isinstance(each, UnitDone)}

    sae = tmp_path / "sae"
    recorder = Recorder(store)
    for attempt in ("new", "known"):
        for task in (tasks[0], tasks[1], tasks[2]):
            bundle = UnitBundle(files[task.run_id], tmp_path / "staging")
            bundle.place_weights(sae)
            taken, _ = record_bundle(recorder, bundle, session_id=task.session_id, asked=task.asked)
            bundle.close()
            assert taken == attempt
    assert store.rows(CODES.strip()) == [tuple(row) for row in here]
    sweep_id = str(store.rows("SELECT sweep_id FROM sweeps")[0][0])
    assert [(row.state, row.attempts, row.number) for row in unit_rows(store, sweep_id)] == [
        ("done", 1, number) for number in (1, 2, 3)
    ]
    assert len(list(sae.iterdir())) == 3
    assert not list((tmp_path / "staging").iterdir())
    # Its times are those of the node, its settings those that the host asked for.
    (stored,) = stored_units(store, sweep_id, {tasks[0].key})
    assert stored.source.task == "ioi"
    (seconds,) = store.rows("SELECT seconds FROM sweep_runs WHERE number = 2")
    assert 0 < seconds[0] < 300
    cut = tmp_path / "cut.headcode"
    cut.write_bytes(files[tasks[0].run_id].read_bytes()[:-100])
    with pytest.raises(BadBundle):
        UnitBundle(cut, tmp_path / "staging")
    await refuses_impossible_values(store, tasks[0], files[tasks[0].run_id], tmp_path)
    store.close()


async def refuses_impossible_values(store: Store, task: UnitTask, honest: Path, folder: Path) -> None:
    """A number that no column holds is found by the store's own transaction, and named; nothing of it stays."""
    parts = open_up(await asyncio.to_thread(honest.read_bytes))
    lines = [json.loads(line) for line in parts["events.jsonl"].splitlines()]
    next(line["event"] for line in lines if line["event"]["kind"] == "graded")["grades"][0]["rank"] = 2**40
    other = "r" + "0" * (len(task.run_id) - 1)  # of a run that the store does not have
    text = "".join(json.dumps(line) + "\n" for line in lines).replace(task.run_id, other)
    renamed = {name.replace(task.run_id, other): data for name, data in parts.items()}
    wrong = folder / "wrong.headcode"
    wrong.write_bytes(seal({**renamed, "events.jsonl": text.encode()}))
    before = store.rows("SELECT count(*) FROM event")
    store.cursor().execute("UPDATE run SET state = 'interrupted' WHERE unit_key = $key", {"key": task.key})
    thread = ThreadPoolExecutor(1)
    writer = StoreWriter(store, thread, lambda _: None)
    with pytest.raises(BadBundle, match="hold values that no session can"):
        await gather(
            writer, wrong, session_id=task.session_id, asked=task.asked, staging=folder / "staging", sae=folder / "sae"
        )
    await writer.close()
    thread.shutdown()
    assert store.rows("SELECT count(*) FROM event") == before
    assert not list((folder / "staging").iterdir())


async def test_a_folder_of_units_is_gathered_by_the_host(homes: list[Path], tmp_path: Path) -> None:
    client = await connect(homes[0])
    await client.ask(StartSweep(plan=plan_of(2), workers=1), SweepAnswer)
    await client.ask(CancelSweep(sweep="real"), SweepAnswer)  # before the engine was there
    store = Store.open(tmp_path / "sessions.duckdb")
    tasks = tasks_of(store, plan_of(3), homes[1])
    store.close()
    run_node(Pack(units=tuple(tasks)), tmp_path / "node")
    (tmp_path / "node" / "out" / "junk.headcode").write_text("no bundle")
    request = GatherSweep(sweep="real", folder=str(tmp_path / "node" / "out"))
    for counts in ((2, 0), (0, 2)):
        found = await client.ask(request, SweepGathered)
        assert (found.new, found.known) == counts
        assert len(found.refused) == 2  # a unit that the sweep does not have, and a file that is none
        assert any("no unit of this sweep" in line for line in found.refused)
    detail = await client.ask(GetSweep(sweep="real"), SweepDetail)
    assert [row.state for row in detail.units] == ["done"] * 2
    with pytest.raises(Refusal, match="no folder"):
        await client.ask(GatherSweep(sweep="real", folder=str(tmp_path / "nothing")), SweepGathered)
    await client.close()


def test_a_difference_names_both_sides() -> None:
    here = installed_versions()
    assert find_difference(here) is None
    failure = find_difference(msgspec.structs.replace(here, torch="2.1", headcode=""))
    assert f"torch is {here.torch} on this node and 2.1 on the host" in failure.message
    assert find_other_model("name:x", "abc", "x") is None
    other = find_other_model("f" * 64, "a" * 64, "x")
    assert "aaaaaaaaaaaa" in other.message
    assert "ffffffffffff" in other.message
