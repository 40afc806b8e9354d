"""A scatter of the run's nodes: two columns, and walking from point to point."""

import math

import msgspec

from engine.analysis.rank_correlation import spearman
from engine.nodes import NodeId
from tui.state.atlas import AtlasState
from tui.state.atlas_columns import COLUMNS, NodeColumn, column_reader, columns_there, find_column
from tui.state.workbench_state import WorkbenchState

_STARTS = ("text.copying", "text.induction", "text.share")
"""What the horizontal axis shows first, if it is there."""


class ScatterPoint(msgspec.Struct, frozen=True):
    """A node with its two numbers."""

    node: NodeId
    x: float
    y: float


class ScatterState:
    """The axes of the scatter; its cursor and marks are those of the workbench."""

    def __init__(self, state: WorkbenchState, atlas: AtlasState) -> None:
        self.state, self.atlas = state, atlas
        self.vertical: NodeColumn = find_column(state.measure.id) or COLUMNS[0]
        self._horizontal: NodeColumn | None = None
        self._made: tuple[object, list[ScatterPoint]] = (None, [])

    @property
    def horizontal(self) -> NodeColumn:
        """The chosen column, else a metric of the atlas, else the first measure that is not the vertical one."""
        if self._horizontal is not None:
            return self._horizontal
        there = {each.id: each for each in columns_there(self.atlas)}
        first = next((there[name] for name in _STARTS if name in there), None)
        return first or next(each for each in there.values() if each.id != self.vertical.id)

    def turn(self, *, horizontal: bool, by: int) -> None:
        """Show the next column on an axis."""
        there = columns_there(self.atlas)
        now = self.horizontal if horizontal else self.vertical
        place = (there.index(now) + by) % len(there) if now in there else 0
        self.choose(there[place], horizontal=horizontal)

    def choose(self, column: NodeColumn, *, horizontal: bool) -> None:
        if horizontal:
            self._horizontal = column
        else:
            self.vertical = column

    def swap(self) -> None:
        self.vertical, self._horizontal = self.horizontal, self.vertical

    @property
    def points(self) -> list[ScatterPoint]:
        """The nodes that have both numbers, in the model's order."""
        view = self.state.view()
        if view is None:
            return []
        key = (id(view.nodes), self.horizontal.id, self.vertical.id, id(self.atlas.atlas), id(self.atlas.prompts))
        if key != self._made[0]:
            across, up = column_reader(self.atlas, self.horizontal), column_reader(self.atlas, self.vertical)
            found = []
            for node in view.nodes:
                x, y = across(node), up(node)
                if x is not None and y is not None and math.isfinite(x) and math.isfinite(y):
                    found.append(ScatterPoint(node.id, x, y))
            self._made = (key, found)
        return self._made[1]

    @property
    def correlation(self) -> float | None:
        """Spearman's correlation of the heads' numbers; None for fewer than three heads."""
        heads = [each for each in self.points if each.node.is_head]
        if len(heads) < 3:
            return None
        return spearman([each.x for each in heads], [each.y for each in heads])

    def spans(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the ranges of both axes, each at least a little wide."""
        points = self.points
        return _span([each.x for each in points]), _span([each.y for each in points])

    def step(self, across: int, up: int) -> bool:
        """Move the cursor to the nearest point in that direction; return True if there is one."""
        points = self.points
        here = next((each for each in points if each.node == self.state.cursor), None)
        if here is None:
            return bool(points) and self.state.put_cursor(*points[0].node)
        (left, right), (low, high) = self.spans()
        best: tuple[float, ScatterPoint] | None = None
        for each in points:
            along = (each.x - here.x) / (right - left) * across + (each.y - here.y) / (high - low) * up
            aside = abs((each.y - here.y) / (high - low) if across else (each.x - here.x) / (right - left))
            # Points that are further aside than ahead belong to another direction.
            if each.node != here.node and along > 1e-9:
                cost = along + 2 * aside
                if best is None or cost < best[0]:
                    best = (cost, each)
        return best is not None and self.state.put_cursor(*best[1].node)


def _span(values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low >= 0 and low < 0.5 * high:
        low = 0.0
    return (low, high) if high - low > 1e-12 else (low - 0.5, high + 0.5)
