"""Test many clients at once: everything acknowledged is stored in order, even if the host is killed."""

import asyncio
import os
import resource
import shutil
import signal
import socket
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.events import Notice
from engine.machine.folders import find_folders
from sessions.client import connection
from sessions.client.connection import HostClient
from sessions.errors import HostError, Refusal
from sessions.events import SessionCreated
from sessions.protocol import CreateSession, NoteAnswer, SessionAnswer, WriteNote
from sessions.services.fair_queue import WRITER, FairQueue, QueueClient
from sessions.services.subscriptions import Subscription, Subscriptions
from sessions.services.writer import StoreWriter
from sessions.store.database import Store
from sessions.store.queries import session_notes
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder, rebuild
from sessions.transport.socket_folder import make_private

N_CLIENTS, N_NOTES = 200, 5


async def crowd(lab, n: int) -> tuple[list[HostClient], list[str]]:
    """Connect that many clients at the same moment, each with a session."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 3 * n:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3 * n, hard))
    first = await lab.connect()
    clients = [first, *await asyncio.gather(*(lab.connect() for _ in range(n - 1)))]
    made = await asyncio.gather(
        *(each.ask(CreateSession(name=f"s{k}", model="toy"), SessionAnswer) for k, each in enumerate(clients))
    )
    return clients, [each.session.session_id for each in made]


async def test_everything_of_two_hundred_clients_is_kept(lab) -> None:
    """The note in the middle is invalid for every tenth client: only that one is refused."""
    clients, sessions = await crowd(lab, N_CLIENTS)
    refused: list[tuple[int, int, str]] = []

    async def write(k: int) -> None:
        for turn in range(N_NOTES):
            bad = turn == N_NOTES // 2 and k % 10 == 0
            text = "" if bad else f"note {turn} of {k}"
            try:
                answer = await clients[k].ask(WriteNote(session=sessions[k], text=text), NoteAnswer)
            except Refusal as refusal:
                refused.append((k, turn, refusal.failure.name))
            else:
                assert answer.note.text == text
                assert answer.session.session_id == sessions[k]

    await asyncio.gather(*map(write, range(N_CLIENTS)))
    assert sorted(refused) == [(k, N_NOTES // 2, "BadName") for k in range(0, N_CLIENTS, 10)]
    await lab.close()
    store = Store.open(lab.places.store)
    for k, session in enumerate(sessions):
        want = [f"note {turn} of {k}" for turn in range(N_NOTES) if turn != N_NOTES // 2 or k % 10]
        assert [note.text for note in session_notes(store, session)] == want
    store.close()


async def test_what_was_acknowledged_survives_a_kill(lab) -> None:
    clients, sessions = await crowd(lab, 60)
    acknowledged = [0] * len(clients)
    pid = (await lab.status(clients[0])).pid

    async def write(k: int) -> None:
        with suppress(HostError):
            for turn in range(10_000):
                await clients[k].ask(WriteNote(session=sessions[k], text=f"note {turn}"), NoteAnswer)
                acknowledged[k] += 1

    tasks = [asyncio.create_task(write(k)) for k in range(len(clients))]
    while sum(acknowledged) < 3 * len(clients):  # noqa: ASYNC110  # it is the writers who are waited for
        await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*tasks)
    again = await lab.connect()  # a new host has read the journal
    assert (await lab.status(again)).pid != pid
    for k, session in enumerate(sessions):
        kept = [note.text for note in (await lab.detail(again, session)).notes]
        assert kept == [f"note {turn}" for turn in range(len(kept))]
        assert acknowledged[k] <= len(kept) <= acknowledged[k] + 1
    await lab.close()
    store = Store.open(lab.places.store)
    assert rebuild(store) == store.rows("SELECT count(*) FROM event")[0][0]
    store.close()


async def test_a_caller_who_is_turned_away_knocks_again() -> None:
    """If the backlog is full, Linux refuses clients, which asyncio takes for a connection."""
    home = tempfile.mkdtemp(prefix="hc-")  # a socket's path must be short
    places = find_folders({"HEADCODE_HOME": home})
    make_private(places.runtime)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening, ExitStack() as waiting:
        listening.bind(str(places.socket))
        listening.listen(1)
        for _ in range(10):
            caller = waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            caller.setblocking(False)
            try:
                caller.connect(str(places.socket))
            except BlockingIOError:
                break
        knocking = asyncio.create_task(connection._open(places))
        await asyncio.sleep(3 * connection._ATTEMPT_S)
        assert not knocking.done()

        async def accept() -> None:
            listening.setblocking(False)
            while True:
                accepted, _ = await asyncio.get_running_loop().sock_accept(listening)
                waiting.callback(accepted.close)

        accepting = asyncio.create_task(accept())
        stream = await knocking
        assert stream is not None
        stream[1].close()
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
    shutil.rmtree(home)


# ---- fairness


def took(seconds: float) -> QueueClient:
    writer = QueueClient()
    writer.charge(seconds)
    return writer


def test_who_took_least_is_first() -> None:
    queue: FairQueue[str] = FairQueue()
    busy, quiet, middling = took(3), took(0), took(1)
    for writer, items in ((busy, "abc"), (middling, "de"), (quiet, "f")):
        for item in items:
            queue.put(writer, item)
    assert queue.turns() == [quiet, middling, busy]
    assert len(queue) == 6
    assert [queue.take(busy) for _ in range(3)] == ["a", "b", "c"]
    assert queue.turns() == [quiet, middling]
    queue.put_back(busy, "c")
    queue.put_back(busy, "b")
    assert (queue.first(busy), queue.first(took(0))) == ("b", None)


def test_what_somebody_took_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("sessions.services.fair_queue.time.monotonic", lambda: now)
    writer = took(2.0)
    now = 105.0
    assert writer.load() == pytest.approx(2.0 * 0.36788, rel=1e-4)
    writer.charge(1.0)
    assert writer.load() == pytest.approx(1.0 + 2.0 * 0.36788, rel=1e-4)


class WriterHarness:
    """A store writer whose commits wait for permission."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "sessions.duckdb")
        self.thread = ThreadPoolExecutor(1)
        self.published: list[RecordedEntry] = []
        self.reader = self.store.cursor()
        self.seen: list[int] = []
        self.writer = StoreWriter(self.store, self.thread, self.publish)

    def publish(self, recorded: Any) -> None:
        self.published += recorded
        # A separate connection sees committed data only.
        self.seen.append(self.reader.execute("SELECT count(*) FROM event").fetchall()[0][0])

    async def close(self) -> None:
        await self.writer.close()
        self.thread.shutdown()
        self.reader.close()
        self.store.close()


@pytest.fixture
async def harness(tmp_path: Path):
    harness = WriterHarness(tmp_path)
    await harness.writer.append(EventDraft(session_id="s", event=SessionCreated(name="s", model="toy")))
    yield harness
    await harness.close()


async def test_a_quiet_client_does_not_wait_for_fifty_busy_ones(
    harness: WriterHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts changes, not seconds: of 200 that waited before it, hardly one more is done."""
    monkeypatch.setattr("sessions.services.writer._GROUP_S", -1.0)  # one change per transaction
    order: list[str] = []

    def work(name: str):
        def change(recorder: Recorder) -> tuple[None, list[RecordedEntry]]:
            order.append(name)
            return None, recorder.append([EventDraft(session_id="s", event=Notice(message=name))])

        return change

    async def busy(k: int, n: int) -> None:
        WRITER.set(writers[k])
        await asyncio.gather(*(harness.writer.change(work(f"busy {k}")) for _ in range(n)))

    async def quiet() -> int:
        WRITER.set(QueueClient())
        before = len(order)
        await harness.writer.change(work("quiet"))
        return order.index("quiet") - before

    writers = [QueueClient() for _ in range(50)]
    await asyncio.gather(*(busy(k, 1) for k in range(50)))  # they used the store recently
    waiting = [asyncio.create_task(busy(k, 4)) for k in range(50)]
    while len(order) < 55:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert await quiet() <= 2
    assert len(order) < 150
    await asyncio.gather(*waiting)
    # Nobody starved, and nobody was served out of turn.
    assert {name: order.count(name) for name in set(order)} == {f"busy {k}": 5 for k in range(50)} | {"quiet": 1}
    assert [each.entry.seq for each in harness.published] == list(range(1, len(harness.published) + 1))


async def test_nothing_is_told_before_it_is_committed(harness: WriterHarness) -> None:
    def work(recorder: Recorder) -> tuple[int, list[RecordedEntry]]:
        recorded = recorder.append([EventDraft(session_id="s", event=Notice(message="x"))])
        return recorded[0].entry.seq, recorded

    seqs = await asyncio.gather(*(harness.writer.change(work) for _ in range(40)))
    assert seqs == list(range(2, 42))
    counts, output = harness.seen, 0
    for count in counts:
        output = max(output, count)
        assert count <= len(harness.published)
    assert output == len(harness.published) == 41
    assert len(counts) < 41  # some shared a commit


async def test_closing_waits_for_everything_handed_in(harness: WriterHarness) -> None:
    late = [harness.writer.append_soon(EventDraft(session_id="s", event=Notice(message=str(k)))) for k in range(20)]
    changes = [asyncio.create_task(harness.writer.change(lambda r: (r.last_seq("s"), []))) for _ in range(5)]
    await asyncio.sleep(0)
    await harness.writer.close()
    assert all(each.done() for each in (*late, *changes))
    assert [each.result()[0].entry.seq for each in late] == list(range(2, 22))


class Ear:
    """A listener that stores what it receives."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def push(self, _: int, lines: Sequence[bytes]) -> None:
        self.lines += lines

    def is_lagging(self) -> bool:
        return False

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def seqs(self) -> list[int]:
        return [msgspec.json.decode(line)["seq"] for line in self.lines]


async def test_nothing_is_missed_between_asking_and_listening(harness: WriterHarness) -> None:
    """Entries committed between the answer and the subscription are sent, too.

    Nothing is remembered of sessions without subscribers.
    """
    hub, ear = Subscriptions(), Ear()
    usual, harness.publish = harness.publish, lambda recorded: (usual(recorded), hub.publish(recorded))  # type: ignore[method-assign]
    harness.writer._publish = harness.publish

    async def say(n: int) -> None:
        for k in range(n):
            await harness.writer.append(EventDraft(session_id="s", event=Notice(message=str(k))))

    output = await harness.writer.change(lambda recorder: (recorder.last_seq("s"), []))
    await say(3)
    subscription = Subscription(ear, 1, "s", None, 0)  # type: ignore[arg-type]
    hub.add(subscription)
    await asyncio.gather(hub.catch_up(subscription, harness.writer, output), say(20))
    await say(2)
    assert ear.seqs() == list(range(1, 27))
    hub.remove(subscription)
    await say(1)
    assert not any(len(value) for value in vars(hub).values())
