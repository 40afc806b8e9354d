"""Resolve the name of a comparison side.

RUN (id, SESSION/NUMBER, SESSION/NAME, NAME, latest, or a session: its newest run), RUN@SEED, SESSION@vN (version N
of its examples), circuit:NAME or circuit:SESSION/NAME (saved), known or known:RUN (a run's own known circuit),
task:NAME (the known circuit of a task, for the other side's model).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from engine.analysis.effects import merge_measurement, with_effects
from engine.catalog.local_models import find_model
from engine.config import ProbeConfig
from engine.errors import HeadcodeError
from engine.events import EffectsMeasured
from engine.examples import Example
from engine.references.known_circuits import known_circuit
from engine.results import ModelInfo, NodeScores, Reference, Versions
from engine.tasks.registry import find_task
from sessions.comparison.comparison import ComparisonSide
from sessions.errors import NoSuchRecord
from sessions.store.circuits import find_circuit
from sessions.store.database import Row, Store
from sessions.store.projections import MEASURES
from sessions.store.queries import find_run, find_session, run_layout
from sessions.store.views import DTYPE

S = TypeVar("S", bound=msgspec.Struct)

_INFO = ModelInfo.__struct_fields__
_VERSIONS = Versions.__struct_fields__
_EXAMPLE = Example.__struct_fields__
_RUN = f"""
    SELECT r.run_id, r.session_id, r.number, s.name, r.state, r.model,
           CASE WHEN r.made IS NOT FALSE THEN r.task END, r.device_asked, r.config,
           r.reference, r.measure, r.cut, r.content_hash, r.model_name, r.model_identity,
           {", ".join("r." + name for name in _INFO[2:-2])}, coalesce(r.nodes, 'heads'),
           coalesce(r.parallel_mlps, false),
           {", ".join(DTYPE if name == "dtype" else f"r.{name}" for name in _VERSIONS)}
    FROM run r JOIN session s ON s.session_id = r.session_id WHERE r.run_id = $run
"""  # noqa: S608  # names of our own
_SEED = re.compile(r"(?P<run>.+)@(?P<seed>\d+)")
_VERSION = re.compile(r"(?P<session>.+)@v(?P<version>\d+)")


def find_sides(store: Store, a: str, b: str, models: Path) -> tuple[ComparisonSide, ComparisonSide]:
    """Return both sides; a name that depends on the other side (known, task:NAME, circuit:NAME) is resolved last.

    Raises NoSuchRecord, or ModelError and its subclasses for a task's circuit.
    """
    if _needs_other_side(a) and not _needs_other_side(b):
        second = find_side(store, b, models)
        return find_side(store, a, models, other=second), second
    first = find_side(store, a, models)
    return first, find_side(store, b, models, other=first)


def find_side(store: Store, name: str, models: Path, *, other: ComparisonSide | None = None) -> ComparisonSide:
    """Resolve a name to a side. Raises NoSuchRecord, which lists the accepted forms."""
    kind, colon, rest = name.partition(":")
    if name == "known" or (kind == "known" and colon):
        return _known(store, rest, other)
    if kind == "circuit" and colon:
        return _saved_circuit(store, rest, other)
    if kind == "task" and colon:
        return _of_task(rest, models, other)
    version = _VERSION.fullmatch(name)
    if version is not None and not _is_run(store, name):
        return _examples(store, version["session"], int(version["version"]))
    seed = _SEED.fullmatch(name)
    if seed is not None and not _is_run(store, name):
        return seed_side(store, _run_of(store, seed["run"]), int(seed["seed"]))
    return run_side(store, _run_of(store, name))


def run_side(store: Store, run_id: str) -> ComparisonSide:
    """Return a run with the scores that it reached."""
    row = store.rows(_RUN, {"run": run_id})[0]
    info = _struct(ModelInfo, row[13 : 13 + len(_INFO)])
    nodes, final = _nodes(store, run_id)
    nodes = with_effects(nodes, _causes(store, run_id))
    return ComparisonSide(
        reference=run_id,
        title=f"{row[3]}/{row[2]}",
        kind="run",
        session_id=row[1],
        run_id=run_id,
        n_layers=info.n_layers if info is not None else 0,
        n_heads=info.n_heads if info is not None else 0,
        nodes=nodes,
        final=final,
        measure=row[10],
        cut=row[11],
        config=msgspec.json.decode(row[8], type=ProbeConfig),
        asked={"model": row[5], "task": row[6], "device": row[7]},
        examples=examples_of(store, row[12]) if row[12] is not None else None,
        model=info,
        versions=_struct(Versions, row[13 + len(_INFO) :]),
        known=None if row[9] is None else msgspec.json.decode(row[9], type=Reference),
    )


def seed_side(store: Store, run_id: str, seed: int) -> ComparisonSide:
    """Return one seed of a run, scored from its stored codes. Raises NoSuchRecord if there are none."""
    from sessions.comparison.comparison import resolve_cut
    from sessions.comparison.seed_scores import seed_nodes

    run = run_side(store, run_id)
    assert run.config is not None
    if seed not in run.config.seeds:
        seeds = ", ".join(map(str, run.config.seeds))
        raise NoSuchRecord(f"{run.title} has no seed {seed}.", hint=f"It has {seeds}.")
    codes = stored_codes(store, run_id, seed)
    if not codes or not run.nodes or run.examples is None:
        raise NoSuchRecord(f"{run.title} left no codes.", hint="Run it again to the end.")
    import numpy as np

    from engine.measures import DEFAULT_MEASURE

    nodes = seed_nodes(
        np.asarray(codes, dtype=np.int64),
        [example.positive for example in run.examples],
        whole_pairs(run.examples),
        run.nodes,
        resolve_cut(run, DEFAULT_MEASURE),
    )
    return msgspec.structs.replace(
        run, reference=f"{run_id}@{seed}", title=f"{run.title} seed {seed}", kind="seed", seed=seed, nodes=nodes
    )


def stored_codes(store: Store, run_id: str, seed: int) -> list[list[int]]:
    """Return one seed's codes: for every example a list of heads, layer by layer."""
    rows = store.rows(
        "SELECT codes FROM code WHERE run_id = $run AND seed = $seed ORDER BY example", {"run": run_id, "seed": seed}
    )
    return [row[0] for row in rows]


def examples_of(store: Store, content_hash: str) -> tuple[Example, ...]:
    """Return the examples with that content hash, in order."""
    columns = ", ".join(_EXAMPLE)
    rows = store.rows(
        f"SELECT {columns} FROM example WHERE content_hash = $hash ORDER BY position",  # noqa: S608  # names of our own
        {"hash": content_hash},
    )
    return tuple(msgspec.convert(dict(zip(_EXAMPLE, row, strict=True)), Example) for row in rows)


def whole_pairs(examples: Sequence[Example]) -> list[tuple[int, int]]:
    """Return the rows of every complete pair, the positive first (engine.scoring.score_table.pair_rows)."""
    members: dict[int, dict[bool, int]] = {}
    for row, example in enumerate(examples):
        if example.pair is not None:
            members.setdefault(example.pair, {})[example.positive] = row
    return [(sides[True], sides[False]) for sides in members.values() if len(sides) == 2]


# ---- the other kinds of sides


def _examples(store: Store, session: str, version: int) -> ComparisonSide:
    session_id = find_session(store, session)
    rows = store.rows(
        "SELECT version, content_hash FROM example_set WHERE session_id = $session ORDER BY version",
        {"session": session_id},
    )
    name = store.rows("SELECT name FROM session WHERE session_id = $session", {"session": session_id})[0][0]
    found: dict[int, str] = dict(rows)
    if version not in found:
        raise NoSuchRecord(
            f"Session {name!r} has no version {version} of its examples.",
            hint=f"It has 1 to {max(found)}." if found else "It has no examples yet.",
        )
    return ComparisonSide(
        reference=f"{session_id}@v{version}",
        title=f"{name} examples v{version}",
        kind="examples",
        session_id=session_id,
        examples=examples_of(store, found[version]),
    )


def _known(store: Store, run: str, other: ComparisonSide | None) -> ComparisonSide:
    if run:
        side = run_side(store, _run_of(store, run))
    elif other is not None and other.run_id is not None:
        side = other
    else:
        raise NoSuchRecord("Which run's known circuit?", hint="Compare a run with known, or write known:RUN.")
    if side.known is None:
        raise NoSuchRecord(
            f"No circuit is known for {side.title}.",
            hint="Known circuits exist for built-in tasks on measured models; circuit:NAME is one that you saved.",
        )
    return _reference_side(side.known, f"known:{side.run_id}", side)


def _of_task(task: str, models: Path, other: ComparisonSide | None) -> ComparisonSide:
    if other is None or other.model is None:
        raise NoSuchRecord(
            f"The known circuit of {task!r} depends on the model.",
            hint="Compare it with a run, whose model is then used.",
        )
    name = find_task(task).name
    try:
        folder = find_model(other.asked.get("model") or other.model.name, models).folder
    except HeadcodeError:
        folder = None  # the model is gone, but published circuits are still known
    found = known_circuit(other.model, folder or Path("/nonexistent"), name)
    if found is None:
        raise NoSuchRecord(
            f"No circuit is known for {name} on {other.model.name}.",
            hint="Circuits are published for GPT-2 small and attn-only-4l, measured for the bundled model, and known "
            "by construction for the planted ones.",
        )
    return _reference_side(found, f"task:{name}", other)


def _reference_side(found: Reference, reference: str, other: ComparisonSide) -> ComparisonSide:
    return ComparisonSide(
        reference=reference,
        title=found.name if found.kind == "effects" else f"known circuit ({found.name})",
        kind="circuit",
        session_id=other.session_id,
        n_layers=other.n_layers,
        n_heads=other.n_heads,
        heads=found.heads,
        source=found.source,
        covers=found.covers,
    )


def _saved_circuit(store: Store, name: str, other: ComparisonSide | None) -> ComparisonSide:
    row = find_circuit(store, name, session_id=other.session_id if other is not None else None)
    layout = run_layout(store, row.run_id)
    return ComparisonSide(
        reference=f"circuit:{row.session_id}/{row.name}",
        title=f"circuit {row.name}",
        kind="circuit",
        session_id=row.session_id,
        run_id=row.run_id,
        n_layers=0 if layout is None else layout.n_layers,
        n_heads=0 if layout is None else layout.n_heads,
        heads=row.heads,
        source=row.source,
    )


# ---- helpers


def _needs_other_side(name: str) -> bool:
    """Return whether the name can only be resolved together with the other side."""
    return name == "known" or (name.startswith(("task:", "circuit:")) and "/" not in name)


def _is_run(store: Store, name: str) -> bool:
    """Return whether the name, including an at sign, is that of a run or session."""
    if store.one("SELECT 1 FROM session WHERE name = $it", {"it": name}) is not None:
        return True
    try:
        find_run(store, name)
    except NoSuchRecord:
        return False
    return True


def _run_of(store: Store, name: str) -> str:
    """Return a run by its name, or the newest run of a session, whose name precedes a run's."""
    try:
        if store.one("SELECT 1 FROM session WHERE name = $it AND trashed_us IS NULL", {"it": name}) is not None:
            raise NoSuchRecord(f"There is no run {name!r}.")
        return find_run(store, name)
    except NoSuchRecord as error:
        try:
            session_id = find_session(store, name)
        except NoSuchRecord:
            raise error from None
        newest = store.one(
            "SELECT run_id FROM run WHERE session_id = $it ORDER BY number DESC LIMIT 1", {"it": session_id}
        )
        if newest is None:
            raise NoSuchRecord(f"Session {name!r} has no run yet.", hint="Run it first.") from None
        return str(newest[0])


def _nodes(store: Store, run_id: str) -> tuple[tuple[NodeScores, ...], bool]:
    columns = ", ".join(MEASURES)
    rows = store.rows(
        f"SELECT final, layer, head, other, {columns} FROM node_score WHERE run_id = $run "  # noqa: S608
        "ORDER BY head < 0, layer, head",  # as in arrays: NodeLayout
        {"run": run_id},
    )
    nodes = tuple(
        NodeScores(
            layer=row[1],
            head=row[2],
            other={} if row[3] is None else msgspec.json.decode(row[3], type=dict[str, float]),
            **dict(zip(MEASURES, row[4:], strict=True)),
        )
        for row in rows
    )
    return nodes, all(row[0] for row in rows)


def _causes(store: Store, run_id: str) -> tuple[EffectsMeasured, ...]:
    """Return the measured effects of the run's heads, merged as on the screen."""
    rows = store.rows(
        "SELECT payload, at_us FROM event WHERE run_id = $run AND kind = 'cause_scored' ORDER BY seq", {"run": run_id}
    )
    found: tuple[EffectsMeasured, ...] = ()
    for payload, at_us in rows:
        found = merge_measurement(found, msgspec.json.decode(payload, type=EffectsMeasured), at_us)
    return found


def _struct(kind: type[S], values: Row) -> S | None:
    """Return the row's values as a struct; None if the run never got that far."""
    if any(value is None for value in values[: len(kind.__struct_fields__)]):
        return None
    return kind(**dict(zip(kind.__struct_fields__, values, strict=True)))
