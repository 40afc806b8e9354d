"""Lines of grid cells, with a cache of rendered cells: on a large grid most cells look alike."""

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style

from engine.measures import intensity
from engine.nodes import NodeId
from tui.state.grid_view import GridView, decimals_of
from tui.state.subtraction import GridDifference
from tui.themes.diverging import signed_level
from tui.widgets.heat_cell import (
    PLAIN,
    CellMark,
    CellPalette,
    CellSize,
    cell_rows,
    format_difference,
    format_value,
    level_of,
)

CellFace = tuple[int, str]
"""Palette level and number of a cell."""

_UNDERLINED = Style(underline=True)


def cell_faces(view: GridView, against: GridDifference | None, nodes: Sequence[NodeId], width: int) -> list[CellFace]:
    """Return the faces of a row's nodes for cells of that width."""
    digits = decimals_of(view.measure) + 1
    found: list[CellFace] = []
    if against is not None:
        for difference in map(against.differences.get, nodes):
            level = signed_level(difference, against.largest)
            found.append((level, format_difference(difference, level, width, digits=digits)))
        return found
    measure, top = view.measure, view.top
    for value in map(view.values.get, nodes):
        level = level_of(intensity(value, measure, top))
        found.append((level, format_value(value, level, width, digits=digits)))
    return found


class CellCache:
    """Rendered cells, row by row, for one combination of size, colours and background."""

    def __init__(self) -> None:
        self._of: tuple[CellSize, CellPalette, Style, Style] | None = None
        self._plain: dict[CellFace, tuple[Segment, ...]] = {}
        self._marked: dict[tuple[CellFace, CellMark], tuple[Segment, ...]] = {}

    def use(self, size: CellSize, colours: CellPalette, cursor: Style, ground: Style) -> None:
        """Set size, colours and background; clear the cache if they changed."""
        of = self._of
        if of is None or of[0] != size or of[1] is not colours or of[2] != cursor or of[3] != ground:
            self._of = (size, colours, cursor, ground)
            self._plain.clear()
            self._marked.clear()

    def line(self, within: int, cells: Iterable[tuple[CellFace, CellMark]]) -> list[Segment]:
        """Return one row of the cells; neighbours of one style become one segment."""
        pieces: list[tuple[list[str], Style | None]] = []
        plain, marked, last = self._plain, self._marked, None
        for face, mark in cells:
            if mark is PLAIN:
                rows = plain.get(face)
                if rows is None:
                    rows = plain[face] = self._make(face, mark)
            else:
                rows = marked.get((face, mark))
                if rows is None:
                    rows = marked[face, mark] = self._make(face, mark)
            text, style, _ = rows[within]
            if pieces and style is last:
                pieces[-1][0].append(text)
            else:
                pieces.append(([text], style))
                last = style
        return [Segment("".join(texts), style) for texts, style in pieces]

    def _make(self, face: CellFace, mark: CellMark) -> tuple[Segment, ...]:
        assert self._of is not None
        size, colours, cursor, ground = self._of
        level, value = face
        style = colours.marked[level] if mark is not PLAIN else colours.cells[level]
        if mark.circuit and mark.signs and size.width < 4:
            style += _UNDERLINED
        if mark.cursor and (colours.shaded or size.height == 1):
            style = colours.cursor if colours.shaded else cursor
        style = ground + style
        return tuple(Segment("".join(row), style) for row in cell_rows(value, level, size, mark, colours.shaded))
