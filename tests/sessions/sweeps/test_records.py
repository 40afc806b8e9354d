"""Test how a sweep is recorded: sessions by source, extended and replaced by label, each unit once."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config import ProbeConfig
from engine.examples import Example, content_hash
from engine.planning.run_options import RunOptions
from engine.sweeps.plan import ExampleSource, PlannedUnit, SweepPlan
from sessions.store.database import Store
from sessions.store.queries import newest_examples
from sessions.store.recorder import Recorder
from sessions.store.sweep_units import find_sweep, stored_units, sweep_sessions, unit_rows
from sessions.sweeps import records
from sessions.sweeps.records import record_plan

MINE = (Example(prompt="a b", polarity="positive"), Example(prompt="a c", polarity="negative"))
TASK = ExampleSource(label="ioi", task="ioi", pairs=2)
FILE = ExampleSource(label="mine.jsonl", examples=MINE, content_hash=content_hash(MINE))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "sessions.duckdb")


def plan_of(seeds: Sequence[int], *, version: int = 0, sources: tuple[ExampleSource, ...] = (TASK,)) -> SweepPlan:
    options = tuple(RunOptions(config=ProbeConfig(seeds=(seed,))) for seed in seeds)
    units = tuple(
        PlannedUnit(
            key=f"{version:04x}{number:04x}{seed:024x}",
            labels=(("task" if source.task else "examples", source.label), ("seeds", str(seed))),
            model="toy",
            source=number,
            options=place,
        )
        for number, source in enumerate(sources)
        for place, seed in enumerate(seeds)
    )
    return SweepPlan(name="mine", sources=sources, options=options, units=units)


def test_a_set_of_examples_is_in_its_session_and_comes_back_with_the_unit(store: Store) -> None:
    sweep, _ = record_plan(Recorder(store), plan_of([4, 7], sources=(TASK, FILE)))
    sessions = sweep_sessions(store, sweep.sweep_id)
    assert [(name, units) for _, name, units in sessions] == [("mine: ioi", 2), ("mine: mine.jsonl", 2)]
    assert newest_examples(store, sessions[1][0]) == MINE
    for stored in sweep.units:
        assert stored.source == (FILE if stored.session_id == sessions[1][0] else TASK)
        assert stored.options.config.seeds == (int(dict(stored.unit.labels)["seeds"]),)
        assert stored.options.model == "toy"


def test_other_versions_replace_units_with_the_same_labels(store: Store) -> None:
    recorder = Recorder(store)
    sweep, _ = record_plan(recorder, plan_of([0, 1, 2]))
    later, _ = record_plan(recorder, plan_of([0, 1], version=1))
    assert later.sweep_id == sweep.sweep_id
    keys = {row.key: dict(row.labels)["seeds"] for row in unit_rows(store, sweep.sweep_id)}
    assert sorted(keys.values()) == ["0", "1", "2"]
    assert {key for key, seed in keys.items() if seed != "2"} == {unit.unit.key for unit in later.units}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=8, unique=True), min_size=1, max_size=4))
def test_a_sweep_that_is_extended_holds_every_unit_once(
    tmp_path_factory: pytest.TempPathFactory, plans: list[list[int]]
) -> None:
    before, records.RUNS_PER_SESSION = records.RUNS_PER_SESSION, 5
    store = Store.open(tmp_path_factory.mktemp("store") / "sessions.duckdb")
    try:
        recorder, wanted = Recorder(store), set[int]()
        for seeds in plans:
            sweep, _ = record_plan(recorder, plan_of(seeds, sources=(TASK, FILE)))
            wanted |= set(seeds)
            assert len(sweep.units) == 2 * len(seeds)
        labels = [dict(row.labels) for row in unit_rows(store, sweep.sweep_id)]
        found = [(each.get("task"), int(each["seeds"])) for each in labels]
        assert sorted(found, key=repr) == sorted(((task, seed) for task in ("ioi", None) for seed in wanted), key=repr)
        assert all(units <= 5 for _, _, units in sweep_sessions(store, sweep.sweep_id))
        # Every unit can be run again from what is stored alone.
        keys = {row.key for row in unit_rows(store, sweep.sweep_id)}
        assert {each.unit.key for each in stored_units(store, find_sweep(store, "mine"), keys)} == keys
    finally:
        records.RUNS_PER_SESSION = before
        store.close()
