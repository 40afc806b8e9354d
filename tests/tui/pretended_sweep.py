"""A sweep over eight checkpoints and three draws: made up, one unit failed, one under way."""

import asyncio
from typing import Any

from engine.errors import Failure
from engine.sweeps.births import CheckpointRun, birth_table
from engine.sweeps.run_measures import RunMeasures
from sessions.protocol import (
    CancelSweep,
    FollowSweep,
    GetBirths,
    GetSweep,
    GetSweepMeasures,
    ListSweeps,
    RetrySweep,
    SweepAnswer,
    SweepBirths,
    SweepDetail,
    SweepMeasures,
    SweepProgress,
    SweepsAnswer,
    SweepWorker,
)
from sessions.rows import SweepRow, SweepUnitRow

STEPS = (0, 100, 200, 400, 600, 800, 1000, 1200)
NODES = ("0.0", "0.1", "1.0", "m0")
_JUMPS = {"0.0": 300, "0.1": 700, "m0": 500}
"""Steps from which a node's score is high; 1.0 stays low."""
REQUESTS = (ListSweeps, GetSweep, GetSweepMeasures, FollowSweep, GetBirths, RetrySweep, CancelSweep)


class PretendedSweep:
    """Answers the requests about one sweep."""

    def __init__(self, name: str = "births", *, active: bool = True) -> None:
        self.name, self.active, self.news = name, active, 1
        self.told = asyncio.Event()
        """Set it after a change, with another `news`."""
        self.known: dict[tuple[int, int], str] = {}
        """Runs that the host has, by step and draw."""
        self.retried = self.cancelled = 0
        self.done = {(step, draw) for step in STEPS for draw in range(3)} - {(1200, 2), (1000, 2)}

    def run_id(self, step: int, draw: int) -> str:
        return self.known.get((step, draw), f"r-{step}-{draw}")

    @property
    def row(self) -> SweepRow:
        return SweepRow(
            sweep_id="w-1",
            name=self.name,
            planned_us=1_790_000_000_000_000,
            units=24,
            done=len(self.done),
            failed=1,
            running=1,
            interrupted=0,
            sessions=1,
        )

    @property
    def units(self) -> tuple[SweepUnitRow, ...]:
        message = f"No memory left for {self.name}."
        failure = Failure(family="engine", name="OutOfMemory", message=message, hint="Fewer codes.")
        found = []
        for step in STEPS:
            for draw in range(3):
                state: Any = "done" if (step, draw) in self.done else "failed" if step == 1000 else "running"
                found.append(
                    SweepUnitRow(
                        key=f"{step}-{draw}",
                        labels=(("task", "addition"), ("checkpoint", str(step)), ("draw", str(draw))),
                        model=f"adder@{step}",
                        draw=draw,
                        run_id=self.run_id(step, draw),
                        session_id="s-1",
                        session=f"{self.name}: addition",
                        number=len(found) + 1,
                        state=state,
                        failure=failure if state == "failed" else None,
                        seconds=1.5 if state == "done" else None,
                        attempts=1,
                    )
                )
        return tuple(found)

    @property
    def progress(self) -> SweepProgress:
        if not self.active:
            return SweepProgress(news=self.news, active=False)
        unit, run_id = f"{self.name}, draw 2", "r-1200-2"
        worker = SweepWorker(name="worker 1", where="here", run_id=run_id, unit=unit, stage="train", done=7, total=9)
        return SweepProgress(news=self.news, active=True, on="local", units=24, done=22, workers=(worker,), left_s=3.0)

    def measures(self, measure: str, node: str) -> SweepMeasures:
        nodes = () if not measure else (node,) if node else NODES
        runs = tuple(
            RunMeasures(
                run_id=self.run_id(step, draw),
                verdict="believable" if step > 500 else "weak",
                auc=min(1.0, 0.5 + step / 2000),
                accuracy=share(step, 600, draw),
                trained=None,
                held_out=None,
                examples=f"x{draw}",
                circuit=("0.0", "m0") if step > 500 else ("1.0", "m0"),
                values=tuple(score(each, step, draw) for each in nodes),
            )
            for step, draw in sorted(self.done)
        )
        return SweepMeasures(nodes=nodes, runs=runs)

    async def answer(self, request: Any) -> Any:
        match request:
            case ListSweeps():
                return SweepsAnswer(sweeps=(self.row,), active=("w-1",) if self.active else ())
            case GetSweep():
                return SweepDetail(sweep=self.row, units=self.units, progress=self.progress)
            case GetSweepMeasures():
                return self.measures(request.measure, request.node)
            case FollowSweep():
                if request.seen == self.news:
                    self.told.clear()
                    await self.told.wait()
                return SweepAnswer(sweep=self.row, progress=self.progress)
            case GetBirths():
                return SweepBirths(sweep=self.row, tables=(birth_table(self.runs(), measure="total_variation"),))
            case RetrySweep():
                self.retried += 1
                return SweepAnswer(sweep=self.row, progress=self.progress)
            case CancelSweep():
                self.cancelled += 1
                self.active = False
                return SweepAnswer(sweep=self.row, progress=self.progress)
        raise AssertionError(request)

    def runs(self) -> list[CheckpointRun]:
        return [
            CheckpointRun(
                step=step,
                draw=str(draw),
                examples=f"x{draw}",
                accuracy=share(step, 600, draw),
                values={node: score(node, step, draw) for node in NODES},
                circuit=("0.0", "m0") if step > 500 else ("1.0", "m0"),
            )
            for step, draw in sorted(self.done)
        ]


def score(node: str, step: int, draw: int) -> float:
    """A node's made-up score: a jump, and what tells draws apart."""
    return share(step, _JUMPS.get(node, 10**9), draw)


def share(step: int, jump: int, draw: int) -> float:
    return (0.9 if step >= jump else 0.1) + 0.01 * ((step // 100 + 7 * draw) % 5)
