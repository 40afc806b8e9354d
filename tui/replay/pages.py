"""A few pages of a session's log, read ahead while it plays and kept for stepping back."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from sessions.events import LogEntry
from sessions.protocol import LogPiece
from sessions.rows import Timeline

PAGE_BYTES = 1 << 20
MOST_PAGES = 5


class LogArchive(Protocol):
    """The source of a recorded session. Raises HeadcodeError."""

    async def times(self) -> Timeline: ...

    async def piece(
        self,
        *,
        after_seq: int,
        up_to: int | None = None,
        up_to_us: int | None = None,
        condensed: bool = False,
        most_bytes: int = PAGE_BYTES,
    ) -> LogPiece: ...


class LogPages:
    """The last few pages requested; memory does not grow with the session."""

    def __init__(self, archive: LogArchive, end: int) -> None:
        self.end = end
        """The last entry of the log."""
        self._archive = archive
        self._pages: OrderedDict[int, LogPiece] = OrderedDict()
        """Pages by the sequence number before their first entry."""
        self._reading: dict[int, asyncio.Task[LogPiece]] = {}

    async def after(self, seq: int) -> Sequence[LogEntry]:
        """Return the entries after `seq` that are loaded; empty at the end. Starts reading the next page."""
        if seq >= self.end:
            return ()
        start, page = self._holding(seq + 1) or (seq, await self._read(seq))
        if page.up_to < self.end and self._holding(page.up_to + 1) is None:
            self._begin(page.up_to)
        return page.entries[max(0, seq - start) :]

    def is_read(self, seq: int) -> bool:
        """Return whether the entry after `seq` is loaded."""
        return seq >= self.end or self._holding(seq + 1) is not None

    def span(self, after_seq: int, up_to: int) -> list[LogEntry] | None:
        """Return all entries of that stretch if they are loaded, else None."""
        found: list[LogEntry] = []
        while after_seq < up_to:
            held = self._holding(after_seq + 1)
            if held is None:
                return None
            start, page = held
            found += [entry for entry in page.entries[after_seq - start :] if entry.seq <= up_to]
            after_seq = page.up_to
        return found

    async def fetch(self, after_seq: int, up_to: int) -> None:
        """Load the stretch, as far as it fits."""
        for _ in range(MOST_PAGES):
            if after_seq >= up_to:
                return
            held = self._holding(after_seq + 1)
            page = held[1] if held is not None else await self._read(after_seq)
            after_seq = page.up_to

    def close(self) -> None:
        for task in self._reading.values():
            task.cancel()

    def _holding(self, seq: int) -> tuple[int, LogPiece] | None:
        for start, page in self._pages.items():
            if start < seq <= page.up_to:
                self._pages.move_to_end(start)
                return start, page
        return None

    def _begin(self, after_seq: int) -> "asyncio.Task[LogPiece]":
        task = self._reading.get(after_seq)
        if task is None:
            task = asyncio.create_task(self._archive.piece(after_seq=after_seq, up_to=self.end))
            task.add_done_callback(lambda done: self._read_done(after_seq, done))
            self._reading[after_seq] = task
        return task

    def _read_done(self, after_seq: int, task: "asyncio.Task[LogPiece]") -> None:
        self._reading.pop(after_seq, None)
        # Errors are raised to whoever needs the page; pages only read ahead are requested again then.
        if not task.cancelled() and task.exception() is None:
            self._pages[after_seq] = task.result()
            while len(self._pages) > MOST_PAGES:
                self._pages.popitem(last=False)

    async def _read(self, after_seq: int) -> LogPiece:
        return await asyncio.shield(self._begin(after_seq))
