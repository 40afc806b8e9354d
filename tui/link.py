"""The screen's side of the host: finds or makes a session, follows its log, comes back when the host was lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import msgspec

from engine.config import CauseConfig, CauseMethod
from engine.errors import Failure, HeadcodeError
from engine.option_values import RunOptions
from engine.results import HeadId
from sessions.errors import HostGone, NoSuchRecord, Refusal, StoreDamaged, StoreTooNew, WrongProtocol, error_from
from sessions.log import LogEntry, LookChanged
from sessions.rows import SessionRow
from sessions.wire import (
    AnyRequest,
    AskCause,
    AskPreflight,
    CancelRun,
    CancelVerify,
    ChooseOptions,
    Codes,
    CreateSession,
    Detail,
    Done,
    FollowEngine,
    FollowVerify,
    GetCodes,
    HeadLook,
    ListSessions,
    LookAtHead,
    Preflighted,
    QueueRun,
    RemoveNote,
    Session,
    Sessions,
    SetLook,
    ShowSession,
    Status,
    VerifyJob,
    VerifyRun,
    VerifyState,
    WarmUp,
    Welcome,
    WriteNote,
)
from sessions.wire import Note as NoteAnswer
from sessions.wire import Run as RunAnswer
from tui import diary
from tui.kept import Note
from tui.model import ALL_PARTS, Bench, Part
from tui.notes import Place

DEFAULT_MODEL = "toy"
DEFAULT_TASK = "ioi"
FIRST_SESSION = "first light"
_BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_STATUS_S = 1.0
"""At least between two words on an engine that stays as it is."""
_OPTIONS_S = 0.5
_AHEAD_S = 0.15
"""What is changed within this is asked about once."""
_LOOK_S = 1.0
"""Changes of measure and cut that follow each other this closely are recorded as one."""

T = TypeVar("T")


class Host(Protocol):
    """What the screen needs of a connection."""

    welcome: Welcome

    async def ask(self, request: AnyRequest, want: type[T], /) -> T: ...

    def follow(self, session: str, /, *, after_seq: int = 0) -> AsyncIterator[tuple[LogEntry, ...]]: ...

    async def close(self) -> None: ...


Connect = Callable[[], Awaitable[Host]]
Changed = Callable[[frozenset[Part]], None]


class Link:
    """Keeps a bench in step with the host. Everything foreign that goes wrong ends up in the bench, in words."""

    def __init__(self, bench: Bench, connect: Connect, changed: Changed, *, session: str | None) -> None:
        self.bench = bench
        self.exit_code = 0
        self._wanted_model, self._wanted_task = bench.model, bench.task
        self.connect = connect
        self._looks: dict[str, LookChanged] = {}
        self._look_timer: asyncio.TimerHandle | None = None
        self._looked_ahead: object = None
        self._begun_here = ""
        """The session this screen made."""
        self._options_timer: asyncio.TimerHandle | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._changed = changed
        self._session = session
        self._host: Host | None = None
        self._backoff = _BACKOFF_S
        self._ever_live = False
        self._switching = False
        """Another session was asked for; the loop opens it."""
        self._following: asyncio.Task[None] | None = None
        self._verify_job: str | None = None

    async def run(self) -> None:
        """Stays until something only the person can mend, or until it is cancelled."""
        tries = 0
        while True:
            try:
                await self._stay()
                error: HeadcodeError = HostGone("The host closed the connection.")
            except HeadcodeError as found:
                error = found
            except (OSError, EOFError) as found:
                error = HostGone(f"The connection to the host broke: {found}.")
            except asyncio.CancelledError:
                # The feed was cancelled for another session, or all of this was, by whoever leaves.
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
            if self.bench.link == "live":
                tries = 0
            diary.write("WARNING", f"the host is lost: {error.message}")
            self.bench.link = "lost"
            self.bench.link_words = f"{error.message} Trying to reach a host again; nothing that was saved is lost."
            self._changed(frozenset({"header", "progress"}))
            await asyncio.sleep(self._backoff[min(tries, len(self._backoff) - 1)])
            tries += 1

    async def close(self) -> None:
        self._tell_looks()
        self.keep_options()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await self._drop()

    # ---- what the person asks for

    async def queue_run(self) -> None:
        """A run of the session as it is, with the options chosen; one that broke off is done once more."""
        bench, last = self.bench, self.bench.shown
        if bench.session_id is None:
            return
        options = bench.options
        request = QueueRun(
            session=bench.session_id,
            config=options.config,
            model=options.model,
            device=options.device,
            trust_remote_code=options.trust_remote_code,
        )
        if last is not None and bench.broke_off:
            request = QueueRun(session=bench.session_id, config=last.config, again=last.run_id)
        await self.try_ask(request, RunAnswer)

    async def cancel_run(self, run_id: str) -> None:
        """Takes a run that waits out of the queue."""
        await self.try_ask(CancelRun(run=run_id), Done)

    def choose_options(self, options: RunOptions) -> None:
        """How the next run is to be done; recorded when nothing more is changed for half a second."""
        bench = self.bench
        bench.own_options = None if options == bench.kept.options else options
        if self._options_timer is not None:
            self._options_timer.cancel()
        self._options_timer = asyncio.get_running_loop().call_later(_OPTIONS_S, self.keep_options)
        self._changed(frozenset({"progress"}))
        self.look_ahead()

    def keep_options(self) -> None:
        """Has what was chosen recorded now."""
        if self._options_timer is not None:
            self._options_timer.cancel()
            self._options_timer = None
        bench = self.bench
        if bench.own_options is None or bench.session_id is None or self._host is None:
            return
        told = msgspec.structs.replace(bench.own_options, trust_remote_code=False)
        if told != bench.kept.options:
            request = ChooseOptions(session=bench.session_id, options=told)
            self._spawn(self._tell_look(self._host, request))

    async def stop_run(self) -> None:
        """Asks the run to stop; the second time, ends the engine it runs in."""
        run = self.bench.active or self.bench.measured
        if run is None:
            if self._verify_job is not None:
                await self.try_ask(CancelVerify(job=self._verify_job), Done)
            return
        force = self.bench.stopping == run.run_id
        self.bench.stopping = run.run_id
        self._changed(frozenset({"progress"}))
        await self.try_ask(CancelRun(run=run.run_id, force=force), Done)

    async def ask_cause(self) -> None:
        """What the heads of the shown run do to the answer; asked once more, its circuit is checked whole. Where heads
        are marked, exactly they are measured.

        How is what `O` says about causes, where that was changed; a method chosen there is the one that is taken.
        """
        run = self.bench.shown
        if run is None:
            return
        asked = any(cause.method == "combined" and cause.final for cause in run.picture.causes)
        method: CauseMethod = "circuit" if asked else "combined"
        chosen = self.bench.options.config.cause
        if chosen.method not in ("none", "combined"):
            method = chosen.method
        how = run.config.cause if chosen == CauseConfig() else chosen
        marked = self.bench.marked
        if marked:
            method = "exact"
        heads = tuple((head.layer, head.head) for head in sorted(marked))
        config = msgspec.structs.replace(how, method=method)
        await self.try_ask(AskCause(run=run.run_id, config=config, heads=heads), Done)

    def look_ahead(self) -> None:
        """Asks what the next run would take, where that may have changed since it was last asked."""
        bench, host = self.bench, self._host
        if bench.session_id is None or host is None:
            return
        ended = sum(not run.active for run in bench.runs)
        about = (bench.session_id, bench.options, bench.kept.examples.content_hash, ended)
        if about != self._looked_ahead:
            self._looked_ahead = about
            self._spawn(self._look_ahead(host, about))

    async def _look_ahead(self, host: Host, about: object) -> None:
        await asyncio.sleep(_AHEAD_S)
        bench = self.bench
        if about != self._looked_ahead or bench.session_id is None:
            return
        with contextlib.suppress(HeadcodeError, OSError, EOFError):
            request = AskPreflight(session=bench.session_id, options=bench.options)
            answer = await host.ask(request, Preflighted)
            if about == self._looked_ahead:
                bench.preflight = answer.preflight
                self._changed(frozenset({"progress"}))

    async def fetch_codes(self) -> None:
        """The codes of the head under the cursor, unless they are here already."""
        key = self.bench.codes_key()
        if key is None or key in self.bench.codes or self._host is None:
            return
        run_id, layer, head, seed = key
        try:
            answer = await self._host.ask(GetCodes(run=run_id, layer=layer, head=head, seed=seed), Codes)
        except HeadcodeError as error:
            self.bench.keep_codes(key, error.as_failure())
        except (OSError, EOFError):
            return
        else:
            self.bench.keep_codes(key, answer.codes)
        if HeadId(layer, head) == self.bench.cursor:
            self._changed(frozenset({"head", "examples"}))

    async def look_at_head(self, request: LookAtHead) -> HeadLook | Failure:
        """The head on the prompt, or why it cannot be looked at."""
        if self._host is None:
            return Failure(family="host", name="HostGone", message="There is no host to ask.", hint="Try again.")
        try:
            return await self._host.ask(request, HeadLook)
        except HeadcodeError as error:
            return error.as_failure()
        except (OSError, EOFError) as error:
            return HostGone(f"The connection to the host broke: {error}.").as_failure()

    async def request(self, request: AnyRequest, want: type[T]) -> T:
        """The host's answer to what a sheet asks. Raises HeadcodeError."""
        if self._host is None:
            raise HostGone("There is no host to ask.", hint="It is being looked for.")
        try:
            return await self._host.ask(request, want)
        except (OSError, EOFError) as error:
            raise HostGone(f"The connection to the host broke: {error}.") from error

    def open(self, session_id: str) -> None:
        """Leaves this session for that one."""
        self._session, self._switching = session_id, True
        if self._following is not None:
            self._following.cancel()

    def note_writer(self, place: Place, old: Note | None) -> Callable[[str], Awaitable[None]]:
        """Keeps a text as a note on what is at hand now, whatever is at hand when the text is there."""
        run, session = self.bench.shown, self.bench.session_id
        run_id = run.run_id if run is not None and place != "session" else None
        head = (self.bench.cursor.layer, self.bench.cursor.head) if place == "head" else None

        async def write(text: str) -> None:
            if session is None or (not text and old is None):
                return
            if text:
                note_id = old.note_id if old is not None else None
                asked = WriteNote(session=session, text=text, run=run_id, head=head, note=note_id)
                await self.try_ask(asked, NoteAnswer)
            elif old is not None:
                await self.try_ask(RemoveNote(session=session, note=old.note_id), NoteAnswer)

        return write

    def keep_look(self) -> None:
        """Has the host record how the shown run is looked at: the last of what changes within a second.

        So a replay shows the same cuts at the same moments, and a screen opened later begins with the last one.
        """
        run, look = self.bench.shown, self.bench.look_now()
        if run is not None and look is not None:
            self._looks[run.run_id] = look
            if self._look_timer is None:
                self._look_timer = asyncio.get_running_loop().call_later(_LOOK_S, self._tell_looks)

    # ---- inside

    def _tell_looks(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        looks, self._looks = self._looks, {}
        host = self._host
        for run_id, look in looks.items():
            if host is not None:
                self._spawn(self._tell_look(host, SetLook(run=run_id, look=look)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_look(self, host: Host, request: SetLook | ChooseOptions) -> None:
        # A cut that is not recorded is no loss worth a word: the next one will be.
        with contextlib.suppress(HeadcodeError, OSError, EOFError):
            await host.ask(request, Done)

    async def _stay(self) -> None:
        host = self._host = await self.connect()
        session = await self._find_session(host)
        if session.session_id != self.bench.session_id:
            self.bench.forget()
            detail = (await host.ask(ShowSession(session=session.session_id), Detail)).detail
            self.bench.watched_from = 0 if self._begun_here == session.session_id else detail.last_seq
        bench = self.bench
        bench.session_id, bench.session_name = session.session_id, session.name
        bench.model, bench.task = session.model, session.task
        bench.link, bench.link_words, bench.failure = "live", host.welcome.notice, None
        diary.write("INFO", f"session {session.name} on host {host.welcome.pid}, Headcode {host.welcome.version}")
        self._ever_live, self._session = True, session.session_id
        self._changed(ALL_PARTS)
        watch = asyncio.create_task(self._watch_engine(host))
        self._following = asyncio.create_task(self._follow(host, session.session_id))
        try:
            await self._following
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _follow(self, host: Host, session_id: str) -> None:
        async for entries in host.follow(session_id, after_seq=self.bench.last_seq):
            parts = self.bench.fold(entries)
            if parts:
                self._changed(parts)
                self.look_ahead()

    async def _find_session(self, host: Host) -> SessionRow:
        """The one that was asked for, else the newest, else a first one with a run of its own under way."""
        if self._session is not None:
            return (await host.ask(ShowSession(session=self._session), Detail)).detail.session
        sessions = (await host.ask(ListSessions(), Sessions)).sessions
        wanted = (self._wanted_model, self._wanted_task)
        special = wanted != (DEFAULT_MODEL, DEFAULT_TASK)
        fitting = [row for row in sessions if not special or (row.model, row.task) == wanted]
        if fitting:
            await host.ask(WarmUp(), Done)
            return fitting[0]
        name = None if special else FIRST_SESSION
        create = CreateSession(name=name, model=self._wanted_model, task=self._wanted_task, pairs=10)
        session = (await host.ask(create, Session)).session
        self._begun_here = session.session_id
        await host.ask(QueueRun(session=session.session_id), RunAnswer)
        return session

    async def _watch_engine(self, host: Host) -> None:
        """Keeps the engine's state at hand: the host says when it is another one."""
        seen = ""
        while True:
            try:
                status = (await host.ask(FollowEngine(seen=seen), Status)).status
            except (HeadcodeError, OSError, EOFError):
                return
            self.bench.worker, before, seen = status, seen, status.worker_state
            if before != seen:
                self._changed(frozenset({"header", "progress"}))
            else:
                await asyncio.sleep(_STATUS_S)

    async def ask(self, request: AnyRequest, want: type[T], /) -> T:
        """The answer, for who deals with a refusal itself. Raises HostGone, Refusal and its kin."""
        if self._host is None:
            raise HostGone("There is no host to ask.", hint="It is being looked for.")
        try:
            return await self._host.ask(request, want)
        except Refusal as error:
            raise error_from(error.failure) from None
        except (OSError, EOFError) as error:
            raise HostGone(f"The connection to the host broke: {error}.") from error

    async def try_ask(self, request: AnyRequest, want: type[T]) -> T | None:
        """The answer to what a key asked for; None where there is none: a refusal is shown, a lost host is the loop's
        to deal with."""
        bench = self.bench
        answer: T | None = None
        if self._host is None:
            bench.failure = Failure(
                family="host", name="HostGone", message="There is no host to ask.", hint="It is being looked for."
            )
        else:
            bench.failure = None
            try:
                answer = await self._host.ask(request, want)
            except HostGone:
                return None
            except HeadcodeError as error:
                bench.failure = error.as_failure()
                diary.write_failure(bench.failure)
            except (OSError, EOFError):
                return None
        self._changed(frozenset({"progress", "header"}))
        return answer

    async def verify_run(self) -> None:
        """Has the shown run done again. How far that is stands in the bench; what came out arrives in the log."""
        run = self.bench.shown
        if run is None:
            return
        self.bench.verifying = f"Run {run.number} is done again, to see whether it is the same; x stops it."
        job = await self.try_ask(VerifyRun(run=run.run_id), VerifyJob)
        self._verify_job = job.job if job is not None else None
        seen = 0
        try:
            while job is not None:
                state = await self.try_ask(FollowVerify(job=job.job, seen=seen), VerifyState)
                if state is None:
                    return
                seen = state.news
                if state.report is not None:
                    return
                if state.failure is not None:
                    self.bench.failure = None if state.failure.family == "cancelled" else state.failure
                    return
                self.bench.verifying = _verifying_words(run.number, state)
                self._changed(frozenset({"progress"}))
        finally:
            self.bench.verifying, self._verify_job = "", None
            self._changed(frozenset({"progress"}))

    def _fail(self, error: HeadcodeError) -> None:
        failure = error.as_failure()
        diary.write_failure(failure)
        self.bench.link, self.bench.failure = "failed", failure
        self.bench.link_words = failure.message
        self.exit_code = 2 if failure.family == "input" else 4
        self._changed(ALL_PARTS)

    async def _drop(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            with contextlib.suppress(HeadcodeError, OSError):
                await host.close()


def _verifying_words(number: int, state: VerifyState) -> str:
    """How far a run is being done again."""
    if state.stage is None:
        return f"Run {number} is done again: it waits its turn; x stops it."
    count = f" {state.done} of {state.total}" if state.total > 1 else ""
    return f"Run {number} is done again: {state.stage}{count}; x stops it."
