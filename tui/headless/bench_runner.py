"""Runs a benchmark over the host, in a session of its own; finished runs are not repeated."""

import asyncio
import hashlib
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from engine.analysis.benchmark import BenchmarkResult, BenchmarkRun
from engine.config import EffectsConfig, LoadOptions, PatchingMethod, load_fields
from engine.errors import Cancelled, ConfigError, Failure
from sessions.client.connection import HostClient
from sessions.errors import HostError, Refusal
from sessions.events import EffectsEnded, RunEnded
from sessions.protocol import (
    CancelRun,
    ChangeTags,
    CreateSession,
    DiscardSession,
    Done,
    MeasureRunEffects,
    NoteAnswer,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsRemoved,
    ShowSession,
    TaskExamples,
    WriteNote,
)
from sessions.rows import SessionDetail, SessionRow
from sessions.version import version
from tui.headless.bench_log import BenchLog

TAG = "bench"
"""Tag of benchmark sessions."""
USABLE = "usable-pairs"
"""Additional tag if the runs use only pairs the model can do."""
HEADING = "Bench of circuits"
"""First words of the note with the summary."""
_MOST_NOTE = 15_000
"""Maximum characters of the note; the host allows 20,000."""


class BenchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The runs and effects a benchmark consists of."""

    cells: tuple[BenchmarkRun, ...]
    cause: bool
    """Measure effects, too, on the runs of the first recipe."""
    exact: bool = False
    """Patch every head exactly, whatever it costs."""
    edges: frozenset[tuple[str, str]] = frozenset()
    """Models and tasks with known edges."""
    name: str | None = None
    """Name of the session; None: derived from the request, so that the same request finds it again."""
    fresh: bool = False
    """Use a new session in any case."""
    loading: LoadOptions = LoadOptions()
    """How the models are loaded; every cell has its `dtype`, too, as that decides the results."""

    @property
    def usable(self) -> bool:
        """Whether only pairs the model can do are used."""
        return any(cell.usable for cell in self.cells)

    def session_name(self) -> str:
        # Another version may measure differently: its runs are not mixed with these.
        content = msgspec.json.encode([sorted(self.cells), self.cause, version()])
        return self.name or f"bench-{hashlib.sha256(content).hexdigest()[:6]}"

    def with_cause(self, cell: BenchmarkRun) -> bool:
        """Return whether effects are measured on this run.

        Effects do not depend on the recipe, except for the order in which heads are tried, so one recipe has them.
        """
        return self.cause and cell.recipe == self.cells[0].recipe


class BenchState(msgspec.Struct, kw_only=True, eq=False):
    """Progress of a benchmark."""

    session: SessionRow
    taken: dict[BenchmarkRun, BenchmarkResult]
    failed: dict[BenchmarkRun, Failure] = msgspec.field(default_factory=dict)
    stopped: bool = False
    kept: bool = True
    """False: all its runs were refused and its session was removed."""
    n_before: int = 0
    """Number of runs that already existed."""


OnResult = Callable[[BenchmarkRun, "BenchmarkResult | Failure", "BenchState"], None]
"""Called for every finished run."""


async def read_bench(client: HostClient, name: str) -> BenchState:
    """Read a benchmark's session. Raises Refusal if there is none, ConfigError if it is not a benchmark."""
    detail = (await client.ask(ShowSession(session=name), SessionDetailAnswer)).detail
    _check(detail)
    log = _log(detail)
    await log.read(client, detail)
    return BenchState(session=detail.session, taken=log.taken(), n_before=len(log.taken()))


class BenchRunner:
    """Runs a request. Ctrl+C stops the current run and keeps what is done; a second one leaves at once."""

    def __init__(self, client: HostClient, request: BenchRequest, on_result: OnResult) -> None:
        self.client, self.request, self.on_result = client, request, on_result
        self.bench: BenchState
        self._stopping = False
        self._current: str | None = None
        self._stops: list[asyncio.Task[None]] = []

    async def conduct(self) -> BenchState:
        """Run everything that is missing. Raises Cancelled, and HostError and Refusal of the host itself."""
        loop, work = asyncio.get_running_loop(), asyncio.current_task()
        loop.add_signal_handler(signal.SIGINT, lambda: self._interrupt(cast("asyncio.Task[object]", work)))
        try:
            return await self._conduct()
        except asyncio.CancelledError:
            raise Cancelled from None
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _conduct(self) -> BenchState:
        detail = await self._session()
        log = _log(detail)
        await log.read(self.client, detail)
        bench = self.bench = BenchState(session=detail.session, taken=log.taken())
        wanted = set(self.request.cells)
        bench.taken = {
            cell: taken for cell, taken in bench.taken.items() if cell in wanted and not self._missing(taken)
        }
        bench.n_before = len(bench.taken)
        follow = asyncio.create_task(log.follow(self.client, detail.session.session_id))
        try:
            for cell in self.request.cells:
                if self._stopping or follow.done():
                    break
                if cell in bench.taken or self._hopeless(cell):
                    continue
                await self._one(cell, log)
        finally:
            follow.cancel()
            ends = await asyncio.gather(follow, *self._stops, return_exceptions=True)
        if isinstance(ends[0], HostError | Refusal):
            raise ends[0]
        bench.stopped = self._stopping
        if bench.failed and not bench.taken:
            # The host keeps it if a run failed for another reason than an invalid name.
            bench.kept = not (
                await self.client.ask(DiscardSession(session=detail.session.session_id), SessionsRemoved)
            ).sessions
        return bench

    async def _session(self) -> SessionDetail:
        name = self.request.session_name()
        if not self.request.fresh:
            try:
                detail = (await self.client.ask(ShowSession(session=name), SessionDetailAnswer)).detail
            except Refusal as refusal:
                if refusal.failure.name != "NoSuchRecord":
                    raise
            else:
                if detail.session.trashed_us is None:
                    _check(detail)
                    self._check_pairs(detail)
                    return detail
        first = self.request.cells[0]
        made = (await self.client.ask(CreateSession(name=name, model=first.model), SessionAnswer)).session
        tags = (TAG, USABLE) if self.request.usable else (TAG,)
        await self.client.ask(ChangeTags(session=made.session_id, add=tags), SessionAnswer)
        return (await self.client.ask(ShowSession(session=made.session_id), SessionDetailAnswer)).detail

    def _check_pairs(self, detail: SessionDetail) -> None:
        if (USABLE in detail.session.tags) != self.request.usable:
            which = "all of a task's pairs" if self.request.usable else "only pairs the model can do"
            raise ConfigError(
                f"Runs of session {detail.session.name!r} have {which}.",
                hint=f"{'Omit --usable' if self.request.usable else 'Give --usable'}, or another --name.",
            )

    def _missing(self, taken: BenchmarkResult) -> list[PatchingMethod]:
        """Return the effect methods that are still missing on the run."""
        if not self.request.with_cause(taken.cell):
            return []
        missing: list[PatchingMethod] = []
        if "combined" not in taken.seconds:
            missing.append("combined")
        elif "edges" not in taken.seconds and (taken.cell.model, taken.cell.task) in self.request.edges:
            missing.append("attribution")  # which includes the edges
        if self.request.exact and any(node.exact_effect is None for node in taken.nodes):
            missing.append("exact")
        return missing

    def _hopeless(self, cell: BenchmarkRun) -> bool:
        """Return whether the model or task failed earlier in a way that will not change."""
        return any(
            other.model == cell.model
            and (failure.name not in ("TaskError", "OutOfMemory", "WorkerDied") or other.task == cell.task)
            for other, failure in self.bench.failed.items()
        )

    async def _one(self, cell: BenchmarkRun, log: BenchLog) -> None:
        while (run_id := log.under_way(cell)) is not None:
            # Before a run's prompts are made, their number is unknown; it is checked again when the run has ended.
            await self._over(run_id, log)
            if self._stopping:
                return
        run_id = log.done(cell)
        if run_id is None:
            run_id = await self._queue(cell)
            ended = await self._over(run_id, log)
            if ended.state != "done":
                self._failed(cell, ended)
                return
        taken = log.runs[run_id].taken()
        for method in self._missing(taken) if taken is not None else ():
            failed = None if self._stopping else await self._measure(run_id, method, cell, log)
            if failed is not None:
                self._failed(cell, failed)
        taken = log.runs[run_id].taken()
        if taken is not None:
            self.bench.taken[cell] = taken
            if cell not in self.bench.failed:
                self.on_result(cell, taken, self.bench)

    async def _queue(self, cell: BenchmarkRun) -> str:
        request = self.request
        config = cell.config(cause=request.with_cause(cell), edges=(cell.model, cell.task) in request.edges)
        asked = QueueRun(
            session=self.bench.session.session_id,
            config=config,
            model=cell.model,
            **load_fields(request.loading),
            made=TaskExamples(task=cell.task, pairs=cell.examples, task_seed=cell.draw, usable=cell.usable),
        )
        return (await self.client.ask(asked, RunAnswer)).run.run_id

    async def _measure(
        self, run_id: str, method: PatchingMethod, cell: BenchmarkRun, log: BenchLog
    ) -> EffectsEnded | None:
        """Measure effects on a finished run; return how that ended if it failed."""
        folding = log.runs[run_id]
        if not folding.measuring:  # otherwise an interrupted benchmark has requested it
            edges = method != "exact" and (cell.model, cell.task) in self.request.edges
            before = folding.n_measured
            await self.client.ask(MeasureRunEffects(run=run_id, config=EffectsConfig(method=method, edges=edges)), Done)
            await self._until(run_id, log, lambda: folding.measuring or folding.n_measured > before)
        await self._until(run_id, log, lambda: not folding.measuring)
        ended = folding.measured
        return ended if ended is not None and ended.state != "done" else None

    async def _over(self, run_id: str, log: BenchLog) -> RunEnded:
        await self._until(run_id, log, lambda: run_id in log.runs and log.runs[run_id].ended is not None)
        ended = log.runs[run_id].ended
        assert ended is not None
        return ended

    async def _until(self, run_id: str, log: BenchLog, true: Callable[[], bool]) -> None:
        """Wait for a condition on the log; Ctrl+C stops the run meanwhile."""
        self._current = run_id
        if self._stopping:
            self._stop(run_id)
        await log.until(true)
        self._current = None

    def _failed(self, cell: BenchmarkRun, ended: RunEnded | EffectsEnded) -> None:
        if not self._stopping:
            failure = Failure(family="engine", name="Ended", message=f"The run was {ended.state}.")
            self.bench.failed[cell] = ended.failure or failure
            self.on_result(cell, self.bench.failed[cell], self.bench)

    def _interrupt(self, work: "asyncio.Task[object]") -> None:
        if self._stopping:
            work.cancel()
            return
        self._stopping = True
        if self._current is not None:
            self._stop(self._current)

    def _stop(self, run_id: str) -> None:
        async def stop() -> None:
            await self.client.ask(CancelRun(run=run_id), Done)

        self._stops.append(asyncio.create_task(stop()))


async def keep_summary(client: HostClient, session: SessionRow, text: str) -> None:
    """Save the summary as a note in the session, replacing an older one."""
    text = text if len(text) <= _MOST_NOTE else text[:_MOST_NOTE].rpartition("\n")[0] + "\n..."
    detail = (await client.ask(ShowSession(session=session.session_id), SessionDetailAnswer)).detail
    before = next((note for note in detail.notes if note.text.startswith(HEADING)), None)
    if before is None or before.text.strip() != text.strip():
        note = None if before is None else before.note_id
        await client.ask(WriteNote(session=session.session_id, text=text, note=note), NoteAnswer)


def _log(detail: SessionDetail) -> BenchLog:
    return BenchLog(usable=USABLE in detail.session.tags)


def _check(detail: SessionDetail) -> None:
    if TAG not in detail.session.tags:
        raise ConfigError(
            f"Session {detail.session.name!r} is not a benchmark.",
            hint=f"headcode sessions list --tag {TAG} lists them.",
        )


def seconds_left(cells: Sequence[BenchmarkRun], spent: Mapping[BenchmarkRun, float]) -> float | None:
    """Estimate the remaining seconds from runs of the same kind; None if there are none yet."""
    by_kind: dict[tuple[str, int, str], list[float]] = {}
    for cell, seconds in spent.items():
        by_kind.setdefault((cell.model, cell.examples, cell.recipe), []).append(seconds)
    total = 0.0
    for cell in cells:
        kind = by_kind.get((cell.model, cell.examples, cell.recipe))
        if kind is None:
            return None
        total += sum(kind) / len(kind)
    return total
