"""A sweep as a table: two axes as rows and columns, the others as pages, and a measure in every cell."""

from collections.abc import Mapping, Sequence

import msgspec

from engine.catalog.checkpoint_folders import step_of
from engine.sweeps.plan import Labels
from engine.sweeps.run_measures import (
    MEASURES,
    VERDICT_WORDS,
    VERDICTS,
    CellMeasure,
    RunMeasures,
    jaccard,
    value_of_run,
)
from sessions.protocol import SweepDetail, SweepMeasures
from sessions.rows import SweepUnitRow
from tui.state.number_text import format_fixed


class SweepCell(msgspec.Struct, frozen=True, kw_only=True):
    """One unit as the table shows it."""

    unit: SweepUnitRow
    found: RunMeasures | None
    value: float | None
    text: str
    level: float | None
    """From 0, no signal, to 1; None: no value."""


class SweepTable:
    """The axes, the page, the cursor and the measure; draws nothing."""

    def __init__(self) -> None:
        self.detail: SweepDetail | None = None
        self.axes: dict[str, list[str]] = {}
        """Axes with more than one value, in the order of the sweep."""
        self.rows = self.columns = ""
        """The axes down and across; empty: none."""
        self.page: dict[str, str] = {}
        """The values of the other axes."""
        self.row = self.column = 0
        self.measure = MEASURES[0]
        self.nodes: tuple[str, ...] = ()
        self.node = ""
        self._found: dict[str, RunMeasures] = {}
        self._of = ("", "")
        """Measure and node of the values in `_found`."""
        self._cells: dict[tuple[str, str], SweepUnitRow] = {}
        self._drawn: dict[tuple[int, int], SweepCell | None] = {}
        self._top: float | None = None

    # ---- what the host told

    def take_detail(self, detail: SweepDetail) -> None:
        """Use another state of the sweep; the cursor stays."""
        first = self.detail is None or self.detail.sweep.sweep_id != detail.sweep.sweep_id
        self.detail = detail
        values: dict[str, dict[str, None]] = {}
        for unit in detail.units:
            for axis, value in unit.labels:
                values.setdefault(axis, {})[value] = None
        self.axes = {axis: in_order(list(found)) for axis, found in values.items() if len(found) > 1}
        if first or not {self.rows, self.columns} <= {*self.axes, ""}:
            self._choose_axes()
        self._place()

    def take_measures(self, found: SweepMeasures, of: tuple[str, str]) -> None:
        """Use what the runs found; `of`: the measure and node that were asked for."""
        if found.nodes and not of[1]:
            self.nodes = found.nodes
        self._found, self._of = {run.run_id: run for run in found.runs}, of
        if not self.node:
            self.node = self._first_node()
        self._forget()

    @property
    def wanted(self) -> tuple[str, str]:
        """Return the measure and node that the cells need; empty strings: none."""
        return (self.measure.of.id, self.node) if self.measure.of is not None and self.node else ("", "")

    @property
    def current(self) -> bool:
        """Return whether the values are those of the measure."""
        return self._of in (self.wanted, (self.wanted[0], "")) or not self.wanted[0]

    def holds(self, of: tuple[str, str]) -> bool:
        """Return whether the values are those of this measure and node; an empty node: of all."""
        return bool(self._found) and self._of in (of, (of[0], ""))

    def run_measures(self, run_id: str | None) -> RunMeasures | None:
        """Return what the run found; None before it ended."""
        return self._found.get(run_id or "")

    # ---- what is chosen

    def turn_measure(self, by: int) -> None:
        """Choose the next measure."""
        self.measure = MEASURES[(MEASURES.index(self.measure) + by) % len(MEASURES)]
        self._forget()

    def turn_node(self, by: int) -> None:
        """Choose the next node."""
        known = self.known_nodes()
        if known:
            place = known.index(self.node) if self.node in known else -by
            self.node = known[(place + by) % len(known)]
            self._forget()

    def known_nodes(self) -> tuple[str, ...]:
        """Return the nodes to choose from: all, once they are known, else those of circuits."""
        return self.nodes or tuple(dict.fromkeys(node for run in self._found.values() for node in run.circuit))

    def turn_axis(self, across: bool) -> None:
        """Choose the next axis for the columns, or for the rows; they swap if it is the other's."""
        names = list(self.axes)
        mine, other = (self.columns, self.rows) if across else (self.rows, self.columns)
        if len(names) < 2:
            self.rows, self.columns = self.columns, self.rows
        else:
            place = names.index(mine) if mine in names else -1
            new = names[(place + 1) % len(names)]
            if new == other:
                other = mine
            self.rows, self.columns = (other, new) if across else (new, other)
        self._place()

    def turn_page(self, by: int) -> None:
        """Go to the next combination of the other axes."""
        names = list(self.page)
        for name in reversed(names):
            values = self.axes[name]
            place = values.index(self.page[name]) + by
            self.page[name] = values[place % len(values)]
            if 0 <= place < len(values):
                break
        self._place()

    def move(self, rows: int, columns: int) -> None:
        """Move the cursor within the table."""
        self.row = min(max(self.row + rows, 0), max(len(self.row_values) - 1, 0))
        self.column = min(max(self.column + columns, 0), max(len(self.column_values) - 1, 0))

    # ---- what is there

    @property
    def row_values(self) -> Sequence[str]:
        return self.axes.get(self.rows, [""])

    @property
    def column_values(self) -> Sequence[str]:
        return self.axes.get(self.columns, [""])

    @property
    def fixed(self) -> Labels:
        """Return the labels that are the same in all units."""
        units = self.detail.units if self.detail is not None else ()
        return tuple((axis, value) for axis, value in (units[0].labels if units else ()) if axis not in self.axes)

    @property
    def at_cursor(self) -> SweepCell | None:
        return self.cell(self.row, self.column)

    def cell(self, row: int, column: int) -> SweepCell | None:
        """Return the cell; None where the sweep has no such unit."""
        if (row, column) not in self._drawn:
            unit = self._unit(row, column)
            self._drawn[row, column] = None if unit is None else self._make(unit, row, column)
        return self._drawn[row, column]

    def values_along(self, axis: str, unit: SweepUnitRow) -> list[SweepUnitRow | None]:
        """Return the units that differ from this one only in the axis, one per value of it."""
        own = dict(unit.labels)
        by_value = {}
        for other in self.detail.units if self.detail is not None else ():
            labels = dict(other.labels)
            if all(labels.get(name) == value for name, value in own.items() if name != axis):
                by_value[labels.get(axis)] = other
        return [by_value.get(value) for value in self.axes.get(axis, [])]

    def number_of(self, unit: SweepUnitRow, measure: CellMeasure | None = None) -> float | None:
        """Return a unit's value; None without one, and for Jaccard, which needs a neighbour."""
        measure = measure or self.measure
        if measure.kind == "jaccard" or (measure.of is not None and not self.current):
            return None
        found = self.run_measures(unit.run_id)
        seconds = unit.seconds if unit.state == "done" else None
        return value_of_run(measure, found, seconds=seconds, place=0 if found is None else self._value_place(found))

    # ---- inside

    def _value_place(self, found: RunMeasures) -> int:
        if len(found.values) == 1:
            return 0
        return self.nodes.index(self.node) if self.node in self.nodes else -1

    def _make(self, unit: SweepUnitRow, row: int, column: int) -> SweepCell:
        found = self.run_measures(unit.run_id)
        value = self._jaccard(unit, row, column) if self.measure.kind == "jaccard" else self.number_of(unit)
        return SweepCell(unit=unit, found=found, value=value, text=self._text(value), level=self._level(value))

    def _text(self, value: float | None) -> str:
        if value is None:
            return ""
        if self.measure.kind == "verdict":
            return VERDICT_WORDS[int(value)]
        return f"{value:.1f}" if self.measure.kind == "seconds" else format_fixed(value)

    def _level(self, value: float | None) -> float | None:
        if value is None:
            return None
        floor, top = 0.0, 1.0
        if self.measure.kind == "verdict":
            top = len(VERDICTS) - 1.0
        elif self.measure.kind == "auc":
            floor = 0.5
        elif self.measure.kind == "seconds" or (self.measure.of is not None and self.measure.of.ceiling is None):
            top = self._largest()
        return min(1.0, max(0.0, (value - floor) / (top - floor))) if top > floor else 0.0

    def _largest(self) -> float:
        if self._top is None:
            units = self.detail.units if self.detail is not None else ()
            self._top = max((value for unit in units if (value := self.number_of(unit)) is not None), default=1.0)
        return self._top

    def _jaccard(self, unit: SweepUnitRow, row: int, column: int) -> float | None:
        before = self._unit(row, column - 1) if column else None
        return jaccard(self.run_measures(unit.run_id), self.run_measures(before.run_id)) if before is not None else None

    def _unit(self, row: int, column: int) -> SweepUnitRow | None:
        return self._cells.get((self.row_values[row], self.column_values[column]))

    def _choose_axes(self) -> None:
        """Put the axis with the most values across, the one with the next most down."""
        by_length = sorted(self.axes, key=lambda axis: -len(self.axes[axis]))
        self.columns = by_length[0] if by_length else ""
        self.rows = by_length[1] if len(by_length) > 1 else ""
        if self.rows and len(self.axes[self.columns]) > 26 and len(self.axes[self.rows]) <= 26:
            self.rows, self.columns = self.columns, self.rows
        self.row = self.column = 0

    def _place(self) -> None:
        """Look up the units of the page."""
        others = [axis for axis in self.axes if axis not in (self.rows, self.columns)]
        kept = {axis: value for axis, value in self.page.items() if value in self.axes.get(axis, ())}
        self.page = {axis: kept.get(axis, self.axes[axis][0]) for axis in others}
        self._cells = {}
        for unit in self.detail.units if self.detail is not None else ():
            labels = dict(unit.labels)
            if all(labels.get(axis) == value for axis, value in self.page.items()):
                self._cells[labels.get(self.rows, ""), labels.get(self.columns, "")] = unit
        self.move(0, 0)
        self._forget()

    def _first_node(self) -> str:
        """Return the node that most circuits hold."""
        counts: dict[str, int] = {}
        for run in self._found.values():
            for node in run.circuit:
                counts[node] = counts.get(node, 0) + 1
        return max(counts, key=lambda node: (counts[node], node), default="")

    def _forget(self) -> None:
        self._drawn, self._top = {}, None


def state_sign(unit: SweepUnitRow, running: Mapping[str, str]) -> tuple[str, str]:
    """Return the sign and ink of a unit without a value. `running`: runs under way."""
    if unit.run_id in running:
        return "▸", "accent"
    return {
        "waiting": ("·", "faint"),
        "queued": ("·", "dim"),
        "running": ("▸", "accent"),
        "failed": ("✗", "bad"),
        "stopped": ("■", "second"),
        "interrupted": ("!", "second"),
    }.get(unit.state, ("–", "faint"))


def in_order(values: list[str]) -> list[str]:
    """Return numbers by size, other values as they came."""
    steps = [step_of(value) for value in values]
    try:
        return sorted(values, key=float)
    except ValueError:
        return sorted(values, key=lambda value: step_of(value) or 0) if None not in steps else values
