"""The screen's link in a replay: reads a session from the store and cannot change it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from engine.errors import HeadcodeError
from sessions.errors import HostGone
from sessions.events import LogEntry
from sessions.protocol import (
    AnyRequest,
    FindAlike,
    GetCodes,
    GetSides,
    GetStatus,
    ListCircuits,
    ListComparable,
    ListSessions,
    LogPiece,
    ReadLog,
    ReadTimeline,
    ShowSession,
    TimelineAnswer,
    Welcome,
)
from sessions.rows import Timeline
from tui.connection.requests import Connect, HostConnection, connection_error
from tui.connection.session_link import SessionLink
from tui.replay.pages import PAGE_BYTES
from tui.replay.player import Player
from tui.state.workbench_state import ALL_PARTS, Part, WorkbenchState

READS: frozenset[type] = frozenset(
    {
        *(FindAlike, GetCodes, GetSides, GetStatus, ListCircuits, ListComparable, ListSessions),
        *(ReadLog, ReadTimeline, ShowSession),
    }
)
"""Requests allowed in a replay; others could change the session."""

T = TypeVar("T")


class ReplayIsReadOnly(HeadcodeError):
    """A replay was to be changed."""

    family = "input"


class ReplayReader:
    """A read-only connection, opened when first needed and reopened when lost."""

    welcome = Welcome(version="", pid=0, store="")

    def __init__(self, connect: Connect, session: str) -> None:
        self.session = session
        self._connect = connect
        self._host: HostConnection | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, request: AnyRequest, want: type[T], /) -> T:
        """Return the answer. Raises ReplayIsReadOnly for other requests, HostError if no host can be reached."""
        if type(request) not in READS:
            raise ReplayIsReadOnly("A replay cannot be changed.", hint="Leave the replay first.")
        for attempt in (1, 2):
            host = await self._held()
            try:
                return await host.ask(request, want)
            except (HostGone, OSError, EOFError) as error:
                await self.close()
                if attempt == 2:
                    raise (error if isinstance(error, HostGone) else connection_error(error)) from None
        raise AssertionError

    def follow(
        self,
        session: str,  # noqa: ARG002
        /,
        *,
        after_seq: int = 0,  # noqa: ARG002
        run: str | None = None,  # noqa: ARG002
    ) -> AsyncIterator[tuple[LogEntry, ...]]:
        raise ReplayIsReadOnly("A replay does not follow live events.", hint="Leave the replay first.")

    async def times(self) -> Timeline:
        times = (await self.ask(ReadTimeline(session=self.session), TimelineAnswer)).times
        self.session = times.session.session_id
        return times

    async def piece(
        self,
        *,
        after_seq: int,
        up_to: int | None = None,
        up_to_us: int | None = None,
        condensed: bool = False,
        most_bytes: int = PAGE_BYTES,
    ) -> LogPiece:
        request = ReadLog(
            session=self.session,
            after_seq=after_seq,
            up_to=up_to,
            up_to_us=up_to_us,
            condensed=condensed,
            most_bytes=most_bytes,
        )
        return await self.ask(request, LogPiece)

    async def close(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            with contextlib.suppress(HeadcodeError, OSError):
                await host.close()

    async def _held(self) -> HostConnection:
        async with self._connecting:
            if self._host is None:
                self._host = await self._connect()
            return self._host


class ReplayLink(SessionLink):
    """Takes the place of the link to a live session; inherited requests use a read-only connection."""

    def __init__(
        self,
        state: WorkbenchState,
        connect: Connect,
        changed: Callable[[frozenset[Part]], None],
        *,
        session: str,
        run: str | None = None,
        speed: float = 1.0,
        driven: bool = False,
    ) -> None:
        super().__init__(state, connect, changed, session=session)
        self.reader = ReplayReader(connect, session)
        self.player = Player(state, self.reader, self._moved, speed=speed, driven=driven)
        self.opened = asyncio.Event()
        self._run = run
        state.link = "replay"

    async def run(self) -> None:
        """Open the recording and play it until cancelled; if it cannot be opened, the state says why."""
        try:
            await self.player.open(run=self._run)
        except HeadcodeError as error:
            self._fail(error)
            return
        self._host = self.reader
        self.opened.set()
        self._changed(ALL_PARTS | {"time"})
        self.player.prepare()
        await self.player.play()

    async def close(self) -> None:
        if self.opened.is_set():
            await self.player.close()
        await self.reader.close()

    def record_view(self) -> None:
        """Do nothing: views of a replay are not recorded."""

    def _moved(self, parts: frozenset[Part]) -> None:
        failure = self.player.failure
        if failure is not None:
            self.state.failure = failure.as_failure()
        elif "time" in parts:
            self.state.failure = None
        self._changed(parts)
