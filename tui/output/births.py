"""Births over checkpoints as text and JSON."""

from collections.abc import Sequence

import msgspec

from engine.measures import find_measure
from engine.sweeps.births import ANSWER, BEHAVIOUR, HELD_OUT, TRAINED, BirthTable, NodeBirth, mean_curve
from engine.sweeps.series import varying
from engine.sweeps.transitions import Curve, Gap, Transition, format_transition
from sessions.protocol.sweeps import SweepBirths
from tui.output.console import print_columns, print_line
from tui.output.sweep import SCHEMA
from tui.terminal.sanitize import clean

COULD_DO = "the model could do the task"
_METRICS = {
    BEHAVIOUR: "pairs it can do",
    TRAINED: "trained pairs",
    HELD_OUT: "held-out pairs",
    ANSWER: "answer",
}


def births_json(found: SweepBirths) -> dict[str, object]:
    """Return the births as an object of schema headcode.sweep/1."""
    row = found.sweep
    return {
        "schema": SCHEMA,
        "name": row.name,
        "id": row.sweep_id,
        "units": row.units,
        "done": row.done,
        "failed": row.failed,
        "births": [_table_json(table) for table in found.tables],
    }


def births_lines(table: BirthTable) -> list[str]:
    """Return the births of one series as sentences and rows, for a terminal and for plain mode."""
    lines = [f"{metric_title(each.name)}: {format_transition(each.transition)}" for each in table.metrics]
    if (learnt := table.learnt) is not None:
        lines.append(f"held-out pairs came {format_gap(learnt)} after the trained ones")
    if not table.same_examples:
        lines.append("note: checkpoints have examples of their own, so accuracies cannot be compared; give --pairs")
    width = max((len(each.node) for each in table.nodes), default=0)
    lines += [f"{each.node:<{width}}  {birth_words(each, table)}" for each in table.nodes]
    return lines


def birth_rows(table: BirthTable) -> list[tuple[str, ...]]:
    """Return one row per metric and node in few characters: name, step, interval, and which came first."""
    rows: list[tuple[str, ...]] = [(metric_title(each.name), *_when(each.transition), "") for each in table.metrics]
    return rows + [(each.node, *_when(each.transition), _order(each.gap)) for each in table.nodes]


BIRTH_HEADER = ("", "came at", "interval", "the model could do it")


def _when(found: Transition) -> tuple[str, str]:
    if found.midpoint is None or found.earliest is None or found.latest is None:
        return "-", "too few checkpoints" if found.verdict == "too_few_steps" else "no transition"
    went = "" if found.rises else "went "
    over = ", not over" if found.unfinished else ""
    return f"{went}{found.midpoint:,.0f}", f"{found.earliest:,.0f} to {found.latest:,.0f}{over}"


def _order(gap: Gap | None) -> str:
    """Return when the model could do the task, seen from the node's birth."""
    if gap is None:
        return ""
    if not gap.settled:
        return "about then"
    return f"{abs(gap.steps):,.0f} steps {'later' if gap.steps > 0 else 'earlier'}"


def circuit_rows(table: BirthTable) -> list[tuple[str, ...]]:
    """Return one row per checkpoint: step, accuracy, nodes in the circuit, Jaccards."""
    accuracy = mean_curve(table.metrics[0].curve)
    return [
        (
            f"{each.step:,}",
            _share(right),
            f"{each.size:.3g}",
            _share(each.with_previous),
            _share(each.with_last),
            _share(each.between_draws),
        )
        for each, right in zip(table.circuits, accuracy, strict=True)
    ]


CIRCUIT_HEADER = ("step", "can do", "circuit", "as before", "as last", "draws")


def birth_words(birth: NodeBirth, table: BirthTable) -> str:
    """Return a node's birth in words: came at step 1,800 (1,650 to 1,900), 200 steps before …."""
    return format_transition(birth.transition, table.behaviour, other_is=COULD_DO)


def series_titles(tables: Sequence[BirthTable]) -> list[str]:
    """Return what tells the series apart; empty for a single one."""
    return [clean(", ".join(f"{axis} {value}" for axis, value in each)) for each in varying([t.labels for t in tables])]


def metric_title(name: str) -> str:
    """Return what an accuracy is of."""
    return _METRICS.get(name, name)


def measure_title(table: BirthTable) -> str:
    """Return the measure of the nodes, with its unit where it is an effect."""
    measure = find_measure(table.measure)
    return f"{measure.title} (share of the answer)" if measure.cause else measure.title


def format_gap(gap: Gap) -> str:
    """Return a gap with its interval: 1,200 (900 to 1,500) steps."""
    return f"{gap.steps:,.0f} ({gap.least:,.0f} to {gap.most:,.0f}) steps"


def _table_json(table: BirthTable) -> dict[str, object]:
    learnt = table.learnt
    return {
        "labels": dict(table.labels),
        "measure": table.measure,
        "steps": list(table.steps),
        "draws": table.draws,
        "same_examples": table.same_examples,
        "metrics": [
            {"name": each.name, **_curve_json(each.curve), "transition": _transition_json(each.transition)}
            for each in table.metrics
        ],
        "held_out_after_trained": None if learnt is None else msgspec.structs.asdict(learnt),
        "nodes": [
            {
                "node": each.node,
                **_curve_json(each.curve),
                "transition": _transition_json(each.transition),
                "steps_before": None if each.gap is None else msgspec.structs.asdict(each.gap),
                "words": birth_words(each, table),
            }
            for each in table.nodes
        ],
        "circuits": [msgspec.structs.asdict(each) for each in table.circuits],
    }


def _curve_json(curve: Curve) -> dict[str, object]:
    return {"mean": mean_curve(curve), "values": [list(row) for row in curve.draws]}


def _transition_json(found: Transition) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(found).items() if name != "resampled"}


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def print_births(found: SweepBirths) -> None:
    """Print every series: when it came, node by node, then the circuits."""
    for title, table in zip(series_titles(found.tables), found.tables, strict=True):
        if title:
            print_line(title)
        draws = "1 draw" if table.draws == 1 else f"{table.draws} draws"
        print_line(f"{clean(found.sweep.name)}: {measure_title(table)}, {len(table.steps)} checkpoints, {draws}")
        for line in births_lines(table):
            print_line(f"  {line}")
        print_columns(circuit_rows(table), header=CIRCUIT_HEADER, right=tuple(range(6)))
