"""A bench carried out over the host: its runs lie in a session of their own, and what is there is not run again."""

import asyncio
import hashlib
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from engine.bench import Cell, Taken
from engine.errors import ConfigError, Failure
from engine.events import EdgesScored
from engine.state import RunPicture
from sessions.client import HostClient
from sessions.errors import HostError, Refusal
from sessions.log import LogEntry, RunEnded, RunQueued
from sessions.rows import SessionDetail, SessionRow
from sessions.wire import (
    CancelRun,
    ChangeTags,
    CreateSession,
    Detail,
    Done,
    MadeFrom,
    Note,
    QueueRun,
    Run,
    Session,
    ShowSession,
    WriteNote,
)
from tui.commands.running import fold

TAG = "bench"
"""What sessions of benches are tagged with."""
HEADING = "Bench of circuits"
"""The first words of the note that says what came out."""
_MOST_NOTE = 15_000
"""Characters: a note has at most 20,000."""
_CODE_STAGES = ("train", "codes", "scores")


class BenchOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be there in the end."""

    cells: tuple[Cell, ...]
    cause: bool
    """Effects are measured, too: in the first run of each prompts."""
    edges: frozenset[tuple[str, str]] = frozenset()
    """Models and tasks whose edges are known."""
    name: str | None = None
    """Of the session; None: one that follows from the order, so that the same order finds it again."""
    fresh: bool = False
    """In a new session, whatever there is."""
    device: str = "auto"

    def session_name(self) -> str:
        said = msgspec.json.encode([sorted(self.cells), self.cause])
        return self.name or f"bench-{hashlib.sha256(said).hexdigest()[:6]}"

    def with_cause(self, cell: Cell) -> bool:
        """Effects do not depend on the recipe but for the order in which heads are tried: one recipe has them."""
        return self.cause and cell.recipe == self.cells[0].recipe


class Bench(msgspec.Struct, kw_only=True, eq=False):
    """Where a bench stands."""

    session: SessionRow
    taken: dict[Cell, Taken]
    failed: dict[Cell, Failure] = msgspec.field(default_factory=dict)
    stopped: bool = False
    n_before: int = 0
    """Runs that were there already."""


Heard = Callable[[Cell, "Taken | Failure", "Bench"], None]
"""Called when a run is over."""


async def read_bench(client: HostClient, name: str) -> Bench:
    """What lies in a bench's session. Raises Refusal where there is none, ConfigError where that is no bench."""
    detail = (await client.ask(ShowSession(session=name), Detail)).detail
    _check(detail)
    log = _Log()
    await log.read(client, detail)
    return Bench(session=detail.session, taken=log.taken(), n_before=len(log.taken()))


class Conductor:
    """Carries an order out: Ctrl+C stops the run under way and keeps what is done, a second one leaves at once."""

    def __init__(self, client: HostClient, order: BenchOrder, heard: Heard) -> None:
        self.client, self.order, self.heard = client, order, heard
        self.bench: Bench
        self._stopping = False
        self._current: str | None = None
        self._stops: list[asyncio.Task[None]] = []

    async def conduct(self) -> Bench:
        """Everything that is not there yet is run. Raises HostError and Refusal of the host itself."""
        loop, work = asyncio.get_running_loop(), asyncio.current_task()
        loop.add_signal_handler(signal.SIGINT, lambda: self._interrupt(cast("asyncio.Task[object]", work)))
        try:
            return await self._conduct()
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _conduct(self) -> Bench:
        detail = await self._session()
        log = _Log()
        await log.read(self.client, detail)
        bench = self.bench = Bench(session=detail.session, taken=log.taken())
        wanted = set(self.order.cells)
        bench.taken = {cell: taken for cell, taken in bench.taken.items() if cell in wanted and self._whole(taken)}
        bench.n_before = len(bench.taken)
        follow = asyncio.create_task(log.follow(self.client, detail.session.session_id))
        try:
            for cell in self.order.cells:
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
        return bench

    async def _session(self) -> SessionDetail:
        name = self.order.session_name()
        if not self.order.fresh:
            try:
                detail = (await self.client.ask(ShowSession(session=name), Detail)).detail
            except Refusal as refusal:
                if refusal.failure.name != "NoSuchRecord":
                    raise
            else:
                if detail.session.trashed_us is None:
                    _check(detail)
                    return detail
        first = self.order.cells[0]
        made = (await self.client.ask(CreateSession(name=name, model=first.model), Session)).session
        await self.client.ask(ChangeTags(session=made.session_id, add=(TAG,)), Session)
        return (await self.client.ask(ShowSession(session=made.session_id), Detail)).detail

    def _whole(self, taken: Taken) -> bool:
        """Whether the run has all that this order wants of it."""
        return not self.order.with_cause(taken.cell) or "combined" in taken.seconds

    def _hopeless(self, cell: Cell) -> bool:
        """Whether the model or the task failed before in this bench, in a way that will not change."""
        return any(
            other.model == cell.model
            and (failure.name not in ("TaskError", "OutOfMemory", "WorkerDied") or other.task == cell.task)
            for other, failure in self.bench.failed.items()
        )

    async def _one(self, cell: Cell, log: "_Log") -> None:
        order = self.order
        while (run_id := log.under_way(cell)) is not None:
            # Of a run whose prompts are not made yet, nobody knows how many they will be: seen when it is over.
            await self._wait(run_id, log)
            if self._stopping:
                return
        if cell not in self.bench.taken:
            config = cell.config(cause=order.with_cause(cell), edges=(cell.model, cell.task) in order.edges)
            asked = QueueRun(
                session=self.bench.session.session_id,
                config=config,
                model=cell.model,
                device=order.device,
                made=MadeFrom(task=cell.task, pairs=cell.examples, task_seed=cell.draw),
            )
            run_id = (await self.client.ask(asked, Run)).run.run_id
            if self._stopping:
                self._stop(run_id)
            failure = await self._wait(run_id, log)
            if failure is not None and not self._stopping:
                self.bench.failed[cell] = failure
                self.heard(cell, failure, self.bench)

    async def _wait(self, run_id: str, log: "_Log") -> Failure | None:
        """Takes what the run gives when it is over; returns why it gave nothing, where it did not."""
        self._current = run_id
        ended = await log.end_of(run_id)
        self._current = None
        taken = log.runs[run_id].taken() if ended.state == "done" else None
        if taken is None:
            told = f"The run was {ended.state}."
            return ended.failure or Failure(family="engine", name="Ended", message=told)
        if taken.cell in self.order.cells and self._whole(taken):
            self.bench.taken[taken.cell] = taken
            self.heard(taken.cell, taken, self.bench)
        return None

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
    """Leaves what came out in the session as a note, in the place of an older one."""
    text = text if len(text) <= _MOST_NOTE else text[:_MOST_NOTE].rpartition("\n")[0] + "\n..."
    detail = (await client.ask(ShowSession(session=session.session_id), Detail)).detail
    before = next((note for note in detail.notes if note.text.startswith(HEADING)), None)
    if before is None or before.text.strip() != text.strip():
        note = None if before is None else before.note_id
        await client.ask(WriteNote(session=session.session_id, text=text, note=note), Note)


def _check(detail: SessionDetail) -> None:
    if TAG not in detail.session.tags:
        raise ConfigError(
            f"Session {detail.session.name!r} is no bench.", hint=f"headcode sessions list --tag {TAG} shows those."
        )


class _Folding(msgspec.Struct, kw_only=True, eq=False):
    """One run of the bench's session, as far as the log has told it."""

    queued: RunQueued
    picture: RunPicture = RunPicture()
    ended: RunEnded | None = None
    n_pairs: int = 0

    def hear(self, entry: LogEntry) -> None:
        self.picture, ended = fold((entry,), entry.run_id or "", self.picture)
        self.ended = ended or self.ended
        if isinstance(entry.event, EdgesScored):
            self.n_pairs = entry.event.n_pairs

    def cell(self) -> Cell | None:
        """Which run of a bench this is; None before its examples are made."""
        n = sum(example.positive for example in self.picture.examples)
        queued, seeds = self.queued, self.queued.config.seeds
        if queued.task is None or not n:
            return None
        draw = seeds[0] // len(seeds)
        return Cell(model=queued.model, task=queued.task, examples=n, draw=draw, recipe=queued.config.sae.recipe)

    def may_be(self, cell: Cell) -> bool:
        """Whether it is the cell's run, as far as can be told."""
        queued, own = self.queued, self.cell()
        same = (queued.model, queued.task, queued.config.sae.recipe) == (cell.model, cell.task, cell.recipe)
        return own == cell if own is not None else same and queued.config.seeds == cell.seeds

    def taken(self) -> Taken | None:
        cell, picture = self.cell(), self.picture
        if cell is None or picture.model is None or picture.finished is None or cell.seeds != self.queued.config.seeds:
            return None
        return Taken(
            cell=cell,
            model=picture.model,
            nodes=picture.nodes,
            edges=picture.edges,
            n_pairs=self.n_pairs,
            edge_effects=picture.edge_effects,
            seconds=self._seconds(),
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


class _Log:
    """The log of a bench's session, run by run."""

    def __init__(self) -> None:
        self.runs: dict[str, _Folding] = {}
        self.seq = 0
        self._news = asyncio.Condition()
        self._error: Exception | None = None

    async def read(self, client: HostClient, detail: SessionDetail) -> None:
        """Everything up to the session's last entry."""
        if detail.last_seq:
            async for entries in client.follow(detail.session.session_id):
                self._hear(entries)
                if self.seq >= detail.last_seq:
                    break

    async def follow(self, client: HostClient, session_id: str) -> None:
        """What comes after that, for ever. Raises HostGone, Refusal."""
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

    async def end_of(self, run_id: str) -> RunEnded:
        """How the run ended, once it has. Raises what broke the log off."""
        async with self._news:
            await self._news.wait_for(lambda: self._error is not None or self._ended(run_id) is not None)
        ended = self._ended(run_id)
        if ended is None:
            raise self._error or HostError("The host's log ended.", hint="headcode host log")
        return ended

    def taken(self) -> dict[Cell, Taken]:
        """Every run that went through, the newest of each cell."""
        found = (run.taken() for run in self.runs.values() if run.ended is not None and run.ended.state == "done")
        return {each.cell: each for each in found if each is not None}

    def under_way(self, cell: Cell) -> str | None:
        """The run that somebody else, or a bench that was killed, has begun for this cell, or may have."""
        return next((name for name, run in self.runs.items() if run.ended is None and run.may_be(cell)), None)

    def _ended(self, run_id: str) -> RunEnded | None:
        run = self.runs.get(run_id)
        return None if run is None else run.ended

    def _hear(self, entries: Sequence[LogEntry]) -> None:
        for entry in entries:
            self.seq = entry.seq
            if entry.run_id is None:
                continue
            if isinstance(entry.event, RunQueued):
                self.runs[entry.run_id] = _Folding(queued=entry.event)
            elif entry.run_id in self.runs:
                self.runs[entry.run_id].hear(entry)


def seconds_left(cells: Sequence[Cell], spent: Mapping[Cell, float]) -> float | None:
    """What is still to come will take so long, going by runs of the same kind; None before there are such."""
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
