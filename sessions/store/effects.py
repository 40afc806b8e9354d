"""Store a run's measured effects as a table and compare the run's rankings with the known circuit."""

from collections.abc import Iterable
from typing import Any

import duckdb
import msgspec

from engine.analysis.effects import merge_measurement, setting_of
from engine.analysis.ground_truth import reference_for
from engine.events import EffectsMeasured
from engine.nodes import NodeLayout
from engine.results import NodeEffect, Reference

_ABOUT = (
    "method",
    "metric",
    "replacement",
    "position",
    "base",
    "n_examples",
    "final",
    "gradient_steps",
    "after",
    "after_name",
    "why",
    "left",
)
_COLUMNS = {"why": "metric_because", "left": "left_over"}
"""Columns whose names differ from the event's fields, which are SQL keywords."""
_EFFECT = NodeEffect.__struct_fields__
_READ = (
    f"SELECT {', '.join(_COLUMNS.get(name, name) for name in _ABOUT)}, {', '.join(_EFFECT)} FROM cause "  # noqa: S608
    "WHERE run_id = $run ORDER BY seq, method, layer, head"
)


def stored_effects(con: duckdb.DuckDBPyConnection, run: str) -> tuple[EffectsMeasured, ...]:
    """Return the run's measured effects, one per setting, the last changed one at the end."""
    return effects_of_rows(con.execute(_READ, {"run": run}).fetchall())


def effects_of_rows(rows: Iterable[tuple[Any, ...]]) -> tuple[EffectsMeasured, ...]:
    """Rebuild measured effects from rows of the table in the order of `_READ`. Their costs are not stored."""
    found: dict[tuple[Any, ...], list[NodeEffect]] = {}
    for row in rows:
        about, effect = row[: len(_ABOUT)], row[len(_ABOUT) :]
        found.setdefault(about, []).append(NodeEffect(**dict(zip(_EFFECT, effect, strict=True))))
    return tuple(_cause(about, tuple(effects)) for about, effects in found.items())


def replace_effects(
    con: duckdb.DuckDBPyConnection, run: str, event: EffectsMeasured, *, seq: int, at_us: int
) -> list[tuple[object, ...]]:
    """Take the setting's rows out of the table and return the rows that replace them.

    The new measurement is merged with the old one (engine.analysis.effects.merge_measurement).
    """
    setting = setting_of(event)
    before = stored_effects(con, run)
    together = merge_measurement(before, event, at_us)[-1]
    after = msgspec.json.encode(together.after).decode()
    con.execute(
        "DELETE FROM cause WHERE run_id = $run AND method = $method AND metric = $metric AND position = $position "
        "AND replacement = $replacement AND n_examples = $n AND coalesce(gradient_steps, 0) = $steps "
        "AND coalesce(after, '[]') IN ($after, $sorted)",
        {
            "run": run,
            "method": setting.method,
            "metric": setting.metric,
            "position": setting.position,
            "replacement": setting.replacement,
            "n": setting.n_examples,
            "steps": setting.gradient_steps,
            "after": after,
            "sorted": msgspec.json.encode(setting.after).decode(),
        },
    )
    how = (event.method, event.metric, event.replacement, event.position, event.base, event.n_examples)
    return [
        (
            *(run, *how, together.final, one.layer, one.head, one.effect, one.error),
            *(one.size, one.alone, one.measured_us, event.gradient_steps, after, event.after_name),
            *(together.why, event.left, seq),
        )
        for one in together.effects
    ]


def find_truths(con: duckdb.DuckDBPyConnection, run: str) -> Reference | None:
    """Return the reference for the run's rankings, from its rows (engine.analysis.ground_truth)."""
    row = con.execute(
        "SELECT made, offered, n_layers, n_heads, nodes FROM run WHERE run_id = $run", {"run": run}
    ).fetchall()
    if not row:
        return None
    made, offered_json, n_layers, n_heads, nodes = row[0]
    offered = None if offered_json is None else msgspec.json.decode(offered_json, type=Reference)
    counts = offered is not None and (made or offered.kind == "chosen")
    layout = NodeLayout(n_layers=n_layers or 0, n_heads=n_heads or 0, choice=nodes or "heads")
    return reference_for(stored_effects(con, run), layout.n_nodes if n_layers else 0, offered if counts else None)


def _cause(about: tuple[Any, ...], effects: tuple[NodeEffect, ...]) -> EffectsMeasured:
    own = dict(zip(_ABOUT, about, strict=True))
    own["after"] = msgspec.json.decode(own["after"] or "[]", type=tuple[tuple[int, int], ...])
    own |= {name: own[name] or empty for name, empty in (("gradient_steps", 0), ("after_name", ""), ("why", ""))}
    return EffectsMeasured(**own, effects=effects, passes=0.0)
