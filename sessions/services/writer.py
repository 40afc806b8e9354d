"""Async front end of the store: one thread, batched commits, commits published to subscribers."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from engine.errors import HeadcodeError
from sessions.services.fair_queue import WRITER, FairQueue, QueueClient
from sessions.store.database import Store
from sessions.store.group_commit import BatchKind, ChangeResult, StoreChange, commit_together
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder

T = TypeVar("T")
log = logging.getLogger("headcode.writer")

_BATCH = 2_000
_BATCH_BYTES = 8 << 20
"""Maximum bytes of a transaction: a commit costs 4 ms whatever its size, but a long one delays every reader."""
_GROUP_S = 0.03
"""Seconds after which a transaction takes no further change: readers wait for its end."""

_CHECKPOINT_AFTER, _CHECKPOINT_LATEST, _QUIET_S = 300, 1_000, 2.0
"""Commits in the journal after which it is written into the file: when idle, and at the latest.

That takes .02 s in a small store and .3 s in one of 1 GB, where DuckDB compresses its last 120,000 events again.
"""
_RENEW_LATEST = 2.0
"""The memory growth (MemoryGrowth.ratio) at which a store that is never idle is reopened."""


class _PendingChange:
    """A change that a caller waits for."""

    def __init__(self, change: StoreChange, future: "asyncio.Future[Any]", writer: QueueClient, n_bytes: int) -> None:
        self.change = change
        self.writer = writer
        self.future = future
        self.n_bytes = n_bytes


class StoreWriter:
    """Reads and writes of all clients, one after another, on a thread of its own."""

    def __init__(
        self, store: Store, thread: ThreadPoolExecutor, publish: Callable[[Sequence[RecordedEntry]], None]
    ) -> None:
        self._recorder = Recorder(store)
        self._store = store
        self._thread = thread
        self._publish = publish
        self._waiting: FairQueue[_PendingChange] = FairQueue()
        self._own = QueueClient()
        self._done = asyncio.Event()
        self._done.set()
        self._wake = asyncio.Event()
        self._backlog = 0
        self._task = asyncio.create_task(self._work(), name="store writer")

    @property
    def backlog(self) -> int:
        """Return the bytes that are queued and not yet committed."""
        return self._backlog

    async def read(self, question: Callable[[Store], T]) -> T:
        """Return the result of a function that only reads."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, question, self._store)
        finally:
            if self._store.memory_growth.ratio >= 1:
                self._wake.set()  # wakes the loop, which waits for the next idle moment

    async def change(
        self,
        work: Callable[[Recorder], tuple[T, list[RecordedEntry]]],
        *,
        kind: BatchKind | None = None,
        request: object = None,
        alone: bool = False,
    ) -> T:
        """Return the result of a function that reads, then appends; nothing else is written in between.

        The change is committed, together with concurrent ones, before this returns. An error is raised here,
        and then nothing of the change is stored. See group_commit.StoreChange for `kind`, `request` and
        `alone`.
        """
        return await self._enqueue(StoreChange(work, kind, request, alone), WRITER.get() or self._own)

    async def append(self, *drafts: EventDraft) -> list[RecordedEntry]:
        """Return the drafts as committed entries. Raises StoreError."""
        return await self.append_soon(*drafts)

    def append_soon(self, *drafts: EventDraft) -> "asyncio.Future[list[RecordedEntry]]":
        """Queue the drafts without waiting; those queued during a commit share the next one."""

        def work(recorder: Recorder) -> tuple[list[RecordedEntry], list[RecordedEntry]]:
            recorded = recorder.append(drafts)
            return recorded, recorded

        return self._enqueue(
            StoreChange(work, _APPENDS, drafts), self._own, sum(len(draft.payload) for draft in drafts)
        )

    async def close(self) -> None:
        """Return when everything queued is written."""
        await self._done.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _enqueue(self, change: StoreChange, writer: QueueClient, n_bytes: int = 0) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._backlog += n_bytes
        self._waiting.put(writer, _PendingChange(change, future, writer, n_bytes))
        self._done.clear()
        self._wake.set()
        return future

    async def _work(self) -> None:
        while True:
            try:
                due = self._store.commits >= _CHECKPOINT_AFTER or self._store.memory_growth.ratio >= 1
                async with asyncio.timeout(_QUIET_S if due else None):
                    await self._wake.wait()
            except TimeoutError:
                await self._checkpoint(renew=self._store.memory_growth.ratio >= 1)
                continue
            while self._waiting:
                if self._store.commits >= _CHECKPOINT_LATEST or self._store.memory_growth.ratio >= _RENEW_LATEST:
                    await self._checkpoint(renew=self._store.memory_growth.ratio >= _RENEW_LATEST)
                await self._commit(self._take_group())
            self._wake.clear()
            self._done.set()

    def _take_group(self) -> list[_PendingChange]:
        """Take the items for the next transaction; an item that must be alone is taken alone."""
        group: list[_PendingChange] = []
        n_bytes = 0
        for writer in self._waiting.turns():
            while (item := self._waiting.first(writer)) is not None and (not group or not item.change.alone):
                group.append(self._waiting.take(writer))
                n_bytes += item.n_bytes
                if item.change.alone or len(group) >= _BATCH or n_bytes >= _BATCH_BYTES:
                    return group
        return group

    async def _checkpoint(self, *, renew: bool) -> None:
        """Write the journal into the file, so that after a kill the next host opens it at once.

        With `renew`, also reopen the database, which frees DuckDB's memory.
        """
        work = self._store.renew if renew else self._store.checkpoint
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except HeadcodeError as error:
            log.warning("the journal stays beside the store: %s", error.message)

    async def _commit(self, group: list[_PendingChange]) -> None:
        """Commit the items that fit into the time, publish them, then answer the callers; put the rest back."""
        changes = [item.change for item in group]

        def work() -> tuple[dict[int, ChangeResult], float]:
            started = time.monotonic()
            return commit_together(self._recorder, changes, within_s=_GROUP_S), time.monotonic() - started

        outcomes, seconds = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        for place, item in reversed([*enumerate(group)]):
            if place not in outcomes:
                self._waiting.put_back(item.writer, item)
            else:
                item.writer.charge(seconds / len(outcomes))
        recorded = [each for outcome in outcomes.values() for each in outcome.recorded]
        recorded.sort(key=lambda each: (each.entry.session_id, each.entry.seq))
        self._publish(recorded)
        for place, outcome in sorted(outcomes.items()):
            item = group[place]
            self._backlog -= item.n_bytes
            if item.future.done():
                continue
            if outcome.error is None:
                item.future.set_result(outcome.answer)
            else:
                item.future.set_exception(outcome.error)
                item.future.exception()  # marks it as retrieved: some callers look later, or never


def _append_all(recorder: Recorder, requests: Sequence[tuple[EventDraft, ...]]) -> list[ChangeResult]:
    """Append the drafts of several requests in one write."""
    recorded = recorder.append([draft for drafts in requests for draft in drafts])
    outcomes, start = [], 0
    for drafts in requests:
        own = recorded[start : start + len(drafts)]
        start += len(drafts)
        outcomes.append(ChangeResult(own, own))
    return outcomes


_APPENDS = BatchKind(_append_all, _BATCH)
