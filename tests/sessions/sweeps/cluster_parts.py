"""Units of the bundled model for executors on other machines, and what they report."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.examples import Example
from engine.machine.folders import find_folders
from engine.sweeps.content_key import installed_versions
from engine.sweeps.expansion import expand, identity_of
from engine.sweeps.plan import SweepPlan
from engine.sweeps.spec import spec_from_words
from sessions.client.connection import HostClient
from sessions.protocol import FollowSweep, QuerySql, SqlAnswer, SweepAnswer
from sessions.store.database import Store
from sessions.store.recorder import Recorder
from sessions.sweeps.executor import AnyReport, Executor, Pack, UnitDone, UnitFailed, UnitTask
from sessions.sweeps.records import make_task, record_plan

CODES = """
    SELECT s.unit_key, list(c.code ORDER BY c.seed, c.example, c.layer, c.head) AS codes
    FROM sweep_runs AS s JOIN codes AS c USING (run_id) GROUP BY s.unit_key ORDER BY s.unit_key
"""
ONCE = "SELECT count(*), count(DISTINCT run_id), count(DISTINCT unit_key) FROM sweep_runs WHERE state = 'done'"


class Inputs:
    def __init__(self, models: Path) -> None:
        self.models = models

    def examples(self, _: str) -> tuple[Example, ...]:
        return ()

    def checkpoints(self, _: str) -> tuple[()]:
        return ()


def plan_of(units: int, *, models: Path = Path("/nonexistent"), name: str = "real", **words: str) -> SweepPlan:
    small = {"task": "ioi", "seeds": f"0..{units - 1}", "shuffles": "0", "bootstraps": "1", "device": "cpu"}
    return expand(spec_from_words(small | words, name=name, pairs=2), Inputs(models))


def tasks_of(plan: SweepPlan, home: Path) -> list[UnitTask]:
    """Return tries at the units, as a host with that home would make them."""
    places = find_folders({"HEADCODE_HOME": str(home)})
    store = Store.open(home / "tasks.duckdb")
    sweep = record_plan(Recorder(store), plan)[0]
    store.close()
    versions = installed_versions()
    return [
        make_task(
            sweep.name,
            unit,
            places,
            identity=identity_of(unit.unit.model, places.models),
            versions=versions,
            last=False,
        )
        for unit in sweep.units
    ]


async def follow(client: HostClient, enough: Callable[[SweepAnswer], object]) -> SweepAnswer:
    """Return the first answer about the sweep `real` that is enough, within ten minutes."""
    seen = -1
    async with asyncio.timeout(600):
        while True:
            answer = await client.ask(FollowSweep(sweep="real", seen=seen), SweepAnswer)
            if enough(answer):
                return answer
            seen = answer.progress.news


async def rows(client: HostClient, sql: str) -> list[list[Any]]:
    return list((await client.ask(QuerySql(sql=sql, limit=100_000), SqlAnswer)).table.rows)


class Reports:
    """What an executor reports, in order."""

    def __init__(self) -> None:
        self.all: list[AnyReport] = []
        self._changed = asyncio.Event()

    def __call__(self, report: AnyReport) -> None:
        self.all.append(report)
        self._changed.set()

    @property
    def ends(self) -> list[UnitDone | UnitFailed]:
        return [each for each in self.all if isinstance(each, UnitDone | UnitFailed)]

    async def until(self, enough: Callable[[], object], *, within_s: float = 120) -> None:
        async with asyncio.timeout(within_s):
            while not enough():
                self._changed.clear()
                await self._changed.wait()


async def run_all(executor: Executor, reports: Reports, tasks: Sequence[UnitTask]) -> dict[str, UnitDone | UnitFailed]:
    """Run the units to their ends; return those by run id."""
    before = len(reports.ends)
    await executor.submit([Pack(units=tuple(tasks))])
    await reports.until(lambda: len(reports.ends) >= before + len(tasks))
    return {each.run_id: each for each in reports.ends}
