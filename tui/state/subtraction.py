"""A grid minus another one, shown while `d` is on."""

import msgspec

from engine.measures import Measure
from engine.results import HeadId
from sessions.comparison.comparison import CannotCompare, ComparisonSide, GridComparison, check_shapes, compare_grids
from tui.state.grid_view import GridView


class GridDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The shown run minus another run, seed or circuit."""

    side: ComparisonSide
    """The side that is subtracted."""
    grid: GridComparison
    differences: dict[HeadId, float | None]
    here: dict[HeadId, float | None]
    there: dict[HeadId, float | None]
    """The value on either side."""
    order: list[HeadId]
    """Largest absolute difference first; heads without a value last."""
    rank: dict[HeadId, int]
    circuit: frozenset[HeadId]
    """The circuit of the subtracted side."""

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
    last = view.nodes[-1]
    return ComparisonSide(
        reference="",
        title="this run",
        kind="run",
        n_layers=last.layer + 1,
        n_heads=1 + max(node.head for node in view.nodes),
        nodes=tuple(view.nodes),
        final=view.final,
        measure=view.measure.id,
        cut=view.cut,
    )


def _against(shown: ComparisonSide, side: ComparisonSide, measure: Measure) -> GridDifference:
    grid = compare_grids(shown, side, measure=measure)
    places = [HeadId(cell.layer, cell.head) for cell in grid.cells]
    differences = dict(zip(places, (cell.difference for cell in grid.cells), strict=True))

    def size(place: HeadId) -> float:
        found = differences[place]
        return -1.0 if found is None else abs(found)

    order = sorted(places, key=lambda place: (-size(place), place))
    return GridDifference(
        side=side,
        grid=grid,
        differences=differences,
        here=dict(zip(places, (cell.a for cell in grid.cells), strict=True)),
        there=dict(zip(places, (cell.b for cell in grid.cells), strict=True)),
        order=order,
        rank={place: number for number, place in enumerate(order, start=1)},
        circuit=frozenset(HeadId(*head) for head in grid.circuit_b),
    )
