"""Minimap of a grid that does not fit its pane, with a frame around the visible part."""

from functools import lru_cache
from itertools import groupby

from rich.color import Color
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Offset, Size
from textual.strip import Strip

from engine.results import HeadId
from tui.state.grid_view import GridView
from tui.state.workbench_state import WorkbenchState
from tui.themes.colour_maps import Rgb, chosen_map
from tui.themes.themes import Depth, heat_colours
from tui.widgets.heat_cell import SHADES, level_of, shade_of
from tui.widgets.heat_map import HeatMap
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import StyledLine
from tui.widgets.tooltips import tip

WIDTH, HEIGHT = 26, 11
"""Maximum size of the map in cells, frame included."""
_LEAST = 6
"""Minimum rows for which the map is drawn."""


class MiniMap(LineWidget):
    """The map. A point shows the highest value of its heads; the frame is heavy at the visible part."""

    def __init__(self, state: WorkbenchState, heatmap: HeatMap, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.heatmap = heatmap
        self.depth: Depth = heatmap.depth
        self._points: tuple[GridView | None, tuple[int, int], list[list[int]]] = (None, (0, 0), [])

    def lines(self, size: Size, /) -> list[Strip]:
        view, shape = self.state.view(), self.state.shape()
        if view is None or shape is None or size.height < _LEAST or size.width < _LEAST:
            return []
        columns, rows = self._spread(size, shape)
        levels = self._levels(view, shape, columns, rows)
        layers, heads = self.heatmap.in_sight()
        in_rows = _covered(layers, shape[0], rows)
        in_columns = _covered(heads, shape[1], columns)
        shaded = self.depth in ("16", "none")
        high = rows if shaded else (rows + 1) // 2
        per_line = 1 if shaded else 2
        lines = [self._edge("┌┐", in_columns, columns)]
        for y in range(high):
            on = any(row in in_rows for row in range(y * per_line, y * per_line + per_line))
            line = self.line().add("┃" if on else "│", "accent" if on else "groove")
            self._points_of(line, levels, y, columns, rows, shaded=shaded)
            lines.append(line.add("┃" if on else "│", "accent" if on else "groove"))
        lines.append(self._edge("└┘", in_columns, columns))
        return [line.strip() for line in lines]

    def _edge(self, corners: str, inside: range, columns: int) -> StyledLine:
        line = self.line().add(corners[0], "groove")
        for column in range(columns):
            on = column in inside
            line.add("━" if on else "─", "accent" if on else "groove")
        return line.add(corners[1], "groove")

    def _points_of(
        self, line: StyledLine, levels: list[list[int]], y: int, columns: int, rows: int, *, shaded: bool
    ) -> None:
        if shaded:
            for column in range(columns):
                line.add(SHADES[shade_of(levels[y][column])], "accent" if self.depth == "16" else "text")
            return
        view = self.state.view()
        faded = view is not None and not view.final
        colours = heat_colours(dark=self.app.current_theme.dark, faded=faded, name=chosen_map(self.app))
        top, last = levels[2 * y], 2 * y + 1 >= rows
        pairs = ((top[column], None if last else levels[2 * y + 1][column]) for column in range(columns))
        for (over, under), same in groupby(pairs):
            # Equal neighbours become one segment, because moving the frame redraws the whole map.
            ground = None if under is None else colours[max(under, 0)]
            line.add_styled("▀" * len(list(same)), _point(colours[max(over, 0)], ground))

    def _spread(self, size: Size, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the columns and rows of points: one per head and layer, or as many as fit."""
        per_line = 1 if self.depth in ("16", "none") else 2
        return min(shape[1], size.width - 2), min(shape[0], (size.height - 2) * per_line)

    def _levels(self, view: GridView, shape: tuple[int, int], columns: int, rows: int) -> list[list[int]]:
        kept, spread, levels = self._points
        if kept is not None and kept.values is view.values and spread == (columns, rows):
            return levels
        levels = [[-1] * columns for _ in range(rows)]
        for head in view.values:
            row, column = head.layer * rows // shape[0], head.head * columns // shape[1]
            if row < rows and column < columns:
                levels[row][column] = max(levels[row][column], level_of(view.intensity_of(head)))
        self._points = (view, (columns, rows), levels)
        return levels

    def head_at(self, x: int, y: int) -> HeadId | None:
        """Return the middle head of those at a position."""
        shape = self.state.shape()
        if shape is None or not self.size:
            return None
        columns, rows = self._spread(self.size, shape)
        per_line = 1 if self.depth in ("16", "none") else 2
        column, row = x - 1, (y - 1) * per_line
        if not (0 <= column < columns and 0 <= row < rows):
            return None
        layer = min(int((row + per_line / 2) * shape[0] / rows), shape[0] - 1)
        return HeadId(layer, min(int((column + 0.5) * shape[1] / columns), shape[1] - 1))

    def tip_at(self, _place: Offset, /) -> Content | None:
        return tip("The whole grid", "The heavy frame is the visible part; a click goes there.")

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        head = self.head_at(place.x, place.y) if place is not None else None
        if head is not None:
            self.post_message(HeatMap.Pointed(head))


def _covered(part: range, whole: int, points: int) -> range:
    """Return the points that cover a range of heads or layers."""
    return range(part.start * points // whole, -(-part.stop * points // whole))


@lru_cache(maxsize=8_192)
def _point(over: Rgb, under: Rgb | None) -> Style:
    return Style.from_color(Color.from_rgb(*over), None if under is None else Color.from_rgb(*under))
