"""A host in this process that answers from a list of events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from engine.config import ProbeConfig
from engine.errors import Failure
from engine.events import ExamplesMade
from engine.examples import content_hash
from sessions.comparison.comparison import ComparisonSide
from sessions.errors import HostGone, NoSuchRecord, NothingToStep, Refusal, StaleExamples
from sessions.events import (
    CircuitDeleted,
    CircuitSaved,
    ExamplesSet,
    ExamplesStepped,
    LogEntry,
    OptionsChosen,
    RunQueued,
    RunVerified,
    SessionCreated,
    VerificationEnded,
    VerificationProgress,
    VerificationRequested,
)
from sessions.protocol import (
    AdoptFirstSession,
    AlikeGroup,
    AlikeNodes,
    CancelRun,
    ChooseOptions,
    CircuitAnswer,
    CodesAnswer,
    CombineCircuits,
    ComparisonChoices,
    CreateSession,
    DeleteCircuit,
    Done,
    ExampleSet,
    FindAlike,
    FollowEngine,
    GetAblation,
    GetAtlas,
    GetCodes,
    GetExamples,
    GetExplanation,
    GetFamilies,
    GetGrid,
    GetHeadInspection,
    GetMlp,
    GetOnPrompts,
    GetPlaces,
    GetPreflight,
    GetSides,
    GetSpecificity,
    GetStatus,
    GetSteering,
    GetThrough,
    GradeExamples,
    Grades,
    HeadInspection,
    LabelRun,
    ListComparable,
    ListRuns,
    ListSessions,
    LogPiece,
    MakeTaskExamples,
    MeasureRunEffects,
    PreflightAnswer,
    QueueRun,
    ReadLog,
    ReadOn,
    ReadTimeline,
    Request,
    RunAnswer,
    RunsAnswer,
    SaveCircuit,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsAnswer,
    SetDrawing,
    SetExamples,
    SetView,
    ShowSession,
    SidesAnswer,
    StatusAnswer,
    StepExamples,
    TaskExamplesMade,
    TimelineAnswer,
    VerificationStarted,
    VerifyRun,
    WarmUp,
    Welcome,
)
from sessions.rows import (
    CircuitRow,
    ComparisonChoice,
    CurrentJob,
    HostStatus,
    ListedRun,
    Marker,
    RunRow,
    SessionDetail,
    SessionRow,
    Timeline,
)
from tui.state.session_state import SessionState

from .pretended import grades_for, look_at, preflight_for
from .pretended_atlas import PretendedAtlas
from .pretended_parts import part_of
from .pretended_sweep import REQUESTS, PretendedSweep
from .recorded import START_US, make_codes, make_examples


class ScriptedHost:
    """Answers as the real one does, from a list of events; the test adds to it while the screen follows."""

    def __init__(self, *, session: str | None = "first light", step_us: int = 200_000) -> None:
        self.welcome = Welcome(version="0.1.0", pid=1, store="/tmp/sessions.duckdb")
        self.entries: list[LogEntry] = []
        self.asked: list[Request] = []
        self.sweep = PretendedSweep()
        self.atlas = PretendedAtlas()
        self.connections = 0
        self.refuse: Exception | None = None
        self.refuse_connect: Exception | None = None
        self.script: list[Any] | None = None
        """What a queued run reports; None: nothing."""
        self.step_us = step_us
        self.alike: tuple[AlikeGroup, ...] = ()
        self.choices: tuple[ComparisonChoice, ...] = ()
        self.other_runs: tuple[ListedRun, ...] = ()
        self.markers: tuple[Marker, ...] = ()
        """What the run can be compared with."""
        self.sides: dict[str, ComparisonSide] = {}
        """By reference."""
        self.verdict: RunVerified | None = RunVerified(verdict="same", words="the same")
        """The verdict of a repeated run; None: it never ends."""
        self.session: SessionRow | None = None
        self.worker_state = "warm"
        self.at_work: CurrentJob | None = None
        self._news = asyncio.Condition()
        self._background: set[asyncio.Future[None]] = set()
        self._gone = False
        self._runs = 0
        if session is not None:
            self._create(session, "toy", "ioi")

    # ---- what a test does

    def add(self, *events: Any) -> None:
        """Appends to the log as the host would."""
        for event in events:
            if isinstance(event, RunQueued):
                self._runs += 1
            run_id = None if isinstance(event, SessionCreated) else f"run-{self._runs}"
            seq = len(self.entries) + 1
            at_us = START_US + seq * self.step_us
            self.entries.append(LogEntry(session_id="s-1", seq=seq, at_us=at_us, run_id=run_id, event=event))

    def add_of_session(self, event: Any) -> None:
        """Appends what belongs to no run, and tells it."""
        seq = len(self.entries) + 1
        at_us = START_US + seq * self.step_us
        self.entries.append(LogEntry(session_id="s-1", seq=seq, at_us=at_us, run_id=None, event=event))
        self._tell_soon()

    async def tell(self, *events: Any) -> None:
        self.add(*events)
        async with self._news:
            self._news.notify_all()

    async def go_away(self) -> None:
        self._gone = True
        async with self._news:
            self._news.notify_all()

    def of_kind(self, name: str) -> list[Any]:
        """What was asked with requests of that class."""
        return [request for request in self.asked if type(request).__name__ == name]

    # ---- what the screen does

    async def connect(self) -> "ScriptedHost":
        self.connections += 1
        if self.refuse_connect is not None:
            raise self.refuse_connect
        self._gone = False
        return self

    async def ask(self, request: Request, want: type, /) -> Any:
        self.asked.append(request)
        if isinstance(request, FollowEngine):
            async with self._news:
                seen = (request.seen, request.job, request.silent)
                await self._news.wait_for(lambda: self._gone or seen != self._engine())
        if self._gone:
            raise HostGone("The host went away.")
        if self.refuse is not None and isinstance(request, QueueRun | CancelRun):
            raise self.refuse
        answer = await self.sweep.answer(request) if isinstance(request, REQUESTS) else self._answer(request)
        assert isinstance(answer, want)
        return answer

    async def follow(
        self, session: str, /, *, after_seq: int = 0, run: str | None = None
    ) -> AsyncIterator[tuple[LogEntry, ...]]:
        assert self.session is not None
        assert session == self.session.session_id
        while True:
            if len(self.entries) > after_seq:
                batch = tuple(each for each in self.entries[after_seq:] if run is None or each.run_id in (None, run))
                after_seq = len(self.entries)
                yield batch
            if self._gone:
                raise HostGone("The host went away.")
            async with self._news:
                if len(self.entries) == after_seq and not self._gone:
                    await self._news.wait()

    async def close(self) -> None:
        pass

    # ---- inside

    def _answer(self, request: Request) -> Any:
        match request:
            case ListSessions() | AdoptFirstSession():
                return SessionsAnswer(sessions=() if self.session is None else (self.session,))
            case ShowSession():
                if self.session is None or request.session not in (self.session.session_id, self.session.name):
                    raise NoSuchRecord(f"There is no session {request.session!r}.", hint="headcode sessions list")
                return SessionDetailAnswer(
                    detail=SessionDetail(session=self.session, runs=(), last_seq=len(self.entries))
                )
            case CreateSession():
                return SessionAnswer(session=self._create(request.name or "ioi", request.model, request.task))
            case QueueRun():
                if self.script is not None:
                    self.add(*self.script)
                    self._tell_soon()
                return RunAnswer(run=self._run_row(request.config))
            case GetCodes():
                return self._codes(request)
            case GetHeadInspection():
                codes = self._codes(
                    GetCodes(run=request.run, layer=request.layer, head=request.head, seed=request.seed)
                )
                return look_at(request, self._made()[-1].examples, codes.codes)
            case GetAtlas() | ReadOn() | GetOnPrompts():
                return self.atlas.answer(request, self._run_row(self._queued().config))
            case (
                GetPlaces()
                | GetMlp()
                | GetGrid()
                | GetThrough()
                | GetAblation()
                | GetSpecificity()
                | GetSteering()
                | GetExplanation()
                | GetFamilies()
            ):
                return part_of(request, self._run_row(self._queued().config), self._made()[-1].examples)
            case FollowEngine() | GetStatus():
                return StatusAnswer(status=self._status())
            case SetExamples():
                self._set(request)
                return SessionAnswer(session=self.session)
            case StepExamples():
                self._step(request)
                return SessionAnswer(session=self.session)
            case GetExamples():
                assert self.session is not None
                now = self.kept.examples
                return ExampleSet(
                    session=self.session, version=now.version, content_hash=now.content_hash, examples=now.current
                )
            case LabelRun():
                row = self._run_row(self._queued().config)
                return RunAnswer(run=msgspec.structs.replace(row, name=request.name or "", tags=request.add))
            case ListRuns():
                return RunsAnswer(runs=self.other_runs)
            case GradeExamples():
                return self.grade(request)
            case MakeTaskExamples():
                return TaskExamplesMade(examples=make_examples(request.pairs))
            case ReadTimeline():
                assert self.session is not None
                first, last = self.entries[0].at_us, self.entries[-1].at_us
                line = Timeline(session=self.session, first_us=first, last_us=last, last_seq=len(self.entries),
                                markers=self.markers, pauses=())  # fmt: skip
                return TimelineAnswer(times=line)
            case ReadLog():
                up_to = len(self.entries) if request.up_to is None else request.up_to
                found = tuple(self.entries[request.after_seq : up_to])
                return LogPiece(session_id="s-1", entries=found, up_to=up_to, goal=up_to, last_seq=len(self.entries))
            case GetPreflight():
                return PreflightAnswer(preflight=preflight_for(request))
            case ChooseOptions():
                self.add_of_session(OptionsChosen(options=request.options))
                return Done()
            case SetDrawing():
                seq = len(self.entries) + 1
                at_us, run = START_US + seq * self.step_us, request.run
                entry = LogEntry(session_id="s-1", seq=seq, at_us=at_us, run_id=run, event=request.drawing)
                self.entries.append(entry)
                self._tell_soon()
                return Done()
            case FindAlike():
                return AlikeNodes(groups=self.alike)
            case WarmUp() | CancelRun() | SetView() | MeasureRunEffects():
                return Done()
            case ListComparable():
                return ComparisonChoices(choices=self.choices)
            case GetSides():
                return SidesAnswer(a=self.sides[request.b], b=self.sides[request.b])
            case SaveCircuit() | CombineCircuits() | DeleteCircuit():
                return self._circuit(request)
            case VerifyRun():
                return self._verify(request)
        raise AssertionError(request)

    def _set(self, request: SetExamples) -> None:
        """As sessions.edits.examples does it."""
        now = self.kept.examples
        if request.over is not None and request.over != now.content_hash:
            raise StaleExamples("The examples have been changed elsewhere since.")
        if not now.version and request.examples:
            self.add(ExamplesSet(examples=(), content_hash=content_hash(())))
        self.add(ExamplesSet(examples=request.examples, content_hash=content_hash(request.examples)))
        self._tell_soon()

    def _step(self, request: StepExamples) -> None:
        """As sessions.store.queries.neighbour_version does it."""
        now, made_from = 0, [0]
        for entry in self.entries:
            match entry.event:
                case ExamplesSet():
                    made_from.append(now)
                    now = len(made_from) - 1
                case ExamplesStepped(version=version):
                    now = version
        version = (
            made_from[now]
            if request.by < 0
            else max((each for each, parent in enumerate(made_from) if each and parent == now), default=0)
        )
        if not version:
            raise NothingToStep(f"There is nothing to {'undo' if request.by < 0 else 'redo'} in the examples.")
        hashed = self.kept.examples.hashes[version - 1]
        self.add(ExamplesStepped(by=request.by, version=version, content_hash=hashed))
        self._tell_soon()

    def grade(self, request: GradeExamples) -> Grades:
        return grades_for(request)

    @property
    def kept(self) -> SessionState:
        found = SessionState()
        for entry in self.entries:
            found.fold(entry)
        return found

    def _tell_soon(self) -> None:
        async def notify() -> None:
            async with self._news:
                self._news.notify_all()

        task = asyncio.ensure_future(notify())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _circuit(self, request: Any) -> Any:
        """Recorded as the host records it, under the run that was named."""
        kept = request.heads if isinstance(request, SaveCircuit) else ((0, 0),)
        source = request.source if isinstance(request, SaveCircuit) else "of others"
        event: Any = CircuitDeleted(name=request.name)
        if not isinstance(request, DeleteCircuit):
            event = CircuitSaved(name=request.name, heads=kept, source=source)
        seq = len(self.entries) + 1
        at_us = START_US + seq * self.step_us
        self.entries.append(LogEntry(session_id="s-1", seq=seq, at_us=at_us, run_id=None, event=event))
        self._tell_soon()
        if isinstance(request, DeleteCircuit):
            return Done()
        row = CircuitRow(
            name=request.name, session_id="s-1", session="one", run_id=None, heads=kept, source=source, kept_us=at_us
        )
        return CircuitAnswer(circuit=row)

    def _verify(self, request: VerifyRun) -> VerificationStarted:
        """Begin a verification; it ends at once with `verdict`, if there is one."""
        after = len(self.entries)
        self.add(VerificationRequested(), VerificationProgress(stage="train", done=25, total=500, unit="steps"))
        if self.verdict is not None:
            self.add(self.verdict, VerificationEnded(state="done"))
        self._tell_soon()
        return VerificationStarted(run_id=request.run, session_id="s-1", title="first light/1", after_seq=after)

    def _made(self) -> list[ExamplesMade]:
        return [entry.event for entry in self.entries if isinstance(entry.event, ExamplesMade)]

    def _codes(self, request: GetCodes) -> CodesAnswer:
        made = self._made()
        if not made:
            raise Refusal(Failure(family="input", name="NoSuchRecord", message="This run has no codes."))
        seed = request.seed or 0
        return CodesAnswer(codes=make_codes(request.run, request.layer, request.head, seed, made[-1].examples))

    def _look(self, request: GetHeadInspection) -> HeadInspection:
        codes = self._codes(GetCodes(run=request.run, layer=request.layer, head=request.head, seed=request.seed)).codes
        return look_at(request, self._made()[-1].examples, codes)

    def _create(self, name: str, model: str, task: str | None) -> SessionRow:
        self.session = SessionRow(
            session_id="s-1",
            name=name,
            model=model,
            task=task,
            created_us=START_US,
            updated_us=START_US,
            n_runs=0,
            n_positive=0,
            n_negative=0,
        )
        self.add(SessionCreated(name=name, model=model, task=task))
        return self.session

    def _queued(self) -> RunQueued:
        return next(entry.event for entry in reversed(self.entries) if isinstance(entry.event, RunQueued))

    def _run_row(self, config: ProbeConfig) -> RunRow:
        return RunRow(
            run_id=f"run-{self._runs}",
            session_id="s-1",
            number=self._runs,
            state="queued",
            model="toy",
            model_info=None,
            task="ioi",
            config=config,
            queued_us=START_US,
            started_us=None,
            ended_us=None,
            failure=None,
        )

    async def be_at(self, work: CurrentJob | None) -> None:
        """The engine is at something else, or it is silent now."""
        async with self._news:
            self.at_work = work
            self._news.notify_all()

    def _engine(self) -> tuple[str, str, bool]:
        work = self.at_work
        return (self.worker_state, work.job, work.silent) if work is not None else (self.worker_state, "", False)

    def _status(self) -> HostStatus:
        return HostStatus(
            pid=1,
            version="0.1.0",
            protocol=1,
            store="/tmp/sessions.duckdb",
            store_bytes=1,
            uptime_s=1.0,
            clients=1,
            worker_pid=2,
            worker_state=self.worker_state,
            worker_model="toy",
            queued=0,
            running=None,
            idle_exit_s=None,
            at_work=self.at_work,
        )
