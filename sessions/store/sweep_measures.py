"""Read what the runs of a sweep measured: verdict, AUC, accuracy, circuit, and a measure of their nodes."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from engine.analysis.effects import FIELD
from engine.catalog.adder_sums import trained_prompts
from engine.events import EffectsMeasured
from engine.measures import NUMBERS, find_measure
from engine.nodes import NodeId, names
from engine.sweeps.example_resamples import PairDone, PartOfRun
from engine.sweeps.run_measures import RunMeasures
from sessions.store.database import Store
from sessions.store.projections import MEASURES

_EFFECT = "exact_effect"
_PAIRS = """
    SELECT g.run_id, coalesce(e.pair, -1 - e.position) AS pair,
           list_contains($trained, any_value(e.prompt) FILTER (e.polarity = 'positive')) AS known,
           CAST(bool_and(g.verdict = 'ok' OR (g.verdict = 'weak' AND e.polarity = 'negative')) AS INTEGER) AS done,
           min(e.position) FILTER (e.polarity = 'positive') AS place
    FROM grade AS g JOIN run AS r ON r.run_id = g.run_id
    JOIN example AS e ON e.content_hash = r.content_hash AND e.position = g.example
    WHERE g.run_id IN (SELECT unnest($runs)) AND g.rank IS NOT NULL
    GROUP BY g.run_id, coalesce(e.pair, -1 - e.position)
    HAVING count(*) FILTER (e.polarity = 'positive') > 0"""
"""A pair counts once, by its positive; as in engine.grading.usable_pairs."""

_METHODS = {field: method for method, field in FIELD.items()}


class SweepMeasureRows(msgspec.Struct, frozen=True, kw_only=True):
    """The finished runs of a sweep."""

    nodes: tuple[str, ...]
    runs: tuple[RunMeasures, ...]


def sweep_measures(
    store: Store, runs: Sequence[tuple[str, str]], measure: str = "", node: NodeId | None = None
) -> SweepMeasureRows:
    """Return what these finished runs, (run id, model), found.

    `measure`: of nodes; empty: none. `node`: only its value; None: of all nodes. Raises ConfigError for a measure that
    does not exist.
    """
    ids = [run_id for run_id, _ in runs]
    values, bases, order = _values(store, ids, measure, node)
    told = _told(store, ids)
    exact = _accuracies(store, runs)
    found = []
    for run_id in ids:
        circuit, examples, verdict, auc = told[run_id]
        own = values.get(run_id, {})
        every, trained, held_out = exact.get(run_id, (None, None, None))
        found.append(
            RunMeasures(
                run_id=run_id,
                verdict=verdict,
                auc=None if auc is None else float(auc),
                accuracy=every,
                trained=trained,
                held_out=held_out,
                examples=examples or "",
                circuit=circuit,
                values=tuple(own.get(place) for place in order),
                base=bases.get(run_id),
            )
        )
    return SweepMeasureRows(nodes=tuple(names(order)), runs=tuple(found))


def _told(store: Store, ids: Collection[str]) -> dict[str, tuple[tuple[str, ...], str | None, str | None, str | None]]:
    """Return circuit, examples, verdict and AUC by run. The card is in the log alone: the newest counts."""
    rows = store.rows(
        "SELECT r.run_id, r.circuit, r.content_hash, c.verdict, c.auc FROM run AS r LEFT JOIN ("
        "SELECT run_id, max_by(payload->>'$.card.verdict', seq) AS verdict, max_by(payload->>'$.card.codes_auc', seq) "
        "AS auc FROM event WHERE kind = 'card_written' AND run_id IN (SELECT unnest($runs)) GROUP BY run_id) AS c "
        "ON c.run_id = r.run_id WHERE r.run_id IN (SELECT unnest($runs))",
        {"runs": list(ids)},
    )
    return {
        run_id: (() if circuit is None else tuple(names(msgspec.json.decode(circuit))), examples, verdict, auc)
        for run_id, circuit, examples, verdict, auc in rows
    }


def _accuracies(
    store: Store, runs: Sequence[tuple[str, str]]
) -> dict[str, tuple[float | None, float | None, float | None]]:
    """Return the share of pairs that the model can do by run: of all, of those trained on, of those held out."""
    found: dict[str, tuple[float | None, float | None, float | None]] = {}
    for trained, ids in _by_trained(runs).items():
        rows = store.rows(
            "SELECT run_id, avg(done), avg(done) FILTER (known), avg(done) FILTER (NOT known) "  # noqa: S608
            f"FROM ({_PAIRS}) GROUP BY run_id",
            {"runs": ids, "trained": sorted(trained)},
        )
        if not trained:
            rows = [(run_id, every, None, None) for run_id, every, _, _ in rows]
        found |= {run_id: (every, known, others) for run_id, every, known, others in rows}
    return found


def pairs_done(store: Store, runs: Sequence[tuple[str, str]]) -> dict[str, tuple[PairDone, ...]]:
    """Return by run, (run id, model), which pairs the model can do, in the order of their positives."""
    found: dict[str, list[PairDone]] = {}
    for trained, ids in _by_trained(runs).items():
        sql = f"SELECT run_id, known, done FROM ({_PAIRS}) ORDER BY run_id, place"  # noqa: S608
        for run_id, known, done in store.rows(sql, {"runs": ids, "trained": sorted(trained)}):
            found.setdefault(run_id, []).append(PairDone(bool(done), bool(known) if trained else None))
    return {run_id: tuple(pairs) for run_id, pairs in found.items()}


def effect_parts(store: Store, runs: Sequence[str]) -> dict[str, tuple[PartOfRun, ...]]:
    """Return by run the exact effects on parts of its examples, of the measurement that `sweep_measures` shows."""
    rows = store.rows(
        "SELECT e.run_id, e.payload FROM event AS e JOIN ("
        "SELECT run_id, max(seq) AS seq FROM cause WHERE method = $method AND metric <> 'kl' AND final "
        "AND run_id IN (SELECT unnest($runs)) GROUP BY run_id) AS c ON c.run_id = e.run_id AND c.seq = e.seq",
        {"runs": list(runs), "method": _METHODS[_EFFECT]},
    )
    found = {}
    for run_id, payload in rows:
        measured = msgspec.json.decode(payload, type=EffectsMeasured)
        nodes = names([effect.id for effect in measured.effects])
        found[run_id] = tuple(
            PartOfRun(n_examples=part.n_examples, base=part.base, values=dict(zip(nodes, part.effects, strict=True)))
            for part in measured.parts
        )
    return found


def _by_trained(runs: Sequence[tuple[str, str]]) -> dict[frozenset[str], list[str]]:
    """Return the runs by the prompts that their model was trained on."""
    found: dict[frozenset[str], list[str]] = {}
    for run_id, model in runs:
        found.setdefault(trained_prompts(model), []).append(run_id)
    return found


def _values(
    store: Store, ids: Sequence[str], measure: str, node: NodeId | None
) -> tuple[dict[str, dict[NodeId, float | None]], dict[str, float], list[NodeId]]:
    """Return the measure by run and node, the bases of effects by run, and the nodes: heads, then the others."""
    if not measure:
        return {}, {}, []
    found = find_measure(measure)
    place: dict[str, Any] = {"runs": list(ids)}
    only = ""
    if node is not None:
        only = " AND layer = $layer AND head = $head"
        place |= {"layer": node.layer, "head": node.head}
    bases: dict[str, float] = {}
    if found.id in _METHODS:
        # The newest complete measurement of the method: settings are not mixed.
        rows = store.rows(
            "SELECT run_id, layer, head, CASE WHEN method = 'attribution' THEN coalesce(size, effect) ELSE effect END, "  # noqa: S608
            "base FROM cause WHERE method = $method AND metric <> 'kl' AND final "
            f"AND run_id IN (SELECT unnest($runs)){only} QUALIFY seq = max(seq) OVER (PARTITION BY run_id)",
            {**place, "method": _METHODS[found.id]},
        )
        bases = {row[0]: row[4] for row in rows}
    else:
        assert found.id in NUMBERS
        column = found.id if found.id in MEASURES else f"CAST(other->>'$.{found.id}' AS DOUBLE)"
        rows = store.rows(
            f"SELECT run_id, layer, head, {column} FROM node_score WHERE run_id IN (SELECT unnest($runs)){only}",  # noqa: S608
            place,
        )
    values: dict[str, dict[NodeId, float | None]] = {}
    nodes: set[NodeId] = set()
    for run_id, layer, head, value, *_ in rows:
        each = NodeId(layer, head)
        nodes.add(each)
        values.setdefault(run_id, {})[each] = None if value is None or value != value else float(value)
    return values, bases, sorted(nodes, key=lambda each: (not each.is_head, each))
