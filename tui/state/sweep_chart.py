"""Charts of a sweep along an axis, for the screen and for `headcode sweep plot`."""

from collections.abc import Mapping, Sequence

from engine.errors import ConfigError
from engine.sweeps.births import BirthTable
from engine.sweeps.curves import Chart, chart_along
from engine.sweeps.run_measures import CellMeasure, jaccard, value_at_node, value_of_run
from sessions.protocol import SweepDetail, SweepMeasures
from sessions.rows import SweepUnitRow
from tui.state.sweep_table import in_order
from tui.terminal.sanitize import clean

FEW_NODES = 5
_SPELLINGS = {"draws": "draw", "step": "checkpoint", "steps": "checkpoint", "checkpoints": "checkpoint"}


def sweep_chart(
    detail: SweepDetail, found: SweepMeasures, *, axis: str, measure: CellMeasure, nodes: Sequence[str] = ()
) -> Chart:
    """Return the measure along the axis, mean over draws. `nodes`: those of a measure of nodes; none: the best known.

    `found` holds the measure for all nodes. Raises ConfigError for an axis or node that the sweep does not have.
    """
    axis = _SPELLINGS.get(axis, axis)
    units = [unit for unit in detail.units if unit.state == "done"]
    if not units:
        raise ConfigError(f"{clean(detail.sweep.name)} has no finished run yet.", hint="headcode sweep status")
    values = in_order(list(dict.fromkeys(value for unit in units for name, value in unit.labels if name == axis)))
    by_run = {run.run_id: run for run in found.runs}
    shown = tuple(nodes) or (default_nodes(found) if measure.of is not None else ())
    for node in shown if measure.of is not None else ():
        if node not in found.nodes:
            known = ", ".join(found.nodes[:12]) or f"none has {measure.title}: effects need --cause in the sweep"
            raise ConfigError(f"No run of this sweep has {measure.title} of {node!r}.", hint=f"Nodes: {known}.")
    before = _neighbours(units, axis, values) if measure.kind == "jaccard" else {}

    def values_of(unit: SweepUnitRow) -> Mapping[str, float | None]:
        run = by_run.get(unit.run_id or "")
        if measure.kind == "jaccard":
            return {"": jaccard(run, by_run.get(before.get(unit.key, "")))}
        if measure.of is None:
            return {"": value_of_run(measure, run, seconds=unit.seconds)}
        return {node: None if run is None else value_at_node(run, found.nodes.index(node)) for node in shown}

    title = f"{clean(detail.sweep.name)}: {measure.title}"
    return chart_along(title, axis, values, [(unit.labels, values_of(unit)) for unit in units])


def default_nodes(found: SweepMeasures) -> tuple[str, ...]:
    """Return the nodes that most circuits hold."""
    counts: dict[str, int] = {}
    for run in found.runs:
        for node in run.circuit:
            counts[node] = counts.get(node, 0) + 1
    ranked = sorted((node for node in counts if node in found.nodes), key=lambda node: -counts[node])
    return tuple(ranked[:FEW_NODES]) or found.nodes[:FEW_NODES]


def births_chart(name: str, table: BirthTable, title: str, nodes: int = FEW_NODES) -> Chart:
    """Return the behaviour and the nodes that came first, over the steps; accuracies and shares on one scale."""
    words = {"accuracy": "pairs it can do", "trained": "trained pairs", "held_out": "held-out pairs"}
    shown = ("trained", "held_out") if any(each.name == "trained" for each in table.metrics) else ("accuracy",)
    curves = [(words[each.name], each.curve) for each in table.metrics if each.name in shown]
    curves += [(each.node, each.curve) for each in table.nodes if each.transition.verdict == "transition"][:nodes]
    steps = [str(step) for step in table.steps]
    points = []
    for draw in range(table.draws):
        for place, step in enumerate(steps):
            labels = (("checkpoint", step), ("draw", str(draw)))
            points.append((labels, {curve_name: curve.draws[draw][place] for curve_name, curve in curves}))
    return chart_along(f"{clean(name)}: {title}", "checkpoint", steps, points)


def _neighbours(units: Sequence[SweepUnitRow], axis: str, values: Sequence[str]) -> dict[str, str]:
    """Return the run of the unit before, along the axis, by unit key."""
    by_labels = {frozenset(unit.labels): unit for unit in units}
    found = {}
    for unit in units:
        own = dict(unit.labels)
        place = values.index(own[axis]) if own.get(axis) in values else 0
        if place:
            other = by_labels.get(frozenset({**own, axis: values[place - 1]}.items()))
            if other is not None and other.run_id is not None:
                found[unit.key] = other.run_id
    return found
