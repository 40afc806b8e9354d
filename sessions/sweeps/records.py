"""Record a sweep in the store: its sessions, its plan, and what a try at a unit needs.

A sweep's runs lie in sessions by source of examples, NAME: SOURCE, of at most RUNS_PER_SESSION units each. So every run
is an ordinary one of a session with those examples, 2,000 units are ten lines in a list of sessions, and a session that
is opened has a log of bounded length (about 160 kB a run).
"""

from collections.abc import Sequence

import msgspec

from engine.config import load_fields
from engine.errors import Failure
from engine.machine.folders import AppFolders
from engine.protocol import RunProbe
from engine.sweeps.content_key import DecisiveVersions
from engine.sweeps.plan import ExampleSource, PlannedUnit, SweepPlan
from sessions.edits.examples import clean_name, free_name
from sessions.events import ExamplesSet, RunEnded, RunQueued, SessionCreated, SweepPlanned
from sessions.ids import new_id
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder
from sessions.store.sweep_units import (
    StoredUnit,
    done_keys,
    session_source,
    stored_units,
    sweep_named,
    sweep_sessions,
    unit_places,
)
from sessions.sweeps.executor import UnitTask

RUNS_PER_SESSION = 200


class RecordedSweep(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep in the store, as it is to be run."""

    sweep_id: str
    name: str
    units: tuple[StoredUnit, ...]
    """Those asked for, one for each content key, in the order of the plan."""
    done: frozenset[str]
    """Keys that have a finished run."""


def record_plan(recorder: Recorder, plan: SweepPlan) -> tuple[RecordedSweep, list[RecordedEntry]]:
    """Record the units of the plan that are not recorded yet; return the sweep with all units of the plan.

    A sweep of the same name is continued: its other units stay. Raises BadName, StoreError.
    """
    store = recorder.store
    name = clean_name(plan.name)
    sweep_id = sweep_named(store, name) or new_id("w")
    drafts: list[EventDraft] = []
    for session_id, units, created in _placed(store, sweep_id, name, plan):
        source = plan.source_of(units[0])
        if created is not None:
            drafts.append(EventDraft(session_id=session_id, event=created))
            if source.examples:
                examples = ExamplesSet(examples=source.examples, content_hash=source.content_hash)
                drafts.append(EventDraft(session_id=session_id, event=examples))
        event = SweepPlanned(sweep_id=sweep_id, plan=_part(plan, name, units))
        drafts.append(EventDraft(session_id=session_id, event=event))
    recorded = recorder.append(drafts)
    keys = [unit.key for unit in plan.units]
    return find_recorded(store, sweep_id, name, keys), recorded


def find_recorded(store: Store, sweep_id: str, name: str, keys: Sequence[str]) -> RecordedSweep:
    """Return a recorded sweep with the units of these keys."""
    return RecordedSweep(
        sweep_id=sweep_id,
        name=name,
        units=tuple(stored_units(store, sweep_id, set(keys))),
        done=frozenset(done_keys(store, keys)),
    )


def make_task(
    sweep: str, stored: StoredUnit, places: AppFolders, *, identity: str, versions: DecisiveVersions, last: bool
) -> UnitTask:
    """Return a new try at the unit. `last`: no other will follow."""
    unit, source, options = stored.unit, stored.source, stored.options
    run_id = new_id("r")
    asked = RunQueued(config=options.config, model=unit.model, task=source.task, unit=unit.key, **load_fields(options))
    request = RunProbe(
        job=run_id,
        model=unit.model,
        config=options.config,
        examples=source.examples,
        task=source.task,
        pairs=source.pairs,
        task_seed=unit.draw,
        usable=source.usable,
        spool=str(places.spool / run_id),
        models=str(places.models),
        activations=str(places.activations),
        **load_fields(options),
    )
    return UnitTask(
        key=unit.key,
        run_id=run_id,
        session_id=stored.session_id,
        title=unit_title(sweep, unit),
        asked=asked,
        request=request,
        identity=identity,
        versions=versions,
        last_try=last,
    )


def record_failure(recorder: Recorder, task: UnitTask, failure: Failure) -> tuple[None, list[RecordedEntry]]:
    """Record a run that failed on another machine, so that the store knows the reason."""
    ended = RunEnded(state="stopped" if failure.family == "cancelled" else "failed", failure=failure)
    return None, recorder.append(
        [EventDraft(session_id=task.session_id, run_id=task.run_id, event=event) for event in (task.asked, ended)]
    )


def unit_title(sweep: str, unit: PlannedUnit) -> str:
    """Return the unit for people: the sweep and its labels."""
    return f"{sweep}: {', '.join(f'{axis} {value}' for axis, value in unit.labels)}"


def _placed(
    store: Store, sweep_id: str, name: str, plan: SweepPlan
) -> list[tuple[str, list[PlannedUnit], SessionCreated | None]]:
    """Return the new units by session; a session that does not exist yet comes with its first entry."""
    by_key, by_labels = unit_places(store, sweep_id)
    found: dict[str, tuple[list[PlannedUnit], SessionCreated | None]] = {}
    room: dict[ExampleSource, list[tuple[str, int]]] = {}
    for session_id, _, n_units in sweep_sessions(store, sweep_id):
        source = session_source(store, session_id, sweep_id)
        room.setdefault(source, []).append((session_id, RUNS_PER_SESSION - n_units))
    for unit in plan.units:
        labels = frozenset(unit.labels)
        if (unit.key, labels) in by_key:
            continue
        source = plan.source_of(unit)
        bare = msgspec.structs.replace(source, examples=())
        known = by_labels.get(labels)
        places = room.setdefault(bare, [])
        if known is not None and any(session_id == known for session_id, _ in places):
            found.setdefault(known, ([], None))[0].append(unit)  # its labels are there with another key: replaced
            continue
        index = next((index for index, (_, left) in enumerate(places) if left > 0), None)
        if index is None:
            session_id = new_id("s")
            title = free_name(store, _session_name(name, source, len(places)))
            created = SessionCreated(
                name=title, model=unit.model, task=source.task, pairs=source.pairs, task_seed=unit.draw
            )
            found[session_id] = ([], created)
            places.append((session_id, RUNS_PER_SESSION))
            index = len(places) - 1
        session_id, left = places[index]
        places[index] = (session_id, left - 1)
        found.setdefault(session_id, ([], None))[0].append(unit)
    return [(session_id, units, created) for session_id, (units, created) in found.items()]


def _session_name(name: str, source: ExampleSource, before: int) -> str:
    number = f" {before + 1}" if before else ""
    return f"{f'{name}: {source.label}'[:190]}{number}"


def _part(plan: SweepPlan, name: str, units: Sequence[PlannedUnit]) -> SweepPlan:
    """Return the plan of these units alone, which have one source."""
    used = sorted({unit.options for unit in units})
    place = {index: new for new, index in enumerate(used)}
    source = msgspec.structs.replace(plan.source_of(units[0]), examples=())
    return SweepPlan(
        name=name,
        sources=(source,),
        options=tuple(plan.options[index] for index in used),
        units=tuple(msgspec.structs.replace(unit, source=0, options=place[unit.options]) for unit in units),
    )
