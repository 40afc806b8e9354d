"""The log of a benchmark's session, folded into one state per run."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from engine.analysis.benchmark import BenchmarkResult, BenchmarkRun
from engine.analysis.run_state import RunSnapshot
from engine.events import EdgesScored
from sessions.client.connection import HostClient
from sessions.errors import HostError, Refusal
from sessions.events import EffectsEnded, EffectsRequested, LogEntry, RunEnded, RunQueued
from sessions.rows import SessionDetail
from tui.headless.run_probe import fold

_CODE_STAGES = ("train", "codes", "scores")


class BenchRun(msgspec.Struct, kw_only=True, eq=False):
    """State of one run of the benchmark, from the log so far."""

    queued: RunQueued
    usable: bool = False
    """Whether the runs of its session use only pairs the model can do."""
    picture: RunSnapshot = RunSnapshot()
    ended: RunEnded | None = None
    n_pairs: int = 0
    measuring: bool = False
    """Whether effects are being measured after the run."""
    measured: EffectsEnded | None = None
    """How the last effect measurement ended."""
    n_measured: int = 0

    def hear(self, entry: LogEntry) -> None:
        self.picture, ended = fold((entry,), entry.run_id or "", self.picture)
        self.ended = ended or self.ended
        match entry.event:
            case EdgesScored(n_pairs=n_pairs):
                self.n_pairs = n_pairs
            case EffectsRequested():
                self.measuring = True
            case EffectsEnded():
                self.measuring, self.measured, self.n_measured = False, entry.event, self.n_measured + 1

    def cell(self) -> BenchmarkRun | None:
        """Return which run of a benchmark this is; None before its examples are made."""
        n = sum(example.positive for example in self.picture.examples)
        queued, seeds = self.queued, self.queued.config.seeds
        if queued.task is None or not n:
            return None
        draw = seeds[0] // len(seeds)
        return BenchmarkRun(
            model=queued.model,
            task=queued.task,
            examples=n,
            draw=draw,
            recipe=queued.config.sae.recipe,
            usable=self.usable,
            dtype=queued.dtype,
            nodes=queued.config.nodes,
        )

    def may_be(self, cell: BenchmarkRun) -> bool:
        """Return whether it may be this cell's run, as far as is known."""
        queued, own = self.queued, self.cell()
        asked = (queued.model, queued.task, queued.config.sae.recipe, queued.dtype, queued.config.nodes)
        same = asked == (cell.model, cell.task, cell.recipe, cell.dtype, cell.nodes)
        return own == cell if own is not None else same and queued.config.seeds == cell.seeds

    def taken(self) -> BenchmarkResult | None:
        cell, picture = self.cell(), self.picture
        if cell is None or picture.model is None or picture.finished is None or cell.seeds != self.queued.config.seeds:
            return None
        return BenchmarkResult(
            cell=cell,
            model=picture.model,
            nodes=picture.nodes,
            edges=picture.edges,
            n_pairs=self.n_pairs,
            edge_effects=picture.edge_effects,
            seconds=self._seconds(),
            dtype=picture.versions.dtype if picture.versions is not None else "float32",
        )

    def _seconds(self) -> dict[str, float]:
        stages: dict[str, float] = dict(self.picture.seconds)
        found = {
            "capture": stages.get("capture", 0.0),
            "codes": round(sum(stages.get(stage, 0.0) for stage in _CODE_STAGES), 4),
        }
        causes = self.picture.causes
        found |= {cause.method: cause.seconds for cause in causes if cause.final}
        if self.picture.edge_effects is not None:
            found["edges"] = self.picture.edge_effects.seconds
        return found


class BenchLog:
    """The log of a benchmark's session, by run."""

    def __init__(self, *, usable: bool = False) -> None:
        """`usable`: whether the session's runs use only pairs the model can do."""
        self.usable = usable
        self.runs: dict[str, BenchRun] = {}
        self.seq = 0
        self._news = asyncio.Condition()
        self._error: Exception | None = None

    async def read(self, client: HostClient, detail: SessionDetail) -> None:
        """Read up to the session's last entry."""
        if detail.last_seq:
            async for entries in client.follow(detail.session.session_id):
                self._hear(entries)
                if self.seq >= detail.last_seq:
                    break

    async def follow(self, client: HostClient, session_id: str) -> None:
        """Follow later entries without end. Raises HostGone, Refusal."""
        try:
            async for entries in client.follow(session_id, after_seq=self.seq):
                self._hear(entries)
                async with self._news:
                    self._news.notify_all()
        except (HostError, Refusal) as error:
            self._error = error
            async with self._news:
                self._news.notify_all()
            raise

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until the condition holds. Raises the error that broke the log off."""
        async with self._news:
            await self._news.wait_for(lambda: self._error is not None or true())
        if not true():
            raise self._error or HostError("The host's log ended.", hint="headcode host log")

    def taken(self) -> dict[BenchmarkRun, BenchmarkResult]:
        """Return every finished run, the newest of each cell."""
        found = (run.taken() for run in self.runs.values() if run.ended is not None and run.ended.state == "done")
        return {each.cell: each for each in found if each is not None}

    def under_way(self, cell: BenchmarkRun) -> str | None:
        """Return a run for this cell, or possibly for it, begun by another client or by an interrupted benchmark."""
        return next((name for name, run in self.runs.items() if run.ended is None and run.may_be(cell)), None)

    def done(self, cell: BenchmarkRun) -> str | None:
        """Return the newest finished run of this cell."""
        found = [name for name, run in self.runs.items() if run.ended and run.ended.state == "done"]
        return next((name for name in reversed(found) if self.runs[name].cell() == cell), None)

    def _hear(self, entries: Sequence[LogEntry]) -> None:
        for entry in entries:
            self.seq = entry.seq
            if entry.run_id is None:
                continue
            if isinstance(entry.event, RunQueued):
                self.runs[entry.run_id] = BenchRun(queued=entry.event, usable=self.usable)
            elif entry.run_id in self.runs:
                self.runs[entry.run_id].hear(entry)
