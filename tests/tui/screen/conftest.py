"""A host in this process, and recorded sessions made of real events."""

import asyncio
import importlib.util
import os
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from engine.config import ProbeConfig
from engine.duration import Duration
from engine.errors import Failure
from engine.events import (
    ExamplesMade,
    Graded,
    ModelReady,
    Notice,
    ProbeFinished,
    ReferenceKnown,
    Scored,
    StageFinished,
    StageProgress,
    StageStarted,
    TrainStep,
)
from engine.examples import Example, content_hash
from engine.footprint import Part
from engine.preflight import Preflight
from engine.results import (
    NO_CODE,
    CodeWrites,
    ExampleCount,
    Grade,
    HeadScores,
    ModelInfo,
    PromptTokens,
    Reference,
    Timings,
    Versions,
)
from sessions.compare import Side
from sessions.errors import HostGone, NoSuchRecord, NothingToStep, Refusal, StaleExamples
from sessions.log import (
    ArrayKept,
    CircuitDropped,
    CircuitKept,
    ExamplesSet,
    ExamplesStepped,
    LogEntry,
    OptionsChosen,
    RunEnded,
    RunQueued,
    RunStarted,
    RunVerified,
    SessionCreated,
)
from sessions.rows import Choice, CircuitRow, HeadCodes, HostStatus, RunRow, SessionDetail, SessionRow, Timeline
from sessions.verify import VerifyReport
from sessions.wire import (
    AskCause,
    AskPreflight,
    CancelRun,
    CancelVerify,
    ChooseOptions,
    Circuit,
    Codes,
    CombineCircuits,
    Comparable,
    CreateSession,
    Detail,
    Done,
    DropCircuit,
    FollowEngine,
    FollowVerify,
    GetCodes,
    GetSides,
    GetStatus,
    GradeExamples,
    Grades,
    HeadLook,
    KeepCircuit,
    ListComparable,
    ListSessions,
    LogPiece,
    LookAtHead,
    Made,
    MakeExamples,
    Preflighted,
    QueueRun,
    ReadLog,
    ReadTimeline,
    Request,
    Session,
    Sessions,
    SetExamples,
    SetLook,
    ShowSession,
    Sides,
    Status,
    StepExamples,
    Times,
    VerifyJob,
    VerifyRun,
    VerifyState,
    WarmUp,
    Welcome,
)
from sessions.wire import Run as RunAnswer
from tui.kept import Kept
from tui.screens.workbench import Workbench
from tui.workbench import HeadcodeApp

START_US = 1_790_000_000_000_000
NAMES = ("Mary", "John", "Amy", "Paul", "Ruth", "Adam", "Jane", "Mark", "Kate", "Luke")
PLACES = ("shop", "park", "school", "station", "beach", "garden")
THINGS = ("drink", "book", "ring", "ball", "letter")
KNOWN = ((2, 3), (3, 6), (4, 1), (5, 2), (5, 7))


def make_examples(pairs: int) -> tuple[Example, ...]:
    draw = random.Random(1)
    found = []
    for pair in range(pairs):
        one, other, third = draw.sample(NAMES, 3)
        place, thing = draw.choice(PLACES), draw.choice(THINGS)
        start = draw.choice(("When", "Then,", "After"))
        for polarity, giver in (("positive", one), ("negative", third)):
            found.append(
                Example(
                    prompt=f"{start} {one} and {other} went to the {place}, {giver} gave a {thing} to",
                    polarity=polarity,
                    expected=(other,),
                    foils=(one,),
                    pair=pair,
                )
            )
    return tuple(sorted(found, key=lambda example: not example.positive))


def make_grades(examples: Sequence[Example]) -> tuple[Grade, ...]:
    draw = random.Random(2)
    grades = []
    for index, example in enumerate(examples):
        chance = draw.uniform(0.78, 0.97) if example.positive else draw.uniform(0.02, 0.2)
        verdict, reason = (
            "ok",
            "the expected token is what the model says" if example.positive else "the model is at a loss",
        )
        if index == 12:
            chance, verdict, reason = 0.31, "weak", "the model still knows the answer"
        if index == 5:
            chance, verdict, reason = 0.04, "broken", "the model says something else"
        grades.append(
            Grade(
                index=index,
                verdict=verdict,
                reason=reason,
                n_tokens=16,
                probability=chance,
                rank=1 if chance > 0.5 else 4,
                says=" John" if chance > 0.5 else " the",
                says_probability=max(chance, 0.22),
                equal_length=True,
            )
        )
    return tuple(grades)


def make_nodes(
    n_layers: int, n_heads: int, *, progress: float = 1.0, known: Sequence[tuple[int, int]] = KNOWN
) -> tuple[HeadScores, ...]:
    draw = random.Random(3)
    nodes = []
    for layer in range(n_layers):
        for head in range(n_heads):
            speaks = (layer, head) in known
            unique = draw.choice((5.0, 6.333, 7.0, 8.667, 4.0)) if speaks else max(0.0, round(draw.gauss(0.2, 0.9), 3))
            unique = round(unique * progress, 3)
            strong = min(unique / 9, 1.0)
            nodes.append(
                HeadScores(
                    layer=layer,
                    head=head,
                    unique_positive=unique,
                    unique_negative=round(draw.random() * 2, 3),
                    unique_normalised=round(strong * 0.8, 3),
                    overlap=round(1 - strong * 0.9, 3),
                    mutual_information=round(strong * 0.9 - 0.02, 3),
                    total_variation=round(strong, 3),
                    unique_share=round(strong, 3),
                    paired_flips=round(strong, 3),
                    from_edges=float(round(strong * 20)),
                    p_value=round(max(0.001, (1 - strong) ** 4), 3),
                    q_value=round(max(0.012, (1 - strong) ** 2), 3),
                    stability=1.0 if strong > 0.5 else round(draw.choice((0.0, 0.0, 1 / 3)), 3),
                    silent=round(0.2 * (1 - strong), 2),
                    baseline_mean_difference=round(draw.random() * 3, 3),
                    baseline_paired_difference=round(draw.random(), 3),
                    baseline_linear_probe=round(0.5 + draw.random() / 2, 3),
                    baseline_random=round(draw.random(), 3),
                )
            )
    return tuple(nodes)


def make_codes(run_id: str, layer: int, head: int, seed: int, examples: Sequence[Example]) -> HeadCodes:
    draw = random.Random(f"{layer}.{head}.{seed}")
    own, shared = [draw.randrange(200) for _ in range(3)], [draw.randrange(200) for _ in range(3)]
    codes = []
    for example in examples:
        if draw.random() < 0.08:
            codes.append(NO_CODE)
        elif example.positive and draw.random() < 0.7:
            codes.append(draw.choice(own))
        else:
            codes.append(draw.choice(shared))
    return HeadCodes(run_id=run_id, layer=layer, head=head, seed=seed, codes=tuple(codes))


def model_info(n_layers: int, n_heads: int, name: str = "toy") -> ModelInfo:
    return ModelInfo(
        name=name,
        identity="a1" * 32,
        n_layers=n_layers,
        n_heads=n_heads,
        d_model=n_heads * 16,
        d_head=16,
        context=128,
        vocabulary=800,
    )


VERSIONS = Versions(headcode="0.1.0", python="3.11.7", torch="2.13.0", transformer_lens="4.3.0", device="cpu")


def run_events(
    *,
    n_layers: int = 6,
    n_heads: int = 8,
    pairs: int = 10,
    until: str = "end",
    examples: tuple[Example, ...] | None = None,
    known: bool = True,
    config: ProbeConfig | None = None,
) -> list[Any]:
    """The events of one run. `until`: queued, load, train or end."""
    config = config or ProbeConfig()
    examples = make_examples(pairs) if examples is None else examples
    events: list[Any] = [RunQueued(config=config, model="toy", task="ioi")]
    if until == "queued":
        return events
    events += [RunStarted(), StageStarted(stage="load", total=0)]
    if until == "load":
        return events
    info = model_info(n_layers, n_heads)
    events += [
        ModelReady(model=info, versions=VERSIONS, warm=False),
        StageFinished(stage="load", seconds=4.21),
        ExamplesMade(examples=examples, content_hash="c" * 32, task="ioi"),
        StageStarted(stage="grade", total=len(examples), unit="prompts"),
        Graded(grades=make_grades(examples)),
        StageFinished(stage="grade", seconds=0.09),
    ]
    if known:
        source = "exact patching of every head, heads past 5 % of the base"
        events.append(ReferenceKnown(reference=Reference(name="toy ioi", source=source, heads=KNOWN)))
    events += [
        StageStarted(stage="capture", total=len(examples), unit="prompts"),
        StageProgress(stage="capture", done=len(examples), total=len(examples)),
        StageFinished(stage="capture", seconds=0.06),
        StageStarted(stage="train", total=500, unit="steps"),
    ]
    for step in range(20, 501, 20):
        loss = 0.02 + 0.6 * 0.86 ** (step / 20)
        moving = max(0, 24 - step // 15)
        events.append(
            TrainStep(
                step=step,
                total=500,
                reconstruction=tuple(round(loss * (1 + 0.04 * seed), 5) for seed in range(len(config.seeds))),
                sparsity=tuple(0.01 for _ in config.seeds),
                moving=tuple(moving for _ in config.seeds),
            )
        )
        if step % 100 == 0:
            events.append(Scored(nodes=make_nodes(n_layers, n_heads, progress=step / 500), final=False))
        if until == "train" and step == 220:
            return events
    events += [
        StageFinished(stage="train", seconds=0.74),
        StageStarted(stage="codes", total=3, unit="seeds"),
        StageFinished(stage="codes", seconds=0.01),
        ArrayKept(name="codes", sha256="d" * 64, n_bytes=4096),
        StageStarted(stage="scores", total=1000, unit="shuffles"),
        Scored(nodes=make_nodes(n_layers, n_heads), final=True),
        StageFinished(stage="scores", seconds=0.31),
        ProbeFinished(
            examples=ExampleCount(positive=pairs, negative=pairs, broken=1),
            circuit=KNOWN,
            circuit_softmax=KNOWN,
            timings=Timings(load=4.21, grade=0.09, capture=0.06, train=0.74, codes=0.01, scores=0.31, total=5.42),
            cached=False,
        ),
        RunEnded(state="done"),
    ]
    return events


class FakeHost:
    """Answers as the real one does, from a list of events; the test adds to it while the screen follows."""

    def __init__(self, *, session: str | None = "first light", step_us: int = 200_000) -> None:
        self.welcome = Welcome(version="0.1.0", pid=1, store="/tmp/sessions.duckdb")
        self.entries: list[LogEntry] = []
        self.asked: list[Request] = []
        self.connections = 0
        self.refuse: Exception | None = None
        self.refuse_connect: Exception | None = None
        self.script: list[Any] | None = None
        """What a queued run reports; None: nothing."""
        self.step_us = step_us
        self.choices: tuple[Choice, ...] = ()
        """What the run can be compared with."""
        self.sides: dict[str, Side] = {}
        """By reference."""
        self.verdict: RunVerified | Failure | None = RunVerified(verdict="same", words="the same")
        """What comes out when a run is done again; None: it goes on and on."""
        self.session: SessionRow | None = None
        self.worker_state = "warm"
        self._news = asyncio.Condition()
        self._telling: set[asyncio.Future[None]] = set()
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

    def preflight(self, request: AskPreflight) -> Preflight:
        """By the number of codes: a million of them do not fit."""
        enough = request.options.config.sae.n_codes < 50_000
        return Preflight(
            model=request.options.model,
            n_examples=20,
            parts=(Part(name="model", n_bytes=1_500_000), Part(name="SAE", n_bytes=8_000_000)),
            peak_bytes=500_000_000 if enough else 90_000_000_000,
            held_bytes=400_000_000,
            free_bytes=20_000_000_000,
            where="",
            fits=enough,
            lower=() if enough else ("the codes from 60000 to 9000",),
            cache_bytes=30_000,
            duration=Duration(seconds=1.2, low=1.0, high=1.4, basis="by 3 earlier runs of this model", rough=False),
        )

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

    async def connect(self) -> "FakeHost":
        self.connections += 1
        if self.refuse_connect is not None:
            raise self.refuse_connect
        self._gone = False
        return self

    async def ask(self, request: Request, want: type, /) -> Any:
        self.asked.append(request)
        if isinstance(request, FollowEngine):
            async with self._news:
                await self._news.wait_for(lambda: self._gone or request.seen != self.worker_state)
        if isinstance(request, FollowVerify):
            await asyncio.sleep(0.01)  # as the host does, which answers when there is something new
        if self._gone:
            raise HostGone("The host went away.")
        if self.refuse is not None and isinstance(request, QueueRun | CancelRun):
            raise self.refuse
        answer = self._answer(request)
        assert isinstance(answer, want)
        return answer

    async def follow(self, session: str, /, *, after_seq: int = 0) -> AsyncIterator[tuple[LogEntry, ...]]:
        assert self.session is not None
        assert session == self.session.session_id
        while True:
            if len(self.entries) > after_seq:
                batch = tuple(self.entries[after_seq:])
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
            case ListSessions():
                return Sessions(sessions=() if self.session is None else (self.session,))
            case ShowSession():
                if self.session is None or request.session not in (self.session.session_id, self.session.name):
                    raise NoSuchRecord(f"There is no session {request.session!r}.", hint="headcode sessions list")
                return Detail(detail=SessionDetail(session=self.session, runs=(), last_seq=len(self.entries)))
            case CreateSession():
                return Session(session=self._create(request.name or "ioi", request.model, request.task))
            case QueueRun():
                if self.script is not None:
                    self.add(*self.script)
                    self._tell_soon()
                return RunAnswer(run=self._run_row(request))
            case GetCodes():
                return self._codes(request)
            case LookAtHead():
                return self._look(request)
            case FollowEngine() | GetStatus():
                return Status(status=self._status())
            case SetExamples():
                self._set(request)
                return Session(session=self.session)
            case StepExamples():
                self._step(request)
                return Session(session=self.session)
            case GradeExamples():
                return self.grade(request)
            case MakeExamples():
                return Made(examples=make_examples(request.pairs))
            case ReadTimeline():
                assert self.session is not None
                first, last = self.entries[0].at_us, self.entries[-1].at_us
                line = Timeline(session=self.session, first_us=first, last_us=last, last_seq=len(self.entries),
                                markers=(), pauses=())  # fmt: skip
                return Times(times=line)
            case ReadLog():
                up_to = len(self.entries) if request.up_to is None else request.up_to
                found = tuple(self.entries[request.after_seq : up_to])
                return LogPiece(session_id="s-1", entries=found, up_to=up_to, goal=up_to, last_seq=len(self.entries))
            case AskPreflight():
                return Preflighted(preflight=self.preflight(request))
            case ChooseOptions():
                self.add_of_session(OptionsChosen(options=request.options))
                return Done()
            case WarmUp() | CancelRun() | SetLook() | AskCause():
                return Done()
            case ListComparable():
                return Comparable(choices=self.choices)
            case GetSides():
                return Sides(a=self.sides[request.b], b=self.sides[request.b])
            case KeepCircuit() | CombineCircuits() | DropCircuit():
                return self._circuit(request)
            case VerifyRun():
                return VerifyJob(job="v-1", run_id=request.run, title="first light/1")
            case FollowVerify() | CancelVerify():
                return self._verify(request)
        raise AssertionError(request)

    def _set(self, request: SetExamples) -> None:
        """As sessions.edit does it."""
        now = self.kept.examples
        if request.over is not None and request.over != now.content_hash:
            raise StaleExamples("The examples were changed elsewhere meanwhile.")
        if not now.version and request.examples:
            self.add(ExamplesSet(examples=(), content_hash=content_hash(())))
        self.add(ExamplesSet(examples=request.examples, content_hash=content_hash(request.examples)))
        self._tell_soon()

    def _step(self, request: StepExamples) -> None:
        now = self.kept.examples
        version = now.undo_to if request.by < 0 else now.redo_to
        if version is None:
            raise NothingToStep(f"There is nothing to {'undo' if request.by < 0 else 'redo'} in the examples.")
        hashed = now.hashes[version - 1]
        self.add(ExamplesStepped(by=request.by, version=version, content_hash=hashed))
        self._tell_soon()

    def grade(self, request: GradeExamples) -> Grades:
        """Words as tokens; a negative is not known, a positive is, unless it asks for something else."""
        words = [re.findall(r"\s?\S+", each.prompt) for each in request.examples]
        grades = []
        for index, example in enumerate(request.examples):
            verdict = "broken" if "broken" in example.prompt else "weak" if "weak" in example.prompt else "ok"
            grade = Grade(
                index=index,
                verdict=verdict,
                reason={"ok": "as it should be", "weak": "half known", "broken": "not known at all"}[verdict],
                n_tokens=len(words[index]),
                probability=0.9 if example.positive else 0.1,
                rank=1 if example.positive else 7,
                says=" John",
                says_probability=0.9,
            )
            grades.append(grade)
        last = request.position == "last"
        tokens = tuple(
            PromptTokens(texts=tuple(each), read=tuple(not last or word is each[-1] for word in each)) for each in words
        )
        return Grades(model=model_info(6, 8), grades=tuple(grades), tokens=tokens)

    @property
    def kept(self) -> Kept:
        found = Kept()
        for entry in self.entries:
            found.fold(entry)
        return found

    def _tell_soon(self) -> None:
        async def notify() -> None:
            async with self._news:
                self._news.notify_all()

        task = asyncio.ensure_future(notify())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _circuit(self, request: Any) -> Any:
        """Recorded as the host records it, under the run that was named."""
        kept = request.heads if isinstance(request, KeepCircuit) else ((0, 0),)
        source = request.source if isinstance(request, KeepCircuit) else "of others"
        event: Any = CircuitDropped(name=request.name)
        if not isinstance(request, DropCircuit):
            event = CircuitKept(name=request.name, heads=kept, source=source)
        seq = len(self.entries) + 1
        at_us = START_US + seq * self.step_us
        self.entries.append(LogEntry(session_id="s-1", seq=seq, at_us=at_us, run_id=None, event=event))
        self._tell_soon()
        if isinstance(request, DropCircuit):
            return Done()
        row = CircuitRow(
            name=request.name, session_id="s-1", session="one", run_id=None, heads=kept, source=source, kept_us=at_us
        )
        return Circuit(circuit=row)

    def _verify(self, request: Any) -> Any:
        if isinstance(request, CancelVerify):
            self.verdict = Failure(family="cancelled", name="Cancelled", message="Stopped.")
            return Done()
        over = self.verdict
        failure = over if isinstance(over, Failure) else None
        report = None
        if isinstance(over, RunVerified) and failure is None:
            report = VerifyReport(run_id="run-1", title="one/1", verdict=over.verdict, words=over.words)
            self.add(over)
            self._tell_soon()
        return VerifyState(
            news=request.seen + 1, stage="train", done=25, total=500, unit="steps", report=report, failure=failure
        )

    def _codes(self, request: GetCodes) -> Codes:
        made = [entry.event for entry in self.entries if isinstance(entry.event, ExamplesMade)]
        if not made:
            raise Refusal(Failure(family="input", name="NoSuchRecord", message="This run has no codes."))
        seed = request.seed or 0
        return Codes(codes=make_codes(request.run, request.layer, request.head, seed, made[-1].examples))

    def _look(self, request: LookAtHead) -> HeadLook:
        codes = self._codes(GetCodes(run=request.run, layer=request.layer, head=request.head, seed=request.seed))
        made = [entry.event for entry in self.entries if isinstance(entry.event, ExamplesMade)][-1]
        tokens = tuple(f"{word} " for word in made.examples[request.example].prompt.split())
        code = codes.codes.codes[request.example]
        others = sorted(set(codes.codes.codes) - {code, NO_CODE})
        return HeadLook(
            model=model_info(6, 8),
            tokens=tokens,
            skipped=0,
            strength=tuple(float(place % 5) for place in range(len(tokens))),
            attention=tuple(
                tuple(1.0 if key == query else 0.0 for key in range(query + 1)) for query in range(len(tokens))
            ),
            code=code,
            writes=tuple(
                CodeWrites(
                    code=each,
                    raises=((f" up{each}", 2.0), (" more", 1.0)),
                    lowers=((f" down{each}", -2.0),),
                    along=tuple(0.5 for _ in tokens),
                )
                for each in ([code] if code != NO_CODE else []) + others
            ),
        )

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

    def _run_row(self, request: QueueRun) -> RunRow:
        return RunRow(
            run_id=f"run-{self._runs}",
            session_id="s-1",
            number=self._runs,
            state="queued",
            model="toy",
            model_info=None,
            task="ioi",
            config=request.config,
            queued_us=START_US,
            started_us=None,
            ended_us=None,
            failure=None,
        )

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
        )


class Recorded:
    """What tests need of this file, as importlib mode gives them no import of it."""

    host = FakeHost
    events = staticmethod(run_events)
    nodes = staticmethod(make_nodes)
    examples = staticmethod(make_examples)
    notice = Notice
    start_us = START_US
    known = KNOWN


@pytest.fixture
def host(tmp_path: Path, recorded: type[Recorded]) -> Iterator[Any]:
    """A session of ten minutes in a real store, and what a host answers to questions about it."""
    spec = importlib.util.spec_from_file_location("store_host", Path(__file__).parent / "store_host.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.written(tmp_path, module.a_session(recorded)) as found:
        yield found


@pytest.fixture(scope="session")
def recorded() -> type[Recorded]:
    return Recorded


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """One clock zone, all colours, and nothing of the person who runs the tests."""
    import time

    monkeypatch.setenv("HEADCODE_HOME", str(tmp_path / "home"))

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.delenv("NO_COLOR", raising=False)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Callable[[App[Any]], None]:
    """Holds the screen against the stored picture; HEADCODE_UPDATE_SNAPSHOTS=1 stores it anew."""

    def check(app: App[Any]) -> None:
        svg = re.sub(r"terminal-\d+", "terminal", app.export_screenshot(title="headcode", simplify=True))
        scene = getattr(request.node, "callspec", None)
        name = scene.id if scene is not None else request.node.name.removeprefix("test_")
        stored = Path(__file__).parent / "pictures" / f"{name}.svg"
        if os.environ.get("HEADCODE_UPDATE_SNAPSHOTS"):
            stored.parent.mkdir(exist_ok=True)
            stored.write_text(svg, encoding="utf-8")
        assert stored.exists(), f"no picture yet: HEADCODE_UPDATE_SNAPSHOTS=1 makes {stored.name}"
        if svg != stored.read_text(encoding="utf-8"):
            now = stored.with_suffix(".now.svg")
            now.write_text(svg, encoding="utf-8")
            raise AssertionError(f"{stored.name} looks different; what it looks like now: {now}")

    return check


@pytest.fixture
def open_screen() -> Callable[..., Any]:
    """Opens the workbench on a host: gives the app, its pilot, and a way to wait until something is so."""

    @asynccontextmanager
    async def opened(
        host: FakeHost, *, size: tuple[int, int] = (160, 48), depth: str = "full", **more: Any
    ) -> AsyncIterator[tuple[HeadcodeApp, Pilot[None], Callable[..., Any]]]:
        options: dict[str, Any] = {"model": "toy", "task": "ioi", "clock": lambda: START_US / 1e6 + 10} | more
        notifications, tooltips = options.pop("notifications", False), options.pop("tooltips", False)
        app = HeadcodeApp(host.connect, depth=depth, **options)
        async with app.run_test(size=size, notifications=notifications, tooltips=tooltips) as pilot:

            async def until(holds: Callable[[], object]) -> None:
                for _ in range(4000):
                    await pilot.pause(0.005)
                    if holds():
                        break
                assert holds()
                await settled(app, pilot)

            await until(lambda: app.bench.link != "connecting" and app.bench.last_seq == len(host.entries))
            yield app, pilot, until

    return opened


async def settled(app: HeadcodeApp, pilot: Pilot[None]) -> None:
    """Waits until everything that changed is drawn and the codes of the head at the cursor are here."""
    for _ in range(200):
        screen = app.screen_stack[0]
        assert isinstance(screen, Workbench)
        key = app.bench.codes_key()
        if app.bench.preflight is None and app.bench.link == "live":
            await pilot.pause(0.005)
            continue
        if not screen._dirty and (key is None or key in app.bench.codes or app.bench.link != "live"):
            break
        await pilot.pause(0.005)
    await pilot.pause()


def shown_text(app: App[Any]) -> str:
    """What is on the screen, as lines of text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


@pytest.fixture(scope="session")
def text_of() -> Callable[[App[Any]], str]:
    return shown_text
