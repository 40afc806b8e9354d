"""Simulate the users of a soak: people at work, a slow listener, one who runs probes, a clock."""

import asyncio
import random
import time
from collections import Counter, deque
from contextlib import aclosing, suppress
from pathlib import Path

from engine.config import ProbeConfig, SAEConfig
from engine.examples import Example
from engine.machine.folders import AppFolders
from sessions.client.connection import HostClient
from sessions.errors import Refusal
from sessions.events import RunEnded
from sessions.protocol import (
    BundleExported,
    BundleImported,
    ChangeTags,
    CircuitAnswer,
    CollectGarbage,
    CreateSession,
    EmptyTrash,
    ExportSession,
    GarbageReport,
    GetStatus,
    ImportBundle,
    ListSessions,
    LogPiece,
    NoteAnswer,
    QuerySql,
    QueueRun,
    ReadLog,
    ReadTimeline,
    RemoveNote,
    RenameSession,
    RunAnswer,
    SaveCircuit,
    SearchResults,
    SearchSessions,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsAnswer,
    SessionsRemoved,
    SetExamples,
    ShowSession,
    SqlAnswer,
    StatusAnswer,
    StepExamples,
    Subscribe,
    TimelineAnswer,
    TrashSession,
    WriteNote,
)

EXPECTED = ("NoSuchRecord", "SessionBusy", "NothingToStep", "StaleExamples", "BadBundle")
"""Refusals that result from several people working on the same sessions."""
QUESTIONS = (
    "SELECT count(*) FROM runs",
    "SELECT session, max(number) FROM runs GROUP BY ALL ORDER BY ALL LIMIT 20",
    "SELECT run_id, node, place FROM nodes WHERE place < 3 ORDER BY ALL LIMIT 100",
    "SELECT name, changed FROM sessions ORDER BY changed DESC LIMIT 10",
)
CONFIG = ProbeConfig(seeds=(0, 1), sae=SAEConfig(steps=40), shuffles=20, bootstraps=10, grade=False)
KEEP_ALIVE = 150
"""Number of sessions outside the trash beyond which people delete more than they create."""


class Soak:
    """Shared state: the sessions, what was acknowledged, latencies, faults."""

    def __init__(self, places: AppFolders, command: list[str], folder: Path, *, seed: int, pace: float) -> None:
        self.places, self.command, self.folder, self.pace = places, command, folder, pace
        self.chance = random.Random(seed)
        self.sessions: list[str] = []
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.faults: list[str] = []
        self.notes: Counter[str] = Counter()
        """Acknowledged notes of the clock's own session."""
        self.took: dict[str, deque[float]] = {name: deque() for name in ("note", "list", "status")}
        self.host_pid = self.worker_pid = self.clients = 0
        self.store_bytes = 0

    async def connect(self) -> HostClient:
        return await HostClient.connect(self.places, timeout_s=60, command=self.command)

    async def rest(self, mean_s: float) -> None:
        await asyncio.sleep(self.chance.expovariate(1 / mean_s) / self.pace)

    def fault(self, text: str) -> None:
        self.faults.append(text)

    async def forever(self, name: str, life) -> None:  # type: ignore[no-untyped-def]
        """Run one user again and again; an unexpected error is a fault of the host."""
        while True:
            try:
                await life(self)
            except Refusal as refusal:
                self.refused[refusal.failure.name] += 1
                if refusal.failure.name not in EXPECTED:
                    self.fault(f"{name}: {refusal.failure.name}: {refusal.failure.message}")
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  # a fault, and the soak goes on
                self.fault(f"{name}: {type(error).__name__}: {error}")
            await self.rest(1.0)


async def clock(soak: Soak) -> None:
    """Time a note, a list of sessions and a request that needs no store, over and over."""
    async with await soak.connect() as client:
        made = await client.ask(CreateSession(name="clock", model="toy", task="ioi", pairs=2), SessionAnswer)
        session = made.session.session_id
        while True:
            begun = time.perf_counter()
            status = (await client.ask(GetStatus(), StatusAnswer)).status
            asked = time.perf_counter()
            await client.ask(WriteNote(session=session, text=f"note {soak.notes[session]}"), NoteAnswer)
            soak.notes[session] += 1
            wrote = time.perf_counter()
            await client.ask(ListSessions(), SessionsAnswer)
            for name, since, until in (
                ("status", begun, asked),
                ("note", asked, wrote),
                ("list", wrote, time.perf_counter()),
            ):
                soak.took[name].append(until - since)
            if soak.host_pid not in (0, status.pid):
                soak.fault(f"host {soak.host_pid} was replaced by {status.pid}")
            soak.host_pid, soak.worker_pid = status.pid, status.worker_pid or 0
            soak.clients, soak.store_bytes = status.clients, status.store_bytes
            await soak.rest(2.0)


async def person(soak: Soak) -> None:
    """Connect, work for a while and leave; every fourth time without closing."""
    client = await soak.connect()
    try:
        for _ in range(soak.chance.randrange(5, 40)):
            action = soak.chance.choices(ACTIONS, weights=[weight for _, weight in WEIGHTS])[0]
            try:
                await action(soak, client)
            except Refusal as refusal:
                soak.refused[refusal.failure.name] += 1
                if refusal.failure.name not in EXPECTED:
                    raise
            else:
                soak.done[action.__name__] += 1
            await soak.rest(4.0)
        if soak.chance.random() < 0.25:
            client._writer.transport.abort()
    finally:
        await client.close()
    await soak.rest(5.0)


async def runner(soak: Soak) -> None:
    """Run a probe about every 20 seconds, and follow it to its end."""
    async with await soak.connect() as client:
        for _ in range(20):
            made = await client.ask(CreateSession(name="run", model="toy", task="ioi", pairs=4), SessionAnswer)
            soak.sessions.append(made.session.session_id)
            for _ in range(soak.chance.randrange(1, 4)):
                run = (await client.ask(QueueRun(session=made.session.session_id, config=CONFIG), RunAnswer)).run
                end = await _ending(client, run.session_id, run.run_id)
                soak.done[f"run {end.state}"] += 1
                if end.state != "done":
                    soak.fault(f"run {run.run_id}: {end}")
                await soak.rest(20.0)


async def laggard(soak: Soak) -> None:
    """Subscribe to several sessions from their beginnings and read nothing for a while."""
    client = await soak.connect()
    try:
        client._writer.transport.pause_reading()
        for session in _some(soak, 5):
            client._send(Subscribe(session=session))
        await soak.rest(15.0)
        if soak.chance.random() < 0.5:
            client._writer.transport.resume_reading()
            await soak.rest(5.0)
        soak.done["lag"] += 1
    finally:
        client._writer.transport.abort()
        await client.close()
    await soak.rest(5.0)


async def follower(soak: Soak) -> None:
    """Follow a session from its beginning as a screen does, then another."""
    async with await soak.connect() as client:
        for _ in range(10):
            for session in _some(soak, 1):
                async with aclosing(client.follow(session)) as batches:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(10 / soak.pace):
                            seq = 0
                            async for batch in batches:
                                for entry in batch:
                                    if entry.seq != seq + 1:
                                        soak.fault(f"{session}: {entry.seq} came after {seq}")
                                    seq = entry.seq
                soak.done["follow"] += 1
            await soak.rest(3.0)


async def _ending(client: HostClient, session: str, run: str) -> RunEnded:
    async with aclosing(client.follow(session)) as batches:
        async for batch in batches:
            for entry in batch:
                if entry.run_id == run and isinstance(entry.event, RunEnded):
                    return entry.event
    raise AssertionError


def _some(soak: Soak, n: int) -> list[str]:
    return soak.chance.sample(soak.sessions, min(n, len(soak.sessions)))


async def _session(soak: Soak, client: HostClient) -> str:
    if not soak.sessions:
        await make(soak, client)
    return soak.chance.choice(soak.sessions)


def _examples(soak: Soak) -> tuple[Example, ...]:
    n = soak.chance.randrange(2, 12)
    sides = ("positive", "negative")
    return tuple(Example(prompt=f"prompt {soak.chance.random()} {k}", polarity=sides[k % 2]) for k in range(n))


async def make(soak: Soak, client: HostClient) -> None:
    made = await client.ask(CreateSession(name="work", model="toy", examples=_examples(soak)), SessionAnswer)
    soak.sessions.append(made.session.session_id)


async def note(soak: Soak, client: HostClient) -> None:
    text = f"a note of {soak.chance.random()}\nwith two lines"
    await client.ask(WriteNote(session=await _session(soak, client), text=text), NoteAnswer)


async def unnote(soak: Soak, client: HostClient) -> None:
    detail = (await client.ask(ShowSession(session=await _session(soak, client)), SessionDetailAnswer)).detail
    if detail.notes:
        await client.ask(RemoveNote(session=detail.session.session_id, note=detail.notes[0].note_id), NoteAnswer)


async def edit(soak: Soak, client: HostClient) -> None:
    await client.ask(SetExamples(session=await _session(soak, client), examples=_examples(soak)), SessionAnswer)


async def undo(soak: Soak, client: HostClient) -> None:
    await client.ask(StepExamples(session=await _session(soak, client), by=-1), SessionAnswer)


async def tag(soak: Soak, client: HostClient) -> None:
    await client.ask(
        ChangeTags(session=await _session(soak, client), add=(f"t{soak.chance.randrange(9)}",)), SessionAnswer
    )


async def rename(soak: Soak, client: HostClient) -> None:
    name = f"name {soak.chance.random()}"
    await client.ask(RenameSession(session=await _session(soak, client), name=name), SessionAnswer)


async def circuit(soak: Soak, client: HostClient) -> None:
    heads = ((0, soak.chance.randrange(2)), (1, 0))
    request = SaveCircuit(session=await _session(soak, client), name="mine", heads=heads, source="by hand")
    await client.ask(request, CircuitAnswer)


async def look(soak: Soak, client: HostClient) -> None:
    await client.ask(ListSessions(), SessionsAnswer)
    await client.ask(ShowSession(session=await _session(soak, client)), SessionDetailAnswer)


async def find(soak: Soak, client: HostClient) -> None:
    await client.ask(SearchSessions(text=soak.chance.choice(("work", "prompt 0.1", "two lines"))), SearchResults)


async def sql(soak: Soak, client: HostClient) -> None:
    await client.ask(QuerySql(sql=soak.chance.choice(QUESTIONS)), SqlAnswer)


async def replay(soak: Soak, client: HostClient) -> None:
    session = await _session(soak, client)
    await client.ask(ReadTimeline(session=session), TimelineAnswer)
    after = 0
    while True:
        piece = await client.ask(ReadLog(session=session, after_seq=after), LogPiece)
        after = piece.up_to
        if after >= piece.goal:
            return


async def carry(soak: Soak, client: HostClient) -> None:
    session = await _session(soak, client)
    path = soak.folder / f"{session}-{soak.chance.random()}.headcode"
    try:
        await client.ask(ExportSession(session=session, path=str(path), sae=True), BundleExported)
        done = await client.ask(ImportBundle(path=str(path), as_copy=True), BundleImported)
        soak.sessions.append(done.imported.session.session_id)
    finally:
        path.unlink(missing_ok=True)


async def delete(soak: Soak, client: HostClient) -> None:
    for _ in range(max(1, (len(soak.sessions) - KEEP_ALIVE) // 4)):
        session = await _session(soak, client)
        await client.ask(TrashSession(session=session), SessionAnswer)
        with suppress(ValueError):
            soak.sessions.remove(session)


async def empty(_: Soak, client: HostClient) -> None:
    await client.ask(EmptyTrash(), SessionsRemoved)


async def collect(_: Soak, client: HostClient) -> None:
    await client.ask(CollectGarbage(remove=True), GarbageReport)


WEIGHTS = (
    (make, 4),
    (note, 20),
    (unnote, 5),
    (edit, 8),
    (undo, 3),
    (tag, 5),
    (rename, 3),
    (circuit, 3),
    (look, 12),
    (find, 4),
    (sql, 6),
    (replay, 6),
    (carry, 2),
    (delete, 5),
    (empty, 1),
    (collect, 1),
)
ACTIONS = [action for action, _ in WEIGHTS]
PEOPLE = [(clock, 1), (person, 5), (runner, 1), (laggard, 1), (follower, 1)]
