"""Minimap of a grid that does not fit its pane, with a frame around the visible part."""

from collections.abc import Container, Sequence
from functools import lru_cache
from itertools import groupby

import msgspec
from rich.color import Color
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Offset, Size
from textual.strip import Strip

from engine.nodes import NodeId
from tui.state.grid_places import GridPlaces
from tui.state.grid_view import GridView
from tui.state.workbench_state import WorkbenchState
from tui.themes.colour_maps import Rgb, chosen_map
from tui.themes.themes import Depth, heat_colours
from tui.widgets.heat_cell import SHADES, level_of, shade_of
from tui.widgets.heat_map import HeatMap
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import StyledLine
from tui.widgets.tooltips import tip

_MLPS = 2
"""Columns of the map for the MLPs: a gap, and theirs."""
_NOTHING = -2
"""The level of a point where no node is."""
WIDTH, HEIGHT = 26, 11
"""Maximum size of the map in cells, frame included."""
_LEAST = 6
"""Minimum rows for which the map is drawn."""


class MiniMap(LineWidget):
    """The map. A point shows the highest value of its nodes; the frame is heavy at the visible part."""

    def __init__(self, state: WorkbenchState, heatmap: HeatMap, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.heatmap = heatmap
        self.depth: Depth = heatmap.depth
        self._points: tuple[GridView | None, _Points, list[list[int]]] = (None, _Points(GridPlaces(), 0, 0), [])

    def lines(self, size: Size, /) -> list[Strip]:
        view, points = self.state.view(), self._spread(size)
        if view is None or points is None or size.height < _LEAST or size.width < _LEAST:
            return []
        levels = self._levels(view, points)
        rows, columns = self.heatmap.in_sight()
        in_rows = _covered(rows, points.places.rows, points.rows)
        in_columns = points.columns_of(columns)
        shaded = self.depth in ("16", "none")
        high = points.rows if shaded else (points.rows + 1) // 2
        per_line = 1 if shaded else 2
        lines = [self._edge("┌┐", in_columns, points.width)]
        for y in range(high):
            on = any(row in in_rows for row in range(y * per_line, y * per_line + per_line))
            line = self.line().add("┃" if on else "│", "accent" if on else "groove")
            self._points_of(line, levels, y, points, shaded=shaded)
            lines.append(line.add("┃" if on else "│", "accent" if on else "groove"))
        lines.append(self._edge("└┘", in_columns, points.width))
        return [line.strip() for line in lines]

    def _edge(self, corners: str, inside: Container[int], columns: int) -> StyledLine:
        line = self.line().add(corners[0], "groove")
        for column in range(columns):
            on = column in inside
            line.add("━" if on else "─", "accent" if on else "groove")
        return line.add(corners[1], "groove")

    def _points_of(self, line: StyledLine, levels: list[list[int]], y: int, points: "_Points", *, shaded: bool) -> None:
        if shaded:
            for level in levels[y]:
                line.add(SHADES[shade_of(level)], "accent" if self.depth == "16" else "text")
            return
        view = self.state.view()
        faded = view is not None and not view.final
        colours = heat_colours(dark=self.app.current_theme.dark, faded=faded, name=chosen_map(self.app))
        last = 2 * y + 1 >= points.rows
        pairs = zip(levels[2 * y], [None] * points.width if last else levels[2 * y + 1], strict=True)
        for (over, under), same in groupby(pairs):
            # Equal neighbours become one segment, because moving the frame redraws the whole map.
            count = len(list(same))
            top, ground = (None if level is None else _colour_of(level, colours) for level in (over, under))
            if top is not None:
                line.add_styled("▀" * count, _point(top, ground))
            elif ground is not None:
                line.add_styled("▄" * count, _point(ground, None))
            else:
                line.add(" " * count)

    def _spread(self, size: Size) -> "_Points | None":
        """Return the points: one per column and row of the grid, or as many as fit; None without a grid."""
        places = self.state.places()
        if places is None:
            return None
        per_line = 1 if self.depth in ("16", "none") else 2
        room = size.width - 2 - (_MLPS if places.others else 0)
        return _Points(places, min(places.n_heads, room), min(places.rows, (size.height - 2) * per_line))

    def _levels(self, view: GridView, points: "_Points") -> list[list[int]]:
        kept, spread, levels = self._points
        if kept is not None and kept.values is view.values and spread == points:
            return levels
        levels = [[_NOTHING] * points.width for _ in range(points.rows)]
        for node in view.values:
            row, column = points.of(node)
            if row < points.rows and column < points.width:
                levels[row][column] = max(levels[row][column], level_of(view.intensity_of(node)))
        self._points = (view, points, levels)
        return levels

    def head_at(self, x: int, y: int) -> NodeId | None:
        """Return the middle node of those at a position."""
        points = self._spread(self.size) if self.size else None
        if points is None:
            return None
        per_line = 1 if self.depth in ("16", "none") else 2
        column, row = x - 1, (y - 1) * per_line
        if not (0 <= column < points.width and 0 <= row < points.rows):
            return None
        return points.middle(column, row + per_line / 2)

    def tip_at(self, _place: Offset, /) -> Content | None:
        return tip("The whole grid", "The heavy frame is the visible part; a click goes there.")

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        head = self.head_at(place.x, place.y) if place is not None else None
        if head is not None:
            self.post_message(HeatMap.Pointed(head))


class _Points(msgspec.Struct, frozen=True):
    """The points of the map: `heads` columns for the heads and, after a gap, one for the MLPs."""

    places: GridPlaces
    heads: int
    rows: int

    @property
    def width(self) -> int:
        return self.heads + (_MLPS if self.places.others else 0)

    def of(self, node: NodeId) -> tuple[int, int]:
        """Return the row and column of the point that shows the node."""
        row, column = self.places.place(node)
        at = column * self.heads // self.places.n_heads if column < self.places.n_heads else self.width - 1
        return row * self.rows // self.places.rows, at

    def columns_of(self, columns: range) -> Container[int]:
        """Return the columns of the points that show these columns of the grid."""
        heads = range(columns.start, min(columns.stop, self.places.n_heads))
        found = set(_covered(heads, self.places.n_heads, self.heads))
        return found | set(range(self.heads, self.width)) if columns.stop > self.places.n_heads else found

    def middle(self, column: int, row: float) -> NodeId:
        """Return the middle node of those at a point."""
        at = min(int(row * self.places.rows / self.rows), self.places.rows - 1)
        if column >= self.heads:
            return self.places.node(max(at, self.places.first_layer), self.places.n_heads)
        head = int((column + 0.5) * self.places.n_heads / self.heads)
        return self.places.node(at, min(head, self.places.n_heads - 1))


def _covered(part: range, whole: int, points: int) -> range:
    """Return the points that cover a range of heads or layers."""
    return range(part.start * points // whole, -(-part.stop * points // whole))


def _colour_of(level: int, colours: Sequence[Rgb]) -> Rgb | None:
    return None if level == _NOTHING else colours[max(level, 0)]


@lru_cache(maxsize=8_192)
def _point(over: Rgb, under: Rgb | None) -> Style:
    return Style.from_color(Color.from_rgb(*over), None if under is None else Color.from_rgb(*under))
