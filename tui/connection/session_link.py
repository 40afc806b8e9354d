"""The screen's link to the host: opens a session, follows its log, and reconnects after a lost host."""

import asyncio
import contextlib

from engine.errors import HeadcodeError
from sessions.errors import HostGone, NoSuchRecord, StoreDamaged, StoreTooNew, WrongProtocol
from sessions.events import LogEntry, RunEnded
from sessions.protocol import (
    AdoptFirstSession,
    CreateSession,
    DiscardSession,
    Done,
    FollowEngine,
    ListSessions,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsAnswer,
    SessionsRemoved,
    ShowSession,
    StatusAnswer,
    WarmUp,
)
from sessions.rows import SessionRow
from tui.connection.idle_sync import IdleSync
from tui.connection.requests import Changed, Connect, HostConnection, connection_error
from tui.connection.run_requests import RunRequests
from tui.state import screen_log
from tui.state.workbench_state import ALL_PARTS, WorkbenchState

DEFAULT_MODEL = "toy"
DEFAULT_TASK = "ioi"
FIRST_SESSION = "first light"
_BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_RUN_S = 0.5
"""Longest wait for the entries of a run that is to be shown; of one under way no end comes."""
_DRAWN_S = 0.3
"""Time for the screen to draw a run before the rest of its session's log is read, which keeps the loop busy."""
_LAST_S = 3.0
"""Longest wait for the host to record the changes of the last second, when the session is left."""
_STATUS_S = 1.0
"""Minimum seconds between two status requests while the engine's state is unchanged."""


class SessionLink(RunRequests, IdleSync):
    """Keeps a state in step with the host. Errors are stored in the state as text."""

    def __init__(
        self, state: WorkbenchState, connect: Connect, changed: Changed, *, session: str | None, asked: bool = False
    ) -> None:
        super().__init__(state, changed)
        self.exit_code = 0
        self._wanted_model, self._wanted_task = state.model, state.task
        self._asked = asked
        """True if --model or --task was given, even at its default; then only a matching session is opened."""
        self.connect = connect
        self._begun_here = ""
        """The session created by this screen."""
        self._new = ("", "")
        """A session that was made to write examples in, until it has some, and the one that was open before."""
        self._session = session
        self._backoff = _BACKOFF_S
        self._ever_live = False
        self._switching = False
        """Another session was requested; the loop opens it."""
        self._wanted_run = ""
        """The run to show once the session's log has it."""
        self._warm_up_due = False
        """The engine is to be started once the session is on the screen."""
        self._following: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Follow the session until a failure that only the user can fix, or cancellation."""
        tries = 0
        while True:
            try:
                await self._stay()
                error: HeadcodeError = HostGone("The host closed the connection.")
            except HeadcodeError as found:
                error = found
            except (OSError, EOFError) as found:
                error = connection_error(found)
            except asyncio.CancelledError:
                # The feed was cancelled to open another session, or the whole task by its owner.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_S):
                        await self.flush()  # changes of the last second, while there is a connection
                task = asyncio.current_task()
                if not self._switching or (task is not None and task.cancelling()):
                    raise
            finally:
                await self._drop()
            if self._switching:
                self._switching = False
                continue
            if not self._ever_live or isinstance(error, StoreDamaged | StoreTooNew | WrongProtocol | NoSuchRecord):
                self._fail(error)
                return
            if self.state.link == "live":
                tries = 0
            screen_log.write("WARNING", f"the host is lost: {error.message}")
            self.state.link = "lost"
            self.state.link_words = f"{error.message} Reconnecting; nothing that was saved is lost."
            self._changed(frozenset({"header", "progress"}))
            await asyncio.sleep(self._backoff[min(tries, len(self._backoff) - 1)])
            tries += 1

    async def close(self) -> None:
        await self.flush()
        # A refused run is for example one of a missing model: its session is not kept in the list.
        refused = self._begun_here if self._begun_here == self.state.session_id and self._refused else ""
        if left := self._new[0] or refused:
            with contextlib.suppress(HeadcodeError, OSError, EOFError):
                host = await self.connect()
                try:
                    await host.ask(DiscardSession(session=left, edited=bool(self._new[0])), SessionsRemoved)
                finally:
                    await host.close()
        await self._drop()

    @property
    def _refused(self) -> bool:
        """Whether all runs failed because of invalid input."""
        ends = [run.failure.family if run.failure is not None else "" for run in self.state.runs]
        return bool(ends) and all(family == "input" for family in ends)

    def open(self, session_id: str) -> None:
        """Switch to another session."""
        self._session, self._switching = session_id, True
        if self._following is not None:
            self._following.cancel()

    def open_new(self, session_id: str) -> None:
        """Switch to a session that was made to write examples in; `leave_new` is called when writing ends."""
        self._new = (session_id, self.state.session_id or "")
        self.open(session_id)

    def leave_new(self, *, keep: bool) -> None:
        """Keep the session that was made to write examples in, or go back to the one before and delete it."""
        if keep:
            self._new = ("", "")
        elif self._new[0]:
            self.open(self._new[1])

    def open_run(self, session_id: str, run_id: str) -> None:
        """Show a run, in another session if need be; other runs of that session do not take its place."""
        if session_id == self.state.session_id and any(run.run_id == run_id for run in self.state.runs):
            self.state.show_run(run_id)
            self._changed(ALL_PARTS)
            return
        self._wanted_run = run_id
        self.open(session_id)

    # ---- inside

    async def _stay(self) -> None:
        host = self._host = await self.connect()
        session = await self._find_session(host)
        if self._new[0] not in ("", session.session_id):
            # Left without an example: the host deletes it if there really is nothing in it.
            left, self._new = self._new[0], ("", "")
            with contextlib.suppress(HeadcodeError):
                await host.ask(DiscardSession(session=left, edited=True), SessionsRemoved)
        if session.session_id != self.state.session_id:
            self.state.forget()
            detail = (await host.ask(ShowSession(session=session.session_id), SessionDetailAnswer)).detail
            self.state.watched_from = 0 if self._begun_here == session.session_id else detail.last_seq
        state = self.state
        state.session_id, state.session_name = session.session_id, session.name
        state.model, state.task = session.model, session.task
        state.link, state.link_words, state.failure = "live", host.welcome.notice, None
        screen_log.write("INFO", f"session {session.name} on host {host.welcome.pid}, Headcode {host.welcome.version}")
        self._ever_live, self._session = True, session.session_id
        self._changed(ALL_PARTS)
        watch = asyncio.create_task(self._watch_engine(host))
        self._following = asyncio.create_task(self._follow(host, session.session_id))
        try:
            await self._following
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _follow(self, host: HostConnection, session_id: str) -> None:
        if self._wanted_run:
            await self._follow_run(host, session_id)
        async for entries in host.follow(session_id, after_seq=self.state.last_seq):
            parts = self.state.fold(entries)
            if parts:
                self._changed(parts)
                self.fetch_preflight()
            if self._warm_up_due:
                # Not earlier: on few cores an engine that imports torch delays what is shown first.
                self._warm_up_due = False
                await host.ask(WarmUp(), Done)

    async def _follow_run(self, host: HostConnection, session_id: str) -> None:
        """Show the wanted run from its own entries at once, then fold the whole log, which may hold 200 runs."""
        run_id, last_seq = self._wanted_run, self.state.watched_from or 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RUN_S):
                async for entries in host.follow(session_id, run=run_id):
                    self.state.fold(entries)
                    if any(isinstance(entry.event, RunEnded) for entry in entries):
                        break
        self.state.show_run(run_id)
        self._changed(ALL_PARTS)
        await asyncio.sleep(_DRAWN_S)
        every: list[LogEntry] = []
        try:
            async for entries in host.follow(session_id):
                every += entries
                if every[-1].seq >= last_seq:
                    break
        finally:
            # Also if the host is lost now: what was folded has gaps, so the log is read again from its start.
            self.state.forget()
        self.state.fold(every)
        self.state.show_run(run_id)
        self._wanted_run = ""
        self._changed(ALL_PARTS)

    async def _find_session(self, host: HostConnection) -> SessionRow:
        """Return the requested session, else the newest, else the recorded one.

        Else, and where a model or task without a session was named, create one and queue its first run.
        """
        if self._session is not None:
            return (await host.ask(ShowSession(session=self._session), SessionDetailAnswer)).detail.session
        sessions = (await host.ask(ListSessions(), SessionsAnswer)).sessions
        wanted = (self._wanted_model, self._wanted_task)
        special = wanted != (DEFAULT_MODEL, DEFAULT_TASK)
        chosen = special or self._asked
        if not sessions and not chosen:
            sessions = (await host.ask(AdoptFirstSession(), SessionsAnswer)).sessions
        fitting = [row for row in sessions if not chosen or (row.model, row.task) == wanted]
        if fitting:
            self._warm_up_due = True
            return fitting[0]
        name = None if special else FIRST_SESSION
        create = CreateSession(name=name, model=self._wanted_model, task=self._wanted_task)
        session = (await host.ask(create, SessionAnswer)).session
        self._begun_here = session.session_id
        await host.ask(QueueRun(session=session.session_id), RunAnswer)
        return session

    async def _watch_engine(self, host: HostConnection) -> None:
        """Keep the engine's status current; the host answers when it changes."""
        seen = FollowEngine()
        while True:
            try:
                status = (await host.ask(seen, StatusAnswer)).status
            except (HeadcodeError, OSError, EOFError):
                return
            work = status.at_work
            job, silent = (work.job, work.silent) if work is not None else ("", False)
            before = seen, self.state.trouble
            self.state.worker, seen = status, FollowEngine(seen=status.worker_state, job=job, silent=silent)
            if before != (seen, self.state.trouble):
                self._changed(frozenset({"header", "progress"}))
            else:
                await asyncio.sleep(_STATUS_S)

    def _fail(self, error: HeadcodeError) -> None:
        failure = error.as_failure()
        screen_log.write_failure(failure)
        self.state.link, self.state.failure = "failed", failure
        self.state.link_words = failure.message
        self.exit_code = 2 if failure.family == "input" else 4
        self._changed(ALL_PARTS)

    async def _drop(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            with contextlib.suppress(HeadcodeError, OSError):
                await host.close()
