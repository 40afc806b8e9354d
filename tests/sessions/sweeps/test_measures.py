"""What finished runs of a sweep found, read from the store: accuracies by pair, effects, births in SQL."""

from pathlib import Path

import pytest

from engine.catalog.adder_sums import trained_prompts
from engine.config import ProbeConfig
from engine.errors import ConfigError
from engine.events import EffectsMeasured, EffectsPart, ExamplesMade, Graded, ProbeFinished, Scored
from engine.examples import Example, Polarity, content_hash
from engine.measures import NUMBERS, head_scores
from engine.nodes import NodeId
from engine.planning.run_options import RunOptions
from engine.results import ExampleCount, Grade, NodeEffect, Timings
from engine.sweeps.births import birth_table
from engine.sweeps.example_resamples import PairDone
from engine.sweeps.plan import ExampleSource, PlannedUnit, SweepPlan
from sessions.errors import BadQuery
from sessions.events import RunEnded, RunQueued, RunStarted
from sessions.handlers.births import checkpoint_runs, measures_of, table_rows
from sessions.store import sql_console
from sessions.store.database import Store
from sessions.store.queries import recent_sessions, session_row
from sessions.store.recorder import EventDraft, Recorder
from sessions.store.sweep_measures import pairs_done
from sessions.sweeps.records import record_plan

STEPS = (0, 250, 500, 750, 1000, 1250, 1500, 2000)
TRAINED = sorted(trained_prompts("adder"))[:2]
PROMPTS = (*TRAINED, "11+19=", "12+19=")
assert not {"11+19=", "12+19="} & trained_prompts("adder")


def test_the_prompts_that_the_adder_was_trained_on_are_known() -> None:
    assert len(trained_prompts("adder")) == 700
    assert trained_prompts("adder@250") == trained_prompts("adder")
    assert trained_prompts("toy") == frozenset()


def parts_of(base: float, effects: tuple[NodeEffect, ...]) -> tuple[EffectsPart, ...]:
    """Two parts of two examples, at 1.5 and .5 times the whole."""
    return tuple(
        EffectsPart(n_examples=2, base=base * by, effects=tuple(each.effect * by for each in effects))
        for by in (1.5, 0.5)
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A sweep over eight checkpoints: trained pairs can be done from 500 on, the others from 1,250 on."""
    store = Store.open(tmp_path / "sessions.duckdb")
    recorder = Recorder(store)
    units = tuple(
        PlannedUnit(key=f"k{step}", labels=(("model", "adder"), ("checkpoint", str(step))), model=f"adder@{step}")
        for step in STEPS
    )
    plan = SweepPlan(
        name="mine", sources=(ExampleSource(label="addition", task="addition"),), options=(RunOptions(),), units=units
    )
    sweep, _ = record_plan(recorder, plan)
    sides: tuple[Polarity, Polarity] = ("positive", "negative")
    examples = tuple(
        Example(prompt=prompt if side == "positive" else f"{prompt[:-2]}0=", polarity=side, expected=("3",), pair=pair)
        for pair, prompt in enumerate(PROMPTS)
        for side in sides
    )
    for stored, step in zip(sweep.units, STEPS, strict=True):
        right = [step >= (500 if pair < 2 else 1250) for pair in range(4) for _ in range(2)]
        grades = tuple(
            Grade(
                index=index,
                verdict="ok" if right[index] else "broken",
                reason="",
                n_tokens=6,
                probability=0.5,
                rank=1 if right[index] else 4,
                says="3",
                says_probability=0.5,
            )
            for index in range(len(examples))
        )
        base = 8.0 if step >= 1250 else 1.0
        effects = (
            NodeEffect(layer=0, head=1, effect=-4.0 if step >= 1250 else -0.1),
            NodeEffect(layer=0, head=-1, effect=0.5),
        )
        numbers = dict.fromkeys(NUMBERS, 0.0) | {"total_variation": 0.25 * (step >= 750) + 0.5}
        nodes = tuple(head_scores(NodeId(0, head), numbers) for head in (0, 1))
        measured = EffectsMeasured(
            method="exact", metric="logit_difference", replacement="pair", base=base, n_examples=4, position="last",
            effects=effects, passes=1.0, final=True, parts=parts_of(base, effects),
        )  # fmt: skip
        events = (
            RunQueued(config=ProbeConfig(), model=f"adder@{step}", task="addition", unit=stored.unit.key),
            RunStarted(),
            ExamplesMade(examples=examples, content_hash=content_hash(examples)),
            Graded(grades=grades),
            Scored(nodes=nodes, final=True),
            measured,
            ProbeFinished(
                examples=ExampleCount(positive=4, negative=4, broken=0),
                circuit=(),
                circuit_softmax=(),
                timings=Timings(),
                cached=False,
            ),
            RunEnded(state="done"),
        )
        recorder.append([EventDraft(session_id=stored.session_id, run_id=f"r{step}", event=event) for event in events])
    return store


def sweep_of(store: Store) -> str:
    return str(store.rows("SELECT sweep_id FROM sweeps")[0][0])


def test_pairs_are_counted_once_and_apart_by_what_was_trained_on(store: Store) -> None:
    found = {run.run_id: run for run in measures_of(store, sweep_of(store), "", None).runs}
    told = {step: (found[f"r{step}"].accuracy, found[f"r{step}"].trained, found[f"r{step}"].held_out) for step in STEPS}
    assert told[250] == (0.0, 0.0, 0.0)
    assert told[500] == (0.5, 1.0, 0.0)
    assert told[1250] == (1.0, 1.0, 1.0)
    assert found["r0"].values == ()


def test_effects_come_with_what_they_are_shares_of(store: Store) -> None:
    found = measures_of(store, sweep_of(store), "exact_effect", None)
    assert found.nodes == ("0.1", "m0")
    by_run = {run.run_id: (run.values, run.base, run.unit) for run in found.runs}
    assert by_run["r0"] == ((-0.1, 0.5), 1.0, 2.0)  # a quarter of the largest base
    assert by_run["r2000"] == ((-4.0, 0.5), 8.0, 8.0)
    one = measures_of(store, sweep_of(store), "total_variation", NodeId(0, 1))
    assert {run.values for run in one.runs} == {(0.5,), (0.75,)}
    with pytest.raises(ConfigError, match="no measure"):
        measures_of(store, sweep_of(store), "nothing", None)


def test_a_session_of_a_sweep_has_the_examples_of_its_runs(store: Store) -> None:
    (listed,) = recent_sessions(store, limit=9)
    assert (listed.n_positive, listed.n_negative, listed.n_runs) == (4, 4, len(STEPS))
    assert session_row(store, listed.session_id) == listed
    assert sql_console.ask(store.cursor(), "SELECT positives, negatives FROM sessions").rows == ([4, 4],)


def test_pairs_and_parts_come_with_the_runs_that_births_are_of(store: Store) -> None:
    ((_, runs),) = checkpoint_runs(store, sweep_of(store), "")[0].items()
    by_step = {run.step: run for run in runs}
    assert by_step[500].pairs == (PairDone(True, True),) * 2 + (PairDone(False, False),) * 2
    one, other = by_step[2000].parts
    assert (one.n_examples, one.base, one.values) == (2, 12.0, {"0.1": -6.0, "m0": 0.75})
    assert (other.n_examples, other.base, other.values) == (2, 4.0, {"0.1": -2.0, "m0": 0.25})
    # By codes there are pairs, but no parts of effects.
    ((_, runs),) = checkpoint_runs(store, sweep_of(store), "total_variation")[0].items()
    assert {(len(run.pairs), run.parts) for run in runs} == {(4, ())}
    known = pairs_done(store, [("r500", "another")])
    assert known == {"r500": (PairDone(True),) * 2 + (PairDone(False),) * 2}


def test_births_are_those_of_the_effects_and_rows_of_a_view(store: Store) -> None:
    series, measure = checkpoint_runs(store, sweep_of(store), "")
    assert measure == "exact_effect"
    ((labels, runs),) = series.items()
    assert labels == (("model", "adder"),)
    table = birth_table(runs, measure=measure, labels=labels)
    assert table.learnt is not None
    assert 250 < table.learnt.steps < 1250
    rows = table_rows("w", "mine", table)
    cursor = store.cursor()
    sql_console.fill_births(cursor, rows)
    sql = "SELECT sweep, labels->>'model' AS model, kind, node, place, midpoint > 250 AS late FROM births"
    assert sql_console.names_births(sql)
    assert not sql_console.names_births("SELECT * FROM runs")
    found = sql_console.ask(cursor, sql).rows
    assert ["mine", "adder", "metric", "trained", None, True] in found
    assert ["mine", "adder", "node", "0.1", 1, True] in found
    with pytest.raises(BadQuery, match="no view"):
        sql_console.ask(cursor, "SELECT * FROM main.births")
    # Another query finds none of them: they were this cursor's.
    other = store.cursor()
    sql_console.fill_births(other, [])
    assert sql_console.ask(other, "SELECT count(*) FROM births").rows == ([0],)
