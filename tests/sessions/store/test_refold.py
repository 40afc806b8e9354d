"""Test that tables rebuilt from any log equal those written while it was recorded."""

from typing import Any, get_args

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config import EffectsConfig, ProbeConfig
from engine.errors import Failure
from engine.examples import Example, content_hash
from engine.explanations import CodeExplanation, Predicted, TokenRule
from engine.planning.run_options import RunOptions
from engine.steering import SteerPlan, SteerResult
from engine.sweeps.plan import ExampleSource, PlannedUnit, SweepPlan
from sessions.events import (
    ArrayStored,
    CircuitDeleted,
    CircuitSaved,
    DrawingChanged,
    EffectsEnded,
    EffectsRequested,
    ExamplesSet,
    ExamplesStepped,
    ExplanationRecorded,
    NoteRemoved,
    NoteWritten,
    OptionsChosen,
    RunEnded,
    RunLabelled,
    RunQueued,
    RunStarted,
    RunVerified,
    SessionCreated,
    SessionEvent,
    SessionImported,
    SessionRenamed,
    SessionRestored,
    SessionTrashed,
    SteeringRecorded,
    SweepPlanned,
    TagsSet,
    VerificationEnded,
    VerificationProgress,
    VerificationRequested,
    ViewChanged,
)
from sessions.store.database import Store
from sessions.store.migrations import PROJECTIONS
from sessions.store.recorder import EventDraft, Recorder, rebuild

SEEDS = (9, 8)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
FEW = st.sampled_from(["a", "b", "Ä ", 'it\'s "one"', "%s; DROP TABLE run"])
NUMBER = st.integers(0, 2**31 - 1)
HEADS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=3).map(tuple)
EXAMPLES = st.lists(
    st.builds(
        Example,
        prompt=TEXT.filter(str.strip),
        polarity=st.sampled_from(["positive", "negative"]),
        expected=st.lists(TEXT, max_size=2).map(tuple),
        pair=st.none() | st.integers(-(2**40), 2**40),
        enabled=st.booleans(),
    ),
    max_size=3,
).map(tuple)
FAILURES = st.none() | st.builds(Failure, family=st.just("engine"), name=FEW, message=TEXT, hint=TEXT)
UNITS = st.builds(
    PlannedUnit,
    key=FEW,
    labels=st.lists(st.tuples(FEW, FEW), max_size=2, unique_by=lambda label: label[0]).map(tuple),
    model=FEW,
)
PLANS = st.builds(
    SweepPlan,
    name=TEXT,
    sources=st.just((ExampleSource(label="ioi", task="ioi"),)),
    options=st.just((RunOptions(),)),
    units=st.lists(UNITS, max_size=4).map(tuple),
)
OF_SESSION = st.one_of(
    EXAMPLES.map(lambda examples: ExamplesSet(examples=examples, content_hash=content_hash(examples))),
    st.builds(ExamplesStepped, by=st.sampled_from([-1, 1]), version=st.integers(1, 4), content_hash=FEW),
    st.builds(SessionRenamed, name=TEXT),
    st.builds(TagsSet, tags=st.lists(TEXT, max_size=3, unique=True).map(lambda tags: tuple(sorted(tags)))),
    st.builds(NoteWritten, note_id=FEW, text=TEXT, head=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3))),
    st.builds(NoteRemoved, note_id=FEW),
    st.just(SessionTrashed()),
    st.just(SessionRestored()),
    st.builds(CircuitSaved, name=FEW, heads=HEADS, source=TEXT),
    st.builds(CircuitDeleted, name=FEW),
    st.builds(OptionsChosen, options=st.builds(RunOptions, model=FEW, device=FEW)),
    st.builds(SweepPlanned, sweep_id=FEW, plan=PLANS),
    st.builds(SessionImported, bundle_sha256=FEW, from_session=FEW, headcode=FEW),
)
NOTHING = Predicted(prompts=0, with_code=0, said=0, right=0)
RULE = TokenRule(token="a", predicted=NOTHING)
EXPLANATIONS = st.builds(
    CodeExplanation,
    layer=st.integers(0, 3),
    head=st.integers(-1, 3),
    code=NUMBER,
    patterns=st.just(()),
    salient=st.just(()),
    same_kind=st.just(NOTHING),
    contexts=st.just(NOTHING),
    together=st.just(NOTHING),
    frequent=st.just(RULE),
    best_token=st.just(RULE),
    seconds=st.floats(0, 9),
    notices=st.lists(TEXT, max_size=2).map(tuple),
)
OF_RUN = st.one_of(
    st.just(RunStarted()),
    st.builds(RunEnded, state=st.sampled_from(["done", "stopped", "failed", "interrupted"]), failure=FAILURES),
    st.builds(ViewChanged, measure=FEW, cut=NUMBER),
    st.builds(DrawingChanged, most=NUMBER, pinned=HEADS),
    st.builds(RunLabelled, name=TEXT, tags=st.lists(FEW, max_size=2, unique=True).map(tuple)),
    st.builds(
        RunVerified,
        verdict=st.sampled_from(["same", "rounding", "differs", "impossible"]),
        words=TEXT,
        stage=FEW,
        largest=st.floats(0, 1),
    ),
    st.builds(
        SteeringRecorded,
        plan=st.builds(SteerPlan, kind=st.just("off"), nodes=st.just(((1, 2),)), example=st.integers(0, 9)),
        result=st.builds(SteerResult, unit=st.floats(0, 1), prompt=TEXT),
    ),
    st.builds(ExplanationRecorded, explanation=EXPLANATIONS),
    st.just(VerificationRequested()),
    st.builds(VerificationProgress, stage=st.sampled_from(["load", "train"]), done=NUMBER, total=NUMBER),
    st.builds(VerificationEnded, state=st.sampled_from(["done", "stopped", "failed"]), failure=FAILURES),
    st.builds(EffectsRequested, config=st.just(EffectsConfig()), heads=HEADS),
    st.builds(EffectsEnded, state=st.sampled_from(["done", "stopped", "failed", "interrupted"]), failure=FAILURES),
    st.builds(ArrayStored, name=st.sampled_from(["sae", "codes"]), sha256=FEW, n_bytes=NUMBER),
    st.builds(NoteWritten, note_id=FEW, text=TEXT),
    st.builds(CircuitSaved, name=FEW, heads=HEADS, source=TEXT),
    st.sampled_from(["step", "steps", "provisional", "final", "model"]),
)
QUEUED = st.builds(
    RunQueued,
    config=st.just(ProbeConfig(seeds=SEEDS)),
    model=FEW,
    device=FEW,
    task=st.none() | FEW,
    again=st.none() | FEW,
    unit=st.just(msgspec.UNSET) | FEW,
)
STEP = st.tuples(st.integers(0, 1), st.one_of(OF_SESSION, OF_RUN, OF_RUN, QUEUED), st.booleans())
RUN_KINDS = (
    RunStarted,
    RunEnded,
    ViewChanged,
    DrawingChanged,
    RunLabelled,
    RunVerified,
    SteeringRecorded,
    ExplanationRecorded,
    VerificationRequested,
    VerificationProgress,
    VerificationEnded,
    EffectsRequested,
    EffectsEnded,
    ArrayStored,
    str,
)


def tables(store: Store) -> dict[str, list[Any]]:
    return {name: store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in PROJECTIONS}  # noqa: S608


def drafts(plan: list[Any], script: Any) -> list[tuple[EventDraft, bool]]:
    """Return the planned entries, each with whether a commit follows."""
    found = []
    runs = [0, 0]
    for which, event, commit in plan:
        runs[which] += isinstance(event, RunQueued)
        run = f"r{which}-{runs[which]}" if runs[which] else None
        if run is None and isinstance(event, RUN_KINDS):
            continue
        if isinstance(event, str):
            event = {
                "step": script.steps(ProbeConfig(seeds=SEEDS), 2)[-1],
                "steps": script.steps(ProbeConfig(seeds=SEEDS), 5)[2],
                "provisional": script.scores(0.5, final=False),
                "final": script.scores(0.75, final=True),
                "model": script.model_ready(),
            }[event]
        found.append((EventDraft(session_id=f"s{which}", run_id=run, event=event), commit))
    return found


def test_every_kind_of_session_event_is_tried() -> None:
    tried = {SessionCreated, RunQueued, *RUN_KINDS[:-1]}
    tried |= {ExamplesSet, ExamplesStepped, SessionRenamed, TagsSet, NoteWritten, NoteRemoved, SessionTrashed}
    tried |= {SessionRestored, CircuitSaved, CircuitDeleted, SessionImported, OptionsChosen, SweepPlanned}
    assert tried == set(get_args(SessionEvent))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(plan=st.lists(STEP, max_size=30))
def test_the_tables_are_a_reading_of_the_log(tmp_path_factory: Any, script: Any, plan: list[Any]) -> None:
    store = _empty(tmp_path_factory)
    recorder = Recorder(store)
    for name in ("s0", "s1"):
        recorder.append([EventDraft(session_id=name, event=SessionCreated(name=name, model="toy", task="ioi"))])
    batch: list[EventDraft] = []
    for draft, commit in drafts(plan, script):
        batch.append(draft)
        if commit:
            recorder.append(batch)
            batch = []
    if batch:
        recorder.append(batch)
    before = tables(store)
    assert rebuild(store) == store.rows("SELECT count(*) FROM event")[0][0]
    assert tables(store) == before


_kept: list[Store] = []


def _empty(factory: Any) -> Store:
    """Return one store for all examples, emptied before each."""
    if not _kept:
        _kept.append(Store.open(factory.mktemp("rebuild") / "sessions.duckdb"))
    with _kept[0].transaction() as con:
        for name in (*PROJECTIONS, "event"):
            con.execute(f"DELETE FROM {name}")  # noqa: S608
    return _kept[0]
