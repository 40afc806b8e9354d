"""Test units on nodes with a scripted engine: cancelled, lost, failed, and conducted by a host that has their files."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.config import ProbeConfig
from engine.machine.folders import AppFolders, find_folders
from engine.planning.run_options import RunOptions
from engine.sweeps.content_key import installed_versions
from engine.sweeps.plan import ExampleSource, PlannedUnit, SweepPlan
from sessions.files.log_files import SizedLog
from sessions.services.run_queue import RunQueue
from sessions.services.worker_supervisor import WorkerSupervisor
from sessions.services.writer import StoreWriter
from sessions.store.database import Store
from sessions.store.sweep_units import unit_rows
from sessions.sweeps import executors
from sessions.sweeps.conductor import Conductor
from sessions.sweeps.executor import (
    AnyReport,
    Pack,
    ReportTo,
    UnitDone,
    UnitFailed,
    UnitProgress,
    UnitTask,
    WorkerJoined,
)
from sessions.sweeps.executors import ExecutorKind
from sessions.sweeps.node import NodeWorker, run_pack
from sessions.sweeps.records import make_task, record_plan

SCRIPTED = [sys.executable, "-P", str(Path(__file__).parents[1] / "scripted_worker.py")]


def plan_of(models: Sequence[str], seeds: int = 1) -> SweepPlan:
    options = tuple(RunOptions(config=ProbeConfig(seeds=(seed,))) for seed in range(seeds))
    units = tuple(
        PlannedUnit(
            key=f"{number:016x}{seed:016x}",
            labels=(("model", model), ("seeds", str(seed))),
            model=model,
            options=seed,
        )
        for number, model in enumerate(models)
        for seed in range(seeds)
    )
    source = ExampleSource(label="ioi", task="ioi", pairs=2)
    return SweepPlan(name="mine", sources=(source,), options=options, units=units)


class Parts:
    """What a host has of a sweep, without its socket."""

    def __init__(self, home: Path) -> None:
        self.places: AppFolders = find_folders({"HEADCODE_HOME": str(home)})
        self.store = Store.open(self.places.store)
        self.thread = ThreadPoolExecutor(1)
        self.writer = StoreWriter(self.store, self.thread, lambda _: None)
        supervisor = WorkerSupervisor(SCRIPTED, SizedLog(home / "worker.log"), idle_s=0)
        self.runs = RunQueue(self.places, self.writer, supervisor)
        self.conductor = Conductor(self.places, self.writer, self.runs)

    async def tasks(self, plan: SweepPlan) -> list[UnitTask]:
        sweep = await self.writer.change(lambda recorder: record_plan(recorder, plan))
        versions = installed_versions()
        return [
            make_task("mine", unit, self.places, identity="name:x", versions=versions, last=False)
            for unit in sweep.units
        ]


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    parts = Parts(tmp_path / "home")
    yield parts
    await parts.conductor.close()
    await parts.runs.close()
    await parts.writer.close()
    await asyncio.get_running_loop().run_in_executor(parts.thread, parts.store.close)
    parts.thread.shutdown()


class NodeExecutor:
    """Two nodes in this process: each an engine of its own, and nothing but files for the host."""

    def __init__(self, report: ReportTo, folder: Path) -> None:
        self.report, self.folder = report, folder
        self.queue: asyncio.Queue[Pack] = asyncio.Queue()
        self.nodes = [NodeWorker(name=f"node {number}", scratch=folder, command=SCRIPTED) for number in (1, 2)]
        self.work = [asyncio.create_task(self.serve(node)) for node in self.nodes]
        for node in self.nodes:
            report(WorkerJoined(worker=node.name))

    async def serve(self, node: NodeWorker) -> None:
        while True:
            await run_pack(await self.queue.get(), self.folder, self.report, worker=node)

    async def submit(self, packs: Sequence[Pack]) -> None:
        for pack in packs:
            self.queue.put_nowait(pack)

    async def cancel(self, run_ids: Collection[str]) -> None:
        for run_id in run_ids:
            for node in self.nodes:
                node.cancel(run_id)

    async def close(self) -> None:
        for task in self.work:
            task.cancel()
        for node in self.nodes:
            await node.close()


async def test_a_conductor_takes_in_what_nodes_leave_and_repeats_what_they_lose(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "nodes"
    folder.mkdir()
    kind = ExecutorKind(name="nodes", about="nodes", make=lambda context: NodeExecutor(context.report, folder))
    monkeypatch.setitem(executors.EXECUTORS, "nodes", kind)
    plan = plan_of(["toy", "broken", "killed", "many:5", "many:20"], seeds=3)
    sweep = await parts.writer.change(lambda recorder: record_plan(recorder, plan))
    await parts.conductor.start(sweep, on="nodes", workers=2)
    async with asyncio.timeout(120):
        while parts.conductor.busy:
            await parts.conductor.wait_for_news(parts.conductor.progress(sweep.sweep_id).news, within_s=1)
    rows = await parts.writer.read(lambda store: unit_rows(store, sweep.sweep_id))
    states = {row.model: Counter() for row in rows}
    for row in rows:
        states[row.model][row.state, row.attempts] += 1
    # Tries that a node lost leave nothing in the store; the last one says why.
    assert states == {
        "toy": {("failed", 1): 3},  # the scripted engine has other weights than the bundled model
        "broken": {("failed", 1): 3},
        "killed": {("failed", 1): 3},
        "many:5": {("done", 1): 3},
        "many:20": {("done", 1): 3},
    }
    assert {row.failure.name for row in rows if row.failure} == {"OtherWeights", "ModelError", "WorkerDied"}
    progress = parts.conductor.progress(sweep.sweep_id)
    assert (progress.done, progress.failed) == (6, 9)
    assert sum(problem.again for problem in progress.problems) == 6  # three units, twice more
    logged = (parts.places.logs / "worker.log").read_text()
    assert "scripted worker begins" in logged
    assert "--- mine: run r" in logged
    assert "(model toy, seeds 0) on node " in logged
    assert list(folder.iterdir()) == []  # files that were taken in are deleted, and so is all scratch
    codes = await parts.writer.read(lambda store: store.rows("SELECT count(DISTINCT run_id) FROM code"))
    assert codes == [(6,)]
    # Once more: only what failed is run again.
    again = await parts.writer.change(lambda recorder: record_plan(recorder, plan))
    assert len(again.done) == 6
    await parts.conductor.start(again, on="nodes", workers=2)
    assert parts.conductor.progress(sweep.sweep_id).units == 9
    await parts.conductor.cancel(sweep.sweep_id)
    assert parts.conductor.active == ()


async def test_files_that_an_earlier_host_left_are_taken_in_before_anything_runs(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = ExecutorKind(name="nodes", about="nodes", make=lambda context: NodeExecutor(context.report, tmp_path))
    monkeypatch.setitem(executors.EXECUTORS, "nodes", kind)
    plan = plan_of(["many:5"], seeds=2)
    done, left = await parts.tasks(plan)
    sweep = await parts.writer.change(lambda recorder: record_plan(recorder, plan))
    out = parts.places.sweeps / sweep.sweep_id / "out"
    async with NodeWorker(scratch=tmp_path, command=SCRIPTED) as node:
        assert isinstance(await node.run(done, out, lambda _: None), UnitDone)
    (out / "cut.headcode").write_text("no bundle")
    await parts.conductor.start(sweep, on="nodes", workers=1)
    assert parts.conductor.progress(sweep.sweep_id).units == 1  # the other one
    assert list(out.iterdir()) == []
    async with asyncio.timeout(60):
        while parts.conductor.busy:
            await parts.conductor.wait_for_news(parts.conductor.progress(sweep.sweep_id).news, within_s=1)
    rows = await parts.writer.read(lambda store: unit_rows(store, sweep.sweep_id))
    assert {row.key: row.state for row in rows} == {done.key: "done", left.key: "done"}
    assert done.run_id in {row.run_id for row in rows}


@pytest.mark.parametrize("model", ["wait", "hang"])
async def test_a_unit_is_cancelled_within_two_seconds(parts: Parts, tmp_path: Path, model: str) -> None:
    (task,) = await parts.tasks(plan_of([model]))
    training, reports = asyncio.Event(), list[AnyReport]()

    def report(each: AnyReport) -> None:
        reports.append(each)
        if isinstance(each, UnitProgress) and each.stage == "train":
            training.set()

    async with NodeWorker(scratch=tmp_path, command=SCRIPTED) as node, asyncio.timeout(60):
        work = asyncio.create_task(node.run(task, tmp_path / "out", report))
        await training.wait()
        node.cancel(task.run_id)
        async with asyncio.timeout(2.5):
            ended = await work
    assert isinstance(ended, UnitFailed)
    assert (ended.failure.family, ended.again) == ("cancelled", False)
    assert not (tmp_path / "out").exists()


async def test_a_node_goes_on_after_its_engine_died(parts: Parts, tmp_path: Path) -> None:
    dead, alive = await parts.tasks(plan_of(["killed", "toy"]))
    async with NodeWorker(scratch=tmp_path, command=SCRIPTED) as node, asyncio.timeout(60):
        lost = await node.run(dead, tmp_path / "out", lambda _: None)
        done = await node.run(alive, tmp_path / "out", lambda _: None)
    assert isinstance(lost, UnitFailed)
    assert lost.again
    assert isinstance(done, UnitDone)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{alive.run_id}.headcode"]
