"""What the screen of a sweep shows: the table, its pages, how far the sweep is, births, the film's frame."""

from collections.abc import Sequence
from typing import Literal

from engine.errors import HeadcodeError
from engine.sweeps.births import BirthTable
from engine.sweeps.curves import Chart
from engine.sweeps.series import CHECKPOINT, step_of_labels
from sessions.protocol import SweepMeasures, SweepProgress
from sessions.rows import SweepUnitRow
from tui.state.sweep_chart import births_chart, default_nodes, sweep_chart
from tui.state.sweep_table import SweepTable

SweepPage = Literal["grid", "curves", "births", "film", "workers"]
FEW_UNITS = 400
"""Up to here the values of all nodes are fetched at once; of larger sweeps those of the chosen node."""


class SweepState:
    """State of the screen; draws and asks nothing."""

    def __init__(self, sweep_id: str, name: str) -> None:
        self.sweep_id, self.name = sweep_id, name
        self.table = SweepTable()
        self.page: SweepPage = "grid"
        self.progress: SweepProgress | None = None
        self.every: SweepMeasures | None = None
        """The measure at all nodes."""
        self._every_of = ""
        self.births: tuple[BirthTable, ...] | None = None
        """None: not fitted yet."""
        self.series = 0
        self.frame = 0
        self.top = 0
        """First line of a list that scrolls."""
        self.playing = False
        self.words, self.ink = "", "dim"
        """The line about what was done last."""

    def say(self, words: str, ink: str = "dim") -> None:
        self.words, self.ink = words, ink

    # ---- what is asked for

    @property
    def wanted(self) -> tuple[str, str]:
        """Return the measure and node that the page needs; an empty node: all."""
        measure, node = self.table.wanted
        if self.page in ("curves", "film") or self._small:
            measure, node = (self.table.measure.of.id if self.table.measure.of is not None else "", "")
            if self.page == "film" and not measure:
                measure = "total_variation"
        return measure, node

    def has_values(self, wanted: tuple[str, str]) -> bool:
        """Return whether these values are there."""
        if self.every is not None and self._every_of == wanted[0]:
            return True
        return self.table.holds(wanted)

    def take_measures(self, found: SweepMeasures, of: tuple[str, str]) -> None:
        self.table.take_measures(found, of)
        if not of[1]:
            self.every, self._every_of = found, of[0]

    @property
    def _small(self) -> bool:
        return self.table.detail is not None and len(self.table.detail.units) <= FEW_UNITS

    # ---- curves

    def chart(self) -> Chart | str:
        """Return the chart of the page, or why there is none."""
        if self.page == "births":
            births = self.birth_table
            return "no births" if births is None else births_chart(self.name, births, "births")
        table, measure = self.table, self.table.measure
        if table.detail is None or self.every is None or (measure.of is not None and self._every_of != measure.of.id):
            return "reading the runs …"
        axis = table.columns or next(iter(dict(table.fixed)), "")
        try:
            chart = sweep_chart(table.detail, self.every, axis=axis, measure=measure, nodes=self._nodes())
        except HeadcodeError as error:
            return error.message
        return chart

    def _nodes(self) -> Sequence[str]:
        """Return the chosen node and those of most circuits."""
        if self.table.measure.of is None or self.every is None:
            return ()
        known = [node for node in default_nodes(self.every) if node != self.table.node]
        return [node for node in (self.table.node, *known) if node in self.every.nodes]

    # ---- births

    @property
    def has_checkpoints(self) -> bool:
        units = self.table.detail.units if self.table.detail is not None else ()
        return any(step_of_labels(unit.labels) is not None for unit in units[:1])

    @property
    def birth_table(self) -> BirthTable | None:
        if not self.births:
            return None
        self.series %= len(self.births)
        return self.births[self.series]

    # ---- the film

    @property
    def frames(self) -> list[SweepUnitRow]:
        """Return the finished units along the checkpoints, or the columns, from the cell under the cursor."""
        cell = self.table.at_cursor
        if cell is None:
            return []
        axis = CHECKPOINT if CHECKPOINT in self.table.axes else self.table.columns
        return [unit for unit in self.table.values_along(axis, cell.unit) if unit is not None and unit.state == "done"]

    def step(self, by: int) -> bool:
        """Go to another frame; return whether there was one."""
        before, count = self.frame, len(self.frames)
        self.frame = min(max(self.frame + by, 0), max(count - 1, 0))
        return self.frame != before
