"""A grid minus another one, shown while `d` is on."""

import msgspec

from engine.measures import Measure
from engine.nodes import NodeId, only_heads
from sessions.comparison.comparison import (
    CannotCompare,
    ComparisonSide,
    GridComparison,
    check_shapes,
    compare_grids,
)
from tui.state.grid_places import places_of
from tui.state.grid_view import GridView


class GridDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The shown run minus another run, seed or circuit."""

    side: ComparisonSide
    """The side that is subtracted."""
    grid: GridComparison
    differences: dict[NodeId, float | None]
    largest: float
    """The absolute difference drawn at full intensity: the largest of a head, as in the grid itself (`scale_top`)."""
    here: dict[NodeId, float | None]
    there: dict[NodeId, float | None]
    """The value on either side."""
    order: list[NodeId]
    """Largest absolute difference first; heads without a value last."""
    rank: dict[NodeId, int]
    circuit: frozenset[NodeId]
    """The circuit of the subtracted side."""
    unshared: str = ""
    """Which nodes only one side has, as text; empty if both have the same."""

    @property
    def member(self) -> bool:
        """Whether membership is subtracted, as the other side is a circuit."""
        return self.side.heads is not None


class Subtraction:
    """The subtracted side of this screen, if any, and the last computed difference."""

    def __init__(self) -> None:
        self.side: ComparisonSide | None = None
        self._made: tuple[GridView, ComparisonSide, GridDifference] | None = None

    def begin(self, side: ComparisonSide) -> None:
        self.side, self._made = side, None

    def end(self) -> bool:
        """End the subtraction and return whether there was one."""
        was, self.side, self._made = self.side is not None, None, None
        return was

    def of(self, view: GridView | None) -> GridDifference | None:
        """Return the difference for this view; None if nothing is subtracted or the shapes differ."""
        if view is None or self.side is None:
            return None
        if self._made is not None and self._made[0] is view and self._made[1] is self.side:
            return self._made[2]
        shown = side_of(view)
        try:
            check_shapes(shown, self.side)
        except CannotCompare:
            return None
        found = _against(shown, self.side, view.measure)
        self._made = (view, self.side, found)
        return found


def side_of(view: GridView) -> ComparisonSide:
    """Return the shown grid as one side of a comparison."""
    places = places_of(view.nodes)
    return ComparisonSide(
        reference="",
        title="this run",
        kind="run",
        n_layers=places.n_layers,
        n_heads=places.n_heads,
        nodes=tuple(view.nodes),
        final=view.final,
        measure=view.measure.id,
        cut=view.cut,
    )


def _against(shown: ComparisonSide, side: ComparisonSide, measure: Measure) -> GridDifference:
    grid = compare_grids(shown, side, measure=measure)
    places = [NodeId(cell.layer, cell.head) for cell in grid.cells]
    differences = dict(zip(places, (cell.difference for cell in grid.cells), strict=True))

    def size(place: NodeId) -> float:
        found = differences[place]
        return -1.0 if found is None else abs(found)

    heads = [abs(value) for place, value in differences.items() if value is not None and place.is_head]
    order = sorted(places, key=lambda place: (-size(place), place))
    return GridDifference(
        side=side,
        grid=grid,
        differences=differences,
        largest=max(heads, default=0.0) or grid.largest,
        here=dict(zip(places, (cell.a for cell in grid.cells), strict=True)),
        there=dict(zip(places, (cell.b for cell in grid.cells), strict=True)),
        order=order,
        rank={place: number for number, place in enumerate(order, start=1)},
        circuit=frozenset(NodeId(*head) for head in grid.circuit_b),
        unshared=_unshared(grid, shown, side),
    )


def _unshared(grid: GridComparison, shown: ComparisonSide, side: ComparisonSide) -> str:
    if side.heads is not None and not only_heads(side.heads) and shown.choice == "heads":
        return "its MLPs are not here"
    if not (grid.more_in_a or grid.more_in_b):
        return ""
    return f"MLPs only {'here' if grid.more_in_a else 'there'}"
