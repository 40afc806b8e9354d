"""Where the cells of a grid are drawn: labels, cells, and the gap that sets the MLPs apart. No widget."""

import msgspec
from textual.geometry import Offset, Region, Size

from engine.nodes import EMBEDDING, NodeId
from tui.state.grid_places import GridPlaces
from tui.widgets.heat_cell import CellSize, cell_size

GAP = 2
"""Blank columns between the heads and the MLPs."""
LABEL_ROW = 1
"""Lines above the cells."""


class GridGeometry(msgspec.Struct, frozen=True):
    """Positions in columns and lines of the widget, scrolled by an offset.

    The embedding's row has one cell, which stays beside its label when the rest scrolls.
    """

    places: GridPlaces = GridPlaces()
    cell: CellSize = CellSize(2, 1)

    @property
    def label_width(self) -> int:
        """Columns of the rows' labels."""
        digits = len(str(max(self.places.n_layers - 1, 0)))
        return max(digits, len(str(EMBEDDING)) if self.places.others else 0) + 2

    @property
    def gap(self) -> int:
        return GAP if self.places.others else 0

    @property
    def size(self) -> Size:
        """Columns and lines of the whole grid with its labels."""
        return Size(self.label_width + self.left(self.places.columns), LABEL_ROW + self.places.rows * self.cell.height)

    def fitting(self, width: int, height: int) -> "GridGeometry":
        """Return the geometry with the largest cells that fit, else the smallest ones."""
        return GridGeometry(self.places, self._largest(width, height))

    def _largest(self, width: int, height: int) -> CellSize:
        room, rows, columns = width - self.label_width - self.gap, self.places.rows, self.places.columns
        cell = cell_size(room, height - LABEL_ROW, rows, columns)
        if rows * cell.height > height - LABEL_ROW:
            # The scroll bar takes a column.
            cell = cell_size(room - 1, height - LABEL_ROW, rows, columns)
        return cell

    def heights(self, width: int, height: int) -> list[int]:
        """Return the lines of the whole grid with the tallest cells that fit into the room, then with lower ones."""
        room = width - self.label_width - self.gap
        tallest = cell_size(room, height - LABEL_ROW, self.places.rows, self.places.columns).height
        return [LABEL_ROW + self.places.rows * lines for lines in range(tallest, 0, -1)]

    def fits(self, width: int, height: int) -> bool:
        """Return True if all nodes fit with the smallest cells."""
        least = GridGeometry(self.places, CellSize(2, 1)).size
        return least.width <= width and least.height <= height

    # ---- from nodes to positions

    def left(self, column: int) -> int:
        """Return the first column of a grid column, counted from the labels; of the last one plus 1: the end."""
        return column * self.cell.width + (self.gap if column >= self.places.n_heads else 0)

    def heads_in_sight(self, width: int, offset: Offset) -> tuple[int, int, int]:
        """Return the first and the end of the visible heads of a layer, and the hidden columns of the first."""
        room = max(width - self.label_width, 0)
        first = min(offset.x // self.cell.width, self.places.n_heads)
        skip = offset.x - first * self.cell.width
        return first, min(self.places.n_heads, first - (-(room + skip) // self.cell.width)), skip

    def in_sight(self, room: Size, offset: Offset) -> tuple[range, range]:
        """Return the rows and columns of the grid that are at least partly visible."""
        wide = max(room.width - self.label_width, 1)
        high = max(room.height - LABEL_ROW, 1)
        rows = range(offset.y // self.cell.height, min(-(-(offset.y + high) // self.cell.height), self.places.rows))
        columns = [
            column
            for column in range(self.places.columns)
            if self.left(column) < offset.x + wide and self.left(column) + self.cell.width > offset.x
        ]
        return rows, range(columns[0], columns[-1] + 1) if columns else range(0)

    def regions(self, node: NodeId, room: Size, offset: Offset) -> list[Region]:
        """Return the visible regions of a node, its row label and its column label."""
        row, column = self.places.place(node)
        width, sticky = self.cell.width, node.kind == "embedding"
        x = self.label_width + (0 if sticky else self.left(column) - offset.x)
        y = LABEL_ROW + row * self.cell.height - offset.y
        middle = (self.cell.height - 1) // 2
        found = [Region(x, y, width, self.cell.height), Region(0, y + middle, self.label_width, 1)]
        if node.kind == "mlp":
            found.append(Region(x - self.gap, 0, width + self.gap, 1))
        elif node.is_head:
            # Labels of narrow columns are wider than their cells.
            wide = max(width * 4 if width < 4 else width, 1)
            found.append(Region(x - wide + width, 0, wide * 2, 1) if wide > width else Region(x, 0, wide, 1))
        return [part for region in found if (part := region.intersection(room.region))]

    def scroll_to(self, node: NodeId, room: Size, offset: Offset) -> tuple[int, int]:
        """Return the offset nearest to the present one at which the node is visible beside the labels."""
        row, column = self.places.place(node)
        room_x, room_y = max(room.width - self.label_width, 1), max(room.height - LABEL_ROW, 1)
        x, y = self.left(column), row * self.cell.height
        to_y = min(max(offset.y, y + self.cell.height - room_y), y)
        if node.kind == "embedding":
            return offset.x, to_y
        return min(max(offset.x, x + self.cell.width - room_x), x), to_y

    # ---- from positions to nodes

    def row_at(self, y: int, offset: Offset) -> int | None:
        """Return the row of the grid at a line."""
        row = (y - LABEL_ROW + offset.y) // self.cell.height
        return row if y >= LABEL_ROW and row < self.places.rows else None

    def column_at(self, x: int, offset: Offset) -> int | None:
        """Return the column of the grid at a column of the widget."""
        inside = x - self.label_width + offset.x
        heads = self.places.n_heads * self.cell.width
        if x < self.label_width:
            return None
        if inside < heads:
            return inside // self.cell.width
        return self.places.n_heads if self.places.others and 0 <= inside - heads - self.gap < self.cell.width else None

    def node_at(self, x: int, y: int, offset: Offset) -> NodeId | None:
        """Return the node at a position."""
        row, column = self.row_at(y, offset), self.column_at(x, offset)
        if row is not None and row < self.places.first_layer:
            return EMBEDDING if 0 <= x - self.label_width < self.cell.width else None
        return self.places.node(row, column) if row is not None and column is not None else None

    def labelled(self, x: int, y: int, offset: Offset) -> tuple[NodeId, ...]:
        """Return the nodes of the row or column whose label is at a position."""
        row = self.row_at(y, offset)
        if row is not None and x < self.label_width:
            return self.places.in_row(row)
        column = self.column_at(x, offset) if y < LABEL_ROW else None
        return self.places.in_column(column) if column is not None else ()

    def clamp(self, x: int, y: int, room: Size, offset: Offset) -> tuple[int, int]:
        """Return the nearest position inside the cells, because a drag may leave them."""
        last_x = self.size.width - offset.x - 1
        last_y = self.size.height - offset.y - 1
        return (
            min(max(x, self.label_width), room.width - 1, last_x),
            min(max(y, LABEL_ROW), room.height - 1, last_y),
        )
