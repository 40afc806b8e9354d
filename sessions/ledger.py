"""The loop's side of the store: one thread works on it, writes are gathered, what is committed is told."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from engine.errors import HeadcodeError
from sessions.record import Draft, Recorded, Recorder
from sessions.store import Store

T = TypeVar("T")
log = logging.getLogger("headcode.ledger")

_BATCH = 2_000
_BATCH_BYTES = 8 << 20
"""What a transaction takes at most: a commit costs 4 ms whatever it holds, a long one delays every reader."""

_MANY, _TOO_MANY, _QUIET_S = 300, 1_000, 2.0
"""Commits in the journal from which it is written into the file: when it is quiet, and in any case. That takes .02 s
in a small store and .3 s in one of 1 GB, where DuckDB packs its last 120,000 events anew."""


class _Append:
    def __init__(self, drafts: list[Draft], future: "asyncio.Future[list[Recorded]]") -> None:
        self.drafts = drafts
        self.n_bytes = sum(len(draft.payload) for draft in drafts)
        self.future = future


class _Change:
    def __init__(self, work: Callable[[Recorder], tuple[Any, list[Recorded]]], future: "asyncio.Future[Any]") -> None:
        self.work = work
        self.future = future


class Ledger:
    """Reads and writes of everyone, one after another, none of them on the event loop's thread."""

    def __init__(self, store: Store, thread: ThreadPoolExecutor, publish: Callable[[Sequence[Recorded]], None]) -> None:
        self._recorder = Recorder(store)
        self._store = store
        self._thread = thread
        self._publish = publish
        self._waiting: deque[_Append | _Change] = deque()
        self._wake = asyncio.Event()
        self._backlog = 0
        self._task = asyncio.create_task(self._work(), name="ledger")

    @property
    def backlog(self) -> int:
        """Bytes handed in and not yet committed."""
        return self._backlog

    async def read(self, question: Callable[[Store], T]) -> T:
        """The answer of a function that only reads."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, question, self._store)

    async def change(self, work: Callable[[Recorder], tuple[T, list[Recorded]]]) -> T:
        """The answer of a function that reads, then appends what follows from it; nobody writes in between."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enter(_Change(work, future))
        return await future

    async def append(self, *drafts: Draft) -> list[Recorded]:
        """The drafts as committed entries. Raises StoreError."""
        return await self.append_soon(*drafts)

    def append_soon(self, *drafts: Draft) -> "asyncio.Future[list[Recorded]]":
        """The same, without waiting; drafts handed in while the last commit ran share the next one."""
        future: asyncio.Future[list[Recorded]] = asyncio.get_running_loop().create_future()
        item = _Append(list(drafts), future)
        self._backlog += item.n_bytes
        self._enter(item)
        return future

    async def close(self) -> None:
        """Ends when everything handed in is written."""
        await self.change(lambda _: (None, []))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _enter(self, item: _Append | _Change) -> None:
        self._waiting.append(item)
        self._wake.set()

    async def _work(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_QUIET_S if self._store.commits >= _MANY else None):
                    await self._wake.wait()
            except TimeoutError:
                await self._settle()
                continue
            while self._waiting:
                if self._store.commits >= _TOO_MANY:
                    await self._settle()
                first = self._waiting.popleft()
                if isinstance(first, _Change):
                    await self._do(first)
                else:
                    await self._write(self._gather(first))
            self._wake.clear()

    def _gather(self, first: _Append) -> list[_Append]:
        group, n_bytes = [first], first.n_bytes
        while self._waiting and len(group) < _BATCH and n_bytes < _BATCH_BYTES:
            item = self._waiting[0]
            if not isinstance(item, _Append):
                break
            self._waiting.popleft()
            group.append(item)
            n_bytes += item.n_bytes
        return group

    async def _settle(self) -> None:
        """The journal into the file, so that the host that comes after a killed one opens it at once."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store.checkpoint)
        except HeadcodeError as error:
            log.warning("the journal stays beside the store: %s", error.message)

    async def _do(self, item: _Change) -> None:
        try:
            answer, recorded = await asyncio.get_running_loop().run_in_executor(self._thread, item.work, self._recorder)
        except Exception as error:  # noqa: BLE001  # handed on to whoever asked
            _fail(item.future, error)
        else:
            self._publish(recorded)
            if not item.future.done():
                item.future.set_result(answer)

    async def _write(self, group: list[_Append]) -> None:
        drafts = [draft for item in group for draft in item.drafts]
        try:
            recorded = await asyncio.get_running_loop().run_in_executor(self._thread, self._recorder.append, drafts)
        except Exception as error:  # noqa: BLE001  # handed on to whoever asked
            if len(group) > 1 and isinstance(error, HeadcodeError):
                # One bad draft must not take the others with it.
                for item in group:
                    await self._write([item])
                return
            for item in group:
                _fail(item.future, error)
        else:
            self._publish(recorded)
            start = 0
            for item in group:
                if not item.future.done():
                    item.future.set_result(recorded[start : start + len(item.drafts)])
                start += len(item.drafts)
        self._backlog -= sum(item.n_bytes for item in group)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # counts as seen: some writers look later, or never
