"""A recorded session in a real store, and the host's own answers on it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from engine.examples import content_hash
from sessions.errors import HostGone
from sessions.events import ExamplesSet, LogEntry, NoteWritten, SessionCreated, ViewChanged
from sessions.handlers import replay
from sessions.protocol import AnyAnswer, CodesAnswer, GetCodes, Welcome
from sessions.rows import HeadCodes
from sessions.store import recorder as record
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder

SESSION = "s1"


class StoreHost:
    """The host's own answers on a real store, without process and socket; every answer goes over the wire's format."""

    def __init__(self, store: Store, entries: list[LogEntry]) -> None:
        self.recorder, self.entries = Recorder(store), entries
        self.writer = self
        self.asked: list[Any] = []
        self.gone = 0
        self.connections = 0
        self.welcome = Welcome(version="0", pid=1, store="")

    async def connect(self) -> "StoreHost":
        self.connections += 1
        return self

    async def change(self, work: Callable[[Recorder], tuple[Any, Any]]) -> Any:
        return work(self.recorder)[0]

    async def ask(self, request: Any, want: type, /) -> Any:
        await asyncio.sleep(0)
        if self.gone:
            self.gone -= 1
            raise HostGone("The host went away.")
        self.asked.append(request)
        if isinstance(request, GetCodes):
            codes = HeadCodes(run_id=request.run, layer=request.layer, head=request.head, seed=0, codes=(1,) * 20)
            return CodesAnswer(codes=codes)
        answer = await replay.ANSWERS[type(request)](self, request)  # type: ignore[arg-type]
        found = msgspec.json.decode(msgspec.json.encode(answer), type=AnyAnswer)
        assert isinstance(found, want)
        return found

    async def close(self) -> None:
        pass


@contextmanager
def written(path: Path, events: list[tuple[float, str | None, Any]]) -> Iterator[StoreHost]:
    """A host on a store into which the recorder wrote these events at these seconds."""
    store = Store.open(path / "sessions.duckdb")
    entries = []
    with mock.patch.object(record, "time") as clock:
        recorder = Recorder(store)
        for at, run_id, event in events:
            clock.time_ns.return_value = 1_790_000_000_000_000_000 + int(at * 1e9)
            entries.append(recorder.append([EventDraft(session_id=SESSION, run_id=run_id, event=event)])[0].entry)
    yield StoreHost(store, entries)
    store.close()


def a_session(recorded: Any) -> list[tuple[float, str | None, Any]]:
    """Ten minutes: an edit, a run, cuts, a note, a long pause, another edit and run."""
    first, second = recorded.examples(10), recorded.examples(9)
    found: list[tuple[float, str | None, Any]] = [
        (0, None, SessionCreated(name="ten minutes", model="toy", task="ioi")),
        (1, None, ExamplesSet(examples=first, content_hash=content_hash(first))),
    ]
    at = 2.0
    for run_id, examples in (("r1", first), ("r2", second)):
        for event in recorded.events(examples=examples):
            found.append((at, run_id, event))
            at += 0.25
        found.append((at + 2, run_id, ViewChanged(measure="overlap", cut=7)))
        found.append((at + 4, run_id, ViewChanged(measure="q_value", cut=9)))
        found.append((at + 5, run_id, NoteWritten(note_id=run_id, text="speaks [b]loud[/b]\x1b[2J", head=(2, 3))))
        at += 300
        if run_id == "r1":
            found.append((at, None, ExamplesSet(examples=second, content_hash=content_hash(second))))
            at += 1
    return found
