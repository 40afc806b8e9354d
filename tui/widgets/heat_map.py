"""The grid: layers down, heads across, MLPs apart, every value a colour or a shade. Scrolls if it does not fit."""

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Offset, Region
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.nodes import EMBEDDING, NodeId, mlp
from tui.state.grid_places import GridPlaces
from tui.state.grid_view import GridView
from tui.state.subtraction import GridDifference
from tui.state.workbench_state import WorkbenchState
from tui.themes.colour_maps import chosen_map
from tui.themes.themes import Depth
from tui.widgets.column_labels import column_labels, join_labels, mlp_label
from tui.widgets.error_boundary import ErrorBoundary
from tui.widgets.grid_geometry import LABEL_ROW, GridGeometry
from tui.widgets.heat_cell import (
    PLAIN,
    CellMark,
    CellPalette,
    CellSize,
    palette,
    signed_palette,
    significance_sign,
    stability_sign,
)
from tui.widgets.heat_row import CellCache, CellFace, cell_faces
from tui.widgets.hover_text import HoverText
from tui.widgets.tooltips import column_tip, head_tip, row_tip


class HeatMap(ScrollView, HoverText, ErrorBoundary, inherit_bindings=False):
    """Draws the view of the workbench state. The labels stay visible when the rest scrolls."""

    ALLOW_SELECT = False

    class Pointed(Message):
        """The mouse picked a head."""

        def __init__(self, head: NodeId) -> None:
            super().__init__()
            self.head = head

    class Boxed(Message):
        """The mouse was dragged from one head to another."""

        def __init__(self, corner: NodeId, head: NodeId, *, begins: bool = False, ends: bool = False) -> None:
            super().__init__()
            self.corner, self.head, self.begins, self.ends = corner, head, begins, ends

    class Marked(Message):
        """The mouse marked heads: a layer or column by its label, or one head with ctrl."""

        def __init__(self, heads: tuple[NodeId, ...]) -> None:
            super().__init__()
            self.heads = heads

    def __init__(self, state: WorkbenchState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.state = state
        self.depth = depth
        self.geometry = GridGeometry()
        self._view: GridView | None = None
        self._against: GridDifference | None = None
        self._drawn_cursor = NodeId(0, 0)
        self._faces: dict[int, list[CellFace]] = {}
        """Cell faces by row, computed when the row becomes visible or ahead of time."""
        self._ready: tuple[GridView, CellSize, dict[int, list[CellFace]]] | None = None
        self._looks = CellCache()
        self._marked: frozenset[NodeId] = frozenset()
        self._signs = False
        self._pressed: NodeId | None = None
        """The head where the mouse button was pressed."""
        self._dragged: NodeId | None = None
        """The head that the drag last reached."""

    # ---- what to draw

    @property
    def cell(self) -> CellSize:
        """The size of a cell."""
        return self.geometry.cell

    def rows_wanted(self, room: int, beside: int, map_rows: int) -> int:
        """Return the rows of the grid with the tallest cells that leave `beside` rows free; else all rows."""
        places = self.state.places()
        if places is None:
            return min(room, 12)
        for rows in GridGeometry(places).heights(self.size.width, room):
            if room - rows >= beside:
                return rows
        # A grid that does not fit scrolls; its minimap may take a third of the room, not half.
        return room - map_rows if room >= 3 * map_rows and places.rows >= room else room

    def fits(self, rows: int, width: int) -> bool:
        """Return True if all nodes fit into these rows and columns."""
        return GridGeometry(self.state.places() or GridPlaces()).fits(width, rows)

    def in_sight(self) -> tuple[range, range]:
        """Return the rows and columns of the grid that are at least partly visible."""
        return self.geometry.in_sight(self.scrollable_content_region.size, self.scroll_offset)

    def paint(self) -> None:
        """Draw a new view, measure or cut."""
        view, places = self.state.view(), self.state.places() or GridPlaces()
        against = self.state.against()
        self._take_marks()
        self.update_hover_text()
        if view is not None and view is self._view and places == self.geometry.places and against is self._against:
            self.move_cursor()
            return
        before, self._view = self._view, view
        plain, self._against = against is None and self._against is None, against
        if (
            plain
            and before is not None
            and view is not None
            and before.nodes is view.nodes
            and before.measure is view.measure
            and before.final is view.final
            and before.reference is view.reference
        ):
            # Only the cut moved: draw just the heads that entered or left the circuit.
            for head in before.circuit ^ view.circuit:
                for region in self._regions(head)[:1]:
                    self.refresh(region)
            self.move_cursor()
            return
        self._fit(places)
        self._drawn_cursor = self.state.cursor
        self._show_cursor()
        self.refresh()

    def _take_marks(self) -> None:
        """Draw the heads whose marks changed; all heads if the symbols were switched."""
        before, self._marked = self._marked, self.state.marked
        if self._signs != self.state.signs:
            self._signs = self.state.signs
            self.refresh()
            return
        for head in before ^ self._marked:
            for region in self._regions(head)[:1]:
                self.refresh(region)

    def move_cursor(self) -> None:
        """Draw the old and the new cell of the cursor, with their labels."""
        old, new = self._drawn_cursor, self.state.cursor
        if old == new:
            return
        self._drawn_cursor = new
        before = self.scroll_offset
        self._show_cursor()
        if self.scroll_offset != before:
            self.refresh()
            return
        for head in (old, new):
            for region in self._regions(head):
                self.refresh(region)

    def _fit(self, places: GridPlaces) -> None:
        self.geometry = GridGeometry(places).fitting(self.size.width, self.size.height)
        self.virtual_size = self.geometry.size
        ready, self._ready = self._ready, None
        known = ready is not None and ready[0] is self._view and ready[1] == self.cell and self._against is None
        self._faces = ready[2] if ready is not None and known else {}

    def make_ready(self, view: GridView) -> None:
        """Compute the cell faces of the visible rows for another view ahead of time."""
        rows, _ = self.in_sight()
        made = {row: cell_faces(view, None, self.geometry.places.in_row(row), self.cell.width) for row in rows}
        self._ready = (view, self.cell, made)

    def _faces_of(self, row: int) -> list[CellFace]:
        made = self._faces.get(row)
        if made is None:
            view, nodes = self._view, self.geometry.places.in_row(row)
            if view is None:
                return [(-1, "")] * len(nodes)
            made = self._faces[row] = cell_faces(view, self._against, nodes, self.cell.width)
        return made

    def _palette(self) -> CellPalette:
        faded = self._view is not None and not self._view.final
        make = palette if self._against is None else signed_palette
        return make(dark=self.app.current_theme.dark, depth=self.depth, faded=faded, name=chosen_map(self.app))

    # ---- lines

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self.geometry.places.n_layers:
            return Strip.blank(width, self.ground)
        if y < LABEL_ROW:
            return self._column_labels().adjust_cell_length(width).apply_style(self.ground)
        row, within = divmod(y - LABEL_ROW + self.scroll_offset.y, self.cell.height)
        if row >= self.geometry.places.rows:
            return Strip.blank(width, self.ground)
        return self._cells(row, within).adjust_cell_length(width, self.ground)

    def _cells(self, row: int, within: int) -> Strip:
        geometry, places = self.geometry, self.geometry.places
        label_width, layer = geometry.label_width, row - places.first_layer
        middle = (self.cell.height - 1) // 2
        name = EMBEDDING if row < places.first_layer else layer
        label = f"{name!s:>{label_width - 1}} " if within == middle else " " * label_width
        ink = self._ink("accent" if layer == self.state.cursor.layer else "dim")
        self._looks.use(self.cell, self._palette(), self._ink("cursor"), self.ground)
        faces, room = self._faces_of(row), max(self.size.width - label_width, 0)
        special = self._special()

        def cell(node: NodeId, face: CellFace) -> tuple[CellFace, CellMark]:
            return face, self._mark(node) if special is None or node in special else PLAIN

        if name == EMBEDDING:
            first, last, skip = 0, 1, 0
            pieces = self._looks.line(within, [cell(EMBEDDING, faces[0])])
        else:
            first, last, skip = geometry.heads_in_sight(self.size.width, self.scroll_offset)
            cells = [cell(NodeId(layer, head), faces[head]) for head in range(first, last)]
            pieces = self._looks.line(within, cells)
        width = self.cell.width * (last - first)
        if places.others and name != EMBEDDING and last == places.n_heads:
            pieces.append(Segment(" " * geometry.gap, self.ground))
            pieces += self._looks.line(within, [cell(mlp(layer), faces[-1])])
            width += geometry.gap + self.cell.width
        if skip or width > room:
            cut = Strip(pieces, width).crop(skip, skip + room)
            pieces, width = list(cut), cut.cell_length
        return Strip([Segment(label, self.ground + ink), *pieces], label_width + width)

    def _special(self) -> frozenset[NodeId] | None:
        """Return the nodes that show more than their value; None: any may."""
        view = self._view
        if self._signs and self._against is None:
            return None
        mine = self._marked | {self.state.cursor}
        if view is None:
            return mine
        return mine.union(view.circuit, view.known if self._against is None else self._against.circuit)

    def _column_labels(self) -> Strip:
        geometry, cursor = self.geometry, self.state.cursor
        first, last, skip = geometry.heads_in_sight(self.size.width, self.scroll_offset)
        at = cursor.head if cursor.is_head else None
        texts = column_labels(range(first, last), geometry.places.n_heads, at, self.cell.width)
        segments = [
            Segment(text, self._label_style(head == cursor.head))
            for head, text in zip(range(first, last), texts, strict=True)
        ]
        pieces = join_labels(segments, self.cell.width)
        if geometry.places.others and last == geometry.places.n_heads:
            pieces.append(Segment(mlp_label(geometry.gap, self.cell.width), self._label_style(cursor.kind == "mlp")))
        room = max(self.size.width - geometry.label_width, 0)
        corner = Segment(" " * geometry.label_width, self._ink("dim"))
        return Strip.join([Strip([corner]), Strip(pieces).crop(skip, skip + room)])

    def _label_style(self, on: bool) -> Style:
        return self._ink("accent" if on else "dim")

    def _mark(self, place: NodeId) -> CellMark:
        view = self._view
        cursor = place == self.state.cursor
        chosen = place in self._marked
        if view is None:
            return CellMark(cursor=cursor, chosen=chosen) if cursor or chosen else PLAIN
        other = view.known if self._against is None else self._against.circuit
        circuit, known, signs = place in view.circuit, place in other, ""
        if self._signs and self._against is None and (node := view.by_head.get(place)) is not None:
            signs = significance_sign(node.q_value) + stability_sign(node.stability)
        if not (circuit or known or cursor or chosen or signs.strip()):
            return PLAIN
        return CellMark(circuit, known, cursor, chosen, signs)

    # ---- geometry

    def _regions(self, node: NodeId) -> list[Region]:
        """Return the visible regions of a node, its row label and its column label."""
        return self.geometry.regions(node, self.size, self.scroll_offset)

    def _show_cursor(self) -> None:
        """Scroll until the cursor's cell is visible beside the labels."""
        offset = self.scroll_offset
        room = self.scrollable_content_region.size
        to_x, to_y = self.geometry.scroll_to(self.state.cursor, room, offset)
        if (to_x, to_y) != (offset.x, offset.y):
            self.scroll_to(to_x, to_y, animate=False, force=True, immediate=True)

    def spots(self) -> list[tuple[NodeId, int, int]]:
        """Return the nodes in sight, each with the column and line of the screen at which its cell begins."""
        rows, _ = self.in_sight()
        room = self.scrollable_content_region
        found = []
        for node in (node for row in rows for node in self.geometry.places.in_row(row)):
            for cell in self._regions(node)[:1]:
                x, y = cell.x, cell.y + (cell.height - 1) // 2
                if x >= self.geometry.label_width and LABEL_ROW <= y < room.height and x + 2 <= room.width:
                    found.append((node, room.x + x, room.y + y))
        return found

    def head_at(self, x: int, y: int) -> NodeId | None:
        """Return the node at a position of this widget."""
        return self.geometry.node_at(x, y, self.scroll_offset)

    # ---- events

    def on_mouse_down(self, event: events.MouseDown) -> None:
        place = event.get_content_offset(self)
        if place is None or event.button != 1 or not self.geometry.places.n_layers:
            return
        head = self.head_at(place.x, place.y)
        if head is None:
            self.post_message(self.Marked(self.geometry.labelled(place.x, place.y, self.scroll_offset)))
        elif event.ctrl:
            self.post_message(self.Marked((head,)))
        else:
            self._pressed, self._dragged = head, None
            self.capture_mouse()
            self.post_message(self.Pointed(head))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._pressed is None:
            return
        head = self.head_at(*self.geometry.clamp(event.x, event.y, self.size, self.scroll_offset))
        if head is not None and head != (self._dragged or self._pressed):
            self.post_message(self.Boxed(self._pressed, head, begins=self._dragged is None))
            self._dragged = head

    def tip_at(self, place: Offset, /) -> Content | None:
        """Return the tooltip of the head, layer or column at a position; None while a box is dragged."""
        if self._pressed is not None or not self.geometry.places.n_layers:
            return None
        head = self.head_at(place.x, place.y)
        if head is not None:
            return head_tip(self.state, head)
        named = self.geometry.labelled(place.x, place.y, self.scroll_offset)
        if not named:
            return None
        return column_tip(named[0]) if place.y < LABEL_ROW else row_tip(self.state, named)

    def on_mouse_up(self, _event: events.MouseUp) -> None:
        if self._pressed is not None:
            self.release_mouse()
            if self._dragged is not None:
                self.post_message(self.Boxed(self._pressed, self._dragged, ends=True))
            self._pressed = self._dragged = None

    def on_resize(self, _event: events.Resize) -> None:
        self._fit(self.geometry.places)
        self._show_cursor()
        self.refresh()

    def _ink(self, name: str) -> Style:
        return self.screen.get_component_rich_style(f"ink--{name}", partial=True)
