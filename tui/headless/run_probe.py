"""Runs one probe over the host, from request to end, for `headcode probe` and scripts."""

import asyncio
import contextlib
import shlex
import signal
from collections.abc import AsyncGenerator
from typing import cast

import msgspec

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.catalog.local_models import BUNDLED
from engine.config import DEFAULTS, LoadOptions, ProbeConfig, load_fields
from engine.errors import Cancelled, ConfigError, Failure
from engine.events import EngineEvent
from engine.examples import Example
from engine.machine.folders import AppFolders
from sessions.client.connection import HostClient
from sessions.errors import HostError, Refusal
from sessions.events import DrawingChanged, LogEntry, RunEnded
from sessions.protocol import (
    CancelRun,
    CreateSession,
    DiscardSession,
    Done,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsRemoved,
    SetExamples,
    ShowSession,
)
from sessions.rows import RunRow, SessionRow
from tui.headless.watch_engine import watch_engine
from tui.output.progress import ProgressReporter


class ProbeRequest(LoadOptions, frozen=True, kw_only=True):
    """What to run: a task, examples, or what a session already holds."""

    model: str | None
    """None: the session's model, or the bundled one."""
    task: str | None = None
    examples: tuple[Example, ...] = ()
    pairs: int = 0
    """0: as many as a run needs, using only pairs the model can do."""
    task_seed: int = 0
    usable: bool = False
    """Use only task pairs the model can do."""
    known: str | None = None
    """Compare the run with this task's known circuit, whoever wrote the examples."""
    config: ProbeConfig = DEFAULTS
    session: str | None = None
    """Add to this session; None: a new one."""
    name: str | None = None
    foreground: bool = False
    again: str | None = None
    """Repeat this run with its examples and settings; other fields are ignored."""


class ProbeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run."""

    session: SessionRow
    run: RunRow
    picture: RunSnapshot


async def run_probe(places: AppFolders, request: ProbeRequest, reporter: ProgressReporter) -> ProbeOutcome:
    """Run the request to its end and return what it found.

    The first Ctrl+C stops the run and waits for it, the second ends its worker, the third leaves at once. Raises
    Cancelled, Refusal with the run's own failure, or HostError.
    """
    runner = _ProbeRunner(places, request, reporter)
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(runner.conduct())
    loop.add_signal_handler(signal.SIGINT, lambda: runner.interrupt(work))
    try:
        return await work
    except asyncio.CancelledError:
        raise Cancelled from None
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def fold(entries: tuple[LogEntry, ...], run_id: str, picture: RunSnapshot) -> tuple[RunSnapshot, RunEnded | None]:
    """Fold the run's log entries into the snapshot; also return how the run ended, if it did."""
    ended: RunEnded | None = None
    for entry in entries:
        if entry.run_id == run_id:
            if isinstance(entry.event, RunEnded):
                ended = entry.event
            elif isinstance(entry.event, EngineEvent):
                picture = fold_event(picture, entry.event, entry.at_us)
    return picture, ended


async def read_run(client: HostClient, session_id: str, run: RunRow, last_seq: int) -> RunSnapshot:
    """Return a stored run, folded up to the session's last entry: effects may be measured long after its end."""
    return (await read_drawn_run(client, session_id, run, last_seq))[0]


async def read_drawn_run(
    client: HostClient, session_id: str, run: RunRow, last_seq: int
) -> tuple[RunSnapshot, DrawingChanged]:
    """Return the same, and how its edges are drawn."""
    picture, drawing = RunSnapshot(), DrawingChanged()
    follow = cast(AsyncGenerator[tuple[LogEntry, ...]], client.follow(session_id))
    async with contextlib.aclosing(follow):
        async for entries in follow:
            picture, _ = fold(entries, run.run_id, picture)
            for entry in entries:
                if entry.run_id == run.run_id and isinstance(entry.event, DrawingChanged):
                    drawing = entry.event
            if any(entry.seq >= last_seq for entry in entries):
                break
    return picture, drawing


class _ProbeRunner:
    def __init__(self, places: AppFolders, request: ProbeRequest, reporter: ProgressReporter) -> None:
        self.places, self.request, self.reporter = places, request, reporter
        self.client: HostClient | None = None
        self.run: RunRow | None = None
        self.made: SessionRow | None = None
        """The session created for this run."""
        self.pressed = 0
        self.stops: list[asyncio.Future[None]] = []

    async def conduct(self) -> ProbeOutcome:
        request = self.request
        opener = HostClient.foreground if request.foreground else HostClient.connect
        client = self.client = await opener(self.places)
        try:
            if client.welcome.notice:
                self.reporter.say(f"note: {client.welcome.notice}")
            session, self.run = await self._queue(client)
            self.reporter.say(f"session {session.name}, run {self.run.number}")
            picture, ended = await self._follow(client, session, self.run)
            detail = (await client.ask(ShowSession(session=session.session_id), SessionDetailAnswer)).detail
        finally:
            await self._discard(client)
            await client.close()
        run = next((row for row in detail.runs if row.run_id == self.run.run_id), self.run)
        if ended.state == "done":
            return ProbeOutcome(session=detail.session, run=run, picture=picture)
        raise self._bad_end(ended, detail.session, run, picture)

    async def _discard(self, client: HostClient) -> None:
        """Remove the new session if its run was refused; the host keeps it if there are any results."""
        if self.made is not None:
            with contextlib.suppress(Refusal, HostError, OSError, EOFError):
                gone = await client.ask(DiscardSession(session=self.made.session_id), SessionsRemoved)
                if gone.sessions:
                    self.reporter.say(f"session {self.made.name} was removed, as it has no results")

    def interrupt(self, work: "asyncio.Future[ProbeOutcome]") -> None:
        self.pressed += 1
        if self.client is None or self.run is None or self.pressed > 2:
            work.cancel()
            return
        message = (
            "Stopping the run; press Ctrl+C again to end its worker." if self.pressed == 1 else "Ending the worker."
        )
        self.reporter.say(message)
        self.stops.append(asyncio.ensure_future(self._stop(self.client, self.run.run_id, force=self.pressed > 1)))

    async def _stop(self, client: HostClient, run_id: str, *, force: bool) -> None:
        try:
            await client.ask(CancelRun(run=run_id, force=force), Done)
        except (Refusal, HostError) as error:
            # The run may have ended meanwhile; its end arrives in the log either way.
            self.reporter.say(f"  note: {error.message}")

    async def _queue(self, client: HostClient) -> tuple[SessionRow, RunRow]:
        request = self.request
        if request.again is not None:
            run = (await client.ask(QueueRun(again=request.again), RunAnswer)).run
            detail = (await client.ask(ShowSession(session=run.session_id), SessionDetailAnswer)).detail
            return detail.session, run
        session = await self._session(client)
        if request.usable:
            pairs = f"{request.pairs} pairs" if request.pairs else "pairs"
            self.reporter.say(f"drawing {pairs} of {request.task} that {session.model} can do")
        queued = await client.ask(
            QueueRun(
                session=session.session_id,
                config=request.config,
                model=request.model,
                **load_fields(request),
                usable=request.usable,
                known=request.known,
            ),
            RunAnswer,
        )
        return session, queued.run

    async def _session(self, client: HostClient) -> SessionRow:
        request = self.request
        if request.session is None:
            created = await client.ask(
                CreateSession(
                    name=request.name,
                    model=request.model or BUNDLED,
                    task=request.task,
                    pairs=request.pairs,
                    task_seed=request.task_seed,
                    examples=request.examples,
                ),
                SessionAnswer,
            )
            self.made = created.session
            return created.session
        session = (await client.ask(ShowSession(session=request.session), SessionDetailAnswer)).detail.session
        if request.task is not None and request.task != session.task:
            holds = f"the task {session.task}" if session.task else "examples of its own"
            raise ConfigError(
                f"Session {session.name!r} holds {holds}, not {request.task}.",
                hint="Omit --session to create a session, or the task to run the session's examples.",
            )
        if request.examples:
            changed = await client.ask(
                SetExamples(session=session.session_id, examples=request.examples), SessionAnswer
            )
            return changed.session
        return session

    async def _follow(self, client: HostClient, session: SessionRow, run: RunRow) -> tuple[RunSnapshot, RunEnded]:
        picture = RunSnapshot()
        waiting = asyncio.get_running_loop().call_later(
            2.0, self.reporter.say, "waiting for the engine (torch takes some seconds to load)"
        )
        follow = cast(AsyncGenerator[tuple[LogEntry, ...]], client.follow(session.session_id, run=run.run_id))
        try:
            async with contextlib.aclosing(follow), watch_engine(client, run.run_id, self.reporter.say):
                async for entries in follow:
                    picture, ended = fold(entries, run.run_id, picture)
                    for entry in entries:
                        event = entry.event
                        if entry.run_id == run.run_id and isinstance(event, EngineEvent):
                            waiting.cancel()
                            self.reporter.event(event)
                    if ended is not None:
                        return picture, ended
        finally:
            waiting.cancel()
        raise HostError(
            f"The host's log of run {run.run_id} ended before the run did.",
            hint=f"Results so far are kept: headcode sessions show {session.session_id}",
        )

    def _bad_end(self, ended: RunEnded, session: SessionRow, run: RunRow, picture: RunSnapshot) -> Exception:
        kept = f"headcode sessions show {shlex.quote(session.name)} shows what was reported"
        kept += ", provisional scores included." if picture.nodes else "."
        if ended.state == "stopped":
            failure = Failure(
                family="cancelled",
                name="Cancelled",
                message=f"Run {run.number} of {session.name} was stopped.",
                hint=kept,
            )
            return Refusal(failure)
        if ended.failure is not None:
            return Refusal(ended.failure)
        return HostError(f"Run {run.number} of {session.name} was {ended.state}: the host exited.", hint=kept)
