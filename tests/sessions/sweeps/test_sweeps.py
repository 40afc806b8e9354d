"""Test sweeps on the real host with scripted workers: each unit once, whatever dies meanwhile."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import pytest

from engine.config import ProbeConfig
from engine.planning.run_options import RunOptions
from engine.sweeps.plan import ExampleSource, PlannedUnit, SweepPlan
from sessions.errors import Refusal
from sessions.files.unit_logs import read_unit_logs
from sessions.protocol import (
    BundleExported,
    BundleImported,
    CancelSweep,
    EstimateSweep,
    ExportSession,
    FollowSweep,
    GetSweep,
    ImportBundle,
    ListSessions,
    ListSweeps,
    QuerySql,
    RetrySweep,
    SessionsAnswer,
    SqlAnswer,
    StartSweep,
    SweepAnswer,
    SweepDetail,
    SweepEstimate,
    SweepsAnswer,
)


def plan_of(models: Sequence[str], *, name: str = "mine", tasks: Sequence[str] = ("ioi",), seeds: int = 1) -> SweepPlan:
    """Return a sweep of each task, each model and each of so many seeds."""
    options = tuple(RunOptions(config=ProbeConfig(seeds=(seed,))) for seed in range(seeds))
    units = [
        PlannedUnit(
            key=f"{hash((task, model, seed)) & (2**64 - 1):032x}",
            labels=(("task", task), ("model", model), ("seeds", str(seed))),
            model=model,
            source=source,
            options=seed,
        )
        for source, task in enumerate(tasks)
        for model in models
        for seed in range(seeds)
    ]
    sources = tuple(ExampleSource(label=task, task=task, pairs=2) for task in tasks)
    return SweepPlan(name=name, sources=sources, options=options, units=tuple(units))


async def ended(client: Any, sweep: str = "mine") -> SweepDetail:
    """Return the sweep once nothing of it runs."""
    seen = -1
    async with asyncio.timeout(600):
        while True:
            answer = await client.ask(FollowSweep(sweep=sweep, seen=seen), SweepAnswer)
            if not answer.progress.active:
                return await client.ask(GetSweep(sweep=sweep), SweepDetail)
            seen = answer.progress.news


async def started(client: Any, plan: SweepPlan, *, workers: int = 2) -> SweepAnswer:
    return await client.ask(StartSweep(plan=plan, workers=workers), SweepAnswer)


async def until(client: Any, true: Any, sweep: str = "mine") -> SweepAnswer:
    """Return the first answer for which the condition holds."""
    seen = -1
    async with asyncio.timeout(600):
        while True:
            answer = await client.ask(FollowSweep(sweep=sweep, seen=seen), SweepAnswer)
            if true(answer):
                return answer
            seen = answer.progress.news


async def rows(client: Any, sql: str) -> list[list[Any]]:
    return list((await client.ask(QuerySql(sql=sql), SqlAnswer)).table.rows)


async def test_every_unit_is_an_ordinary_run(lab) -> None:
    client = await lab.connect()
    answer = await started(client, plan_of(["toy"], tasks=("ioi", "greater_than"), seeds=3))
    assert (answer.sweep.units, answer.sweep.done, answer.progress.active) == (6, 0, True)
    detail = await ended(client)
    assert (detail.sweep.done, detail.sweep.failed, detail.progress.done) == (6, 0, 6)
    assert Counter(row.session for row in detail.units) == {"mine: ioi": 3, "mine: greater_than": 3}
    assert sorted(row.number for row in detail.units if row.session == "mine: ioi") == [1, 2, 3]
    found = await lab.detail(client, "mine: ioi")
    assert [run.state for run in found.runs] == ["done"] * 3
    assert {run.task for run in found.runs} == {"ioi"}
    assert {run.config.seeds for run in found.runs} == {(0,), (1,), (2,)}
    sql = "SELECT sweep, labels->>'seeds' AS seeds, state, attempts FROM sweep_runs ORDER BY ALL"
    assert await rows(client, sql) == [["mine", str(seed), "done", 1] for seed in (0, 0, 1, 1, 2, 2)]
    assert await rows(client, "SELECT name, units, done, sessions FROM sweeps") == [["mine", 6, 6, 2]]


async def test_what_is_done_is_not_done_again_and_a_sweep_is_extended(lab) -> None:
    client = await lab.connect()
    await started(client, plan_of(["toy"], seeds=2))
    first = {row.key: row.run_id for row in (await ended(client)).units}
    again = await started(client, plan_of(["toy"], seeds=2))
    assert not again.progress.active
    await started(client, plan_of(["toy"], seeds=5))
    more = {row.key: row.run_id for row in (await ended(client)).units}
    assert len(more) == 5
    assert more.items() > first.items()
    # A sweep of another name finds the same runs.
    other = await started(client, plan_of(["toy"], seeds=5, name="other"))
    assert (other.sweep.units, other.sweep.done, other.progress.active) == (5, 5, False)
    assert await rows(client, "SELECT count(*) FROM runs") == [[5]]
    assert {row.name for row in (await client.ask(ListSweeps(), SweepsAnswer)).sweeps} == {"mine", "other"}


async def test_a_unit_that_fails_says_why_and_is_tried_again_on_request(lab) -> None:
    client = await lab.connect()
    await started(client, plan_of(["toy", "broken"], seeds=2))
    detail = await ended(client)
    assert (detail.sweep.done, detail.sweep.failed) == (2, 2)
    failed = [row for row in detail.units if row.state == "failed"]
    assert {row.failure.name for row in failed} == {"ModelError"}
    assert {row.attempts for row in failed} == {1}  # the input is wrong: another try is no use
    assert len(detail.progress.problems) == 2
    # The log of each says so, and failed ones come first. A worker's first words are its first unit's.
    keys = {row.key: row for row in detail.units}
    logs = read_unit_logs(lab.places.logs, list(keys))
    assert [keys[log.key].model for log in logs[:2]] == ["broken"] * 2
    for log in logs[:2]:
        assert f"mine: run {keys[log.key].run_id} (task ioi, model broken" in log.lines[0]
        assert log.lines[-1].startswith("failed: There is no model 'broken'.")
    assert "scripted worker begins" in {line for log in logs for line in log.lines}
    await client.ask(RetrySweep(sweep="mine", failed=True, workers=2), SweepAnswer)
    detail = await ended(client)
    assert {row.attempts for row in detail.units if row.state == "failed"} == {2}
    assert {row.attempts for row in detail.units if row.state == "done"} == {1}


async def test_a_unit_whose_workers_die_is_tried_twice_more_then_failed_with_the_reason(lab) -> None:
    client = await lab.connect()
    await started(client, plan_of(["killed", "toy"]))
    detail = await ended(client)
    (dead,) = [row for row in detail.units if row.model == "killed"]
    assert (dead.state, dead.attempts) == ("failed", 3)
    assert "SIGKILL" in dead.failure.message
    states = [run.state for run in (await lab.detail(client, "mine: ioi")).runs if run.model == "killed"]
    assert states == ["failed", "interrupted", "interrupted"]
    assert [problem.again for problem in detail.progress.problems] == [True, True, False]


async def test_a_worker_killed_in_mid_unit_costs_no_unit(lab) -> None:
    client = await lab.connect()
    await started(client, plan_of(["wait"], seeds=1), workers=1)
    answer = await until(client, lambda answer: any(w.stage == "train" for w in answer.progress.workers))
    first = answer.progress.workers[0].run_id
    os.kill((await lab.status(client)).worker_pid, signal.SIGKILL)
    await until(client, lambda answer: any(w.run_id != first and w.stage == "train" for w in answer.progress.workers))
    (row,) = (await client.ask(GetSweep(sweep="mine"), SweepDetail)).units
    assert (row.state, row.attempts) == ("running", 2)
    await client.ask(CancelSweep(sweep="mine"), SweepAnswer)
    (row,) = (await client.ask(GetSweep(sweep="mine"), SweepDetail)).units
    assert (row.state, row.attempts) == ("stopped", 2)


async def test_a_sweep_is_cancelled_within_two_seconds(lab) -> None:
    client = await lab.connect()
    await started(client, plan_of(["hang", "wait"], seeds=20))
    await until(client, lambda answer: sum(w.stage == "train" for w in answer.progress.workers) == 2)
    begun = time.monotonic()
    answer = await client.ask(CancelSweep(sweep="mine"), SweepAnswer)
    assert time.monotonic() - begun < 2.5
    assert not answer.progress.active
    detail = await client.ask(GetSweep(sweep="mine"), SweepDetail)
    assert Counter(row.state for row in detail.units) == {"stopped": 2, "waiting": 38}
    assert await rows(client, "SELECT count(*) FROM runs") == [[2]]


async def test_a_host_killed_in_mid_sweep_loses_and_doubles_nothing(lab) -> None:
    client = await lab.connect()
    plan = plan_of(["many:50"], seeds=8)
    await started(client, plan)
    answer = await until(client, lambda answer: answer.progress.done >= 2)
    host = (await lab.status(client)).pid
    os.kill(host, signal.SIGKILL)
    client = await lab.connect()
    detail = await client.ask(GetSweep(sweep="mine"), SweepDetail)
    assert detail.sweep.done >= answer.progress.done
    assert not detail.progress.active
    before = {row.key: row.run_id for row in detail.units if row.state == "done"}
    await started(client, plan)
    detail = await ended(client)
    assert {row.state for row in detail.units} == {"done"}
    assert {row.key: row.run_id for row in detail.units}.items() >= before.items()
    twice = "SELECT unit_key, count(*) FROM sweep_runs JOIN runs USING (run_id) GROUP BY unit_key HAVING count(*) > 1"
    assert await rows(client, twice) == []
    assert await rows(client, "SELECT count(*) FROM runs WHERE state = 'done'") == [[8]]


async def test_what_people_ask_for_does_not_wait_for_the_sweep(lab) -> None:
    client = await lab.connect()
    await started(client, plan_of(["many:30"], seeds=12), workers=2)
    run = await lab.queue(client)
    _, end = await lab.finish(client, run)
    assert end.state == "done"
    detail = await client.ask(GetSweep(sweep="mine"), SweepDetail)
    assert detail.sweep.done < 12
    assert (await ended(client)).sweep.done == 12


async def test_two_sweeps_share_the_workers_and_the_first_to_end_leaves_them(lab) -> None:
    client = await lab.connect()
    await started(client, plan_of(["toy"], seeds=2), workers=1)
    await started(client, plan_of(["wait"], seeds=4, name="long"), workers=2)
    assert (await ended(client)).sweep.done == 2
    await until(client, lambda answer: sum(w.stage == "train" for w in answer.progress.workers) == 2, "long")
    await client.ask(CancelSweep(sweep="long"), SweepAnswer)


async def test_a_host_leaves_after_its_sweep(lab, monkeypatch: pytest.MonkeyPatch, until, alive) -> None:
    monkeypatch.setenv("HEADCODE_HOST_IDLE_S", "0.3")
    client = await lab.connect()
    await started(client, plan_of(["many:10"], seeds=4))
    pid = client.welcome.pid
    await client.close()
    await until(lambda: not alive(pid))
    client = await lab.connect()
    assert (await client.ask(GetSweep(sweep="mine"), SweepDetail)).sweep.done == 4


async def test_many_units_are_few_sessions(lab) -> None:
    client = await lab.connect()
    plan = plan_of(["wait"], tasks=("ioi", "induction"), seeds=410)
    await started(client, plan)
    await client.ask(CancelSweep(sweep="mine"), SweepAnswer)
    listed = (await client.ask(ListSessions(), SessionsAnswer)).sessions
    assert sorted(row.name for row in listed) == [
        *("mine: induction", "mine: induction 2", "mine: induction 3"),
        *("mine: ioi", "mine: ioi 2", "mine: ioi 3"),
    ]
    held = "SELECT count(*) AS n FROM sweep_runs GROUP BY labels->>'task' ORDER BY ALL"
    assert await rows(client, held) == [[410], [410]]


async def test_a_sweeps_session_travels_with_its_plan(lab, tmp_path: Path) -> None:
    client = await lab.connect()
    plan = plan_of(["toy"], seeds=3)
    folder = msgspec.structs.replace(plan.units[2], model="/home/ann/toy", labels=(("model", "/home/ann/toy"),))
    plan = msgspec.structs.replace(plan, units=(*plan.units[:2], folder))
    await started(client, plan)
    await ended(client)
    goal = tmp_path / "mine.headcode"
    await client.ask(ExportSession(session="mine: ioi", path=str(goal)), BundleExported)
    assert b"/home/ann" not in b"".join(ZipFile(goal).read(name) for name in ZipFile(goal).namelist())
    again = await client.ask(ImportBundle(path=str(goal)), BundleImported)
    assert again.imported.arrival == "same"
    await client.ask(ImportBundle(path=str(goal), as_copy=True), BundleImported)
    assert await rows(client, "SELECT name, units, done FROM sweeps") == [["mine", 4, 4]]
    other = type(lab)(Path(tempfile.mkdtemp(prefix="hc-")))
    there = await other.connect()
    await there.ask(ImportBundle(path=str(goal)), BundleImported)
    assert await rows(there, "SELECT name, units, done, sessions FROM sweeps") == [["mine", 3, 3, 1]]
    # What was imported is not computed again.
    answer = await started(there, plan)
    assert (answer.sweep.done, answer.progress.active) == (4, False)
    await other.close()
    shutil.rmtree(other.places.data.parent)


async def test_it_is_estimated_before_it_runs(lab) -> None:
    client = await lab.connect()
    plan = plan_of(["toy", "nothing-of-that-name"], seeds=4)
    found = await client.ask(EstimateSweep(plan=plan, workers=3), SweepEstimate)
    assert (found.units, found.done, found.workers) == (8, 0, 3)
    by_model = {group.model: group for group in found.groups}
    assert by_model["toy"].peak_bytes > 100e6
    assert by_model["nothing-of-that-name"].peak_bytes is None
    assert by_model["nothing-of-that-name"].trouble
    assert await rows(client, "SELECT count(*) FROM sessions") == [[0]]


async def test_an_executor_that_is_not_there_is_refused_with_the_way_out(lab) -> None:
    client = await lab.connect()
    with pytest.raises(Refusal, match="--on moon") as found:
        await client.ask(StartSweep(plan=plan_of(["toy"]), on="moon"), SweepAnswer)
    assert "local" in found.value.failure.hint
    assert await rows(client, "SELECT count(*) FROM sweeps") == [[0]]
