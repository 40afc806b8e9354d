"""The grid: layers down, heads across, every value a colour or a shade. Scrolls if it does not fit."""

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.results import HeadId
from tui.state.grid_view import GridView
from tui.state.subtraction import GridDifference
from tui.state.workbench_state import WorkbenchState
from tui.themes.colour_maps import chosen_map
from tui.themes.themes import Depth
from tui.widgets.column_labels import column_labels, join_labels
from tui.widgets.error_boundary import ErrorBoundary
from tui.widgets.heat_cell import (
    PLAIN,
    CellMark,
    CellPalette,
    CellSize,
    cell_size,
    palette,
    signed_palette,
    significance_sign,
    stability_sign,
)
from tui.widgets.heat_row import CellCache, CellFace, cell_faces
from tui.widgets.hover_text import HoverText
from tui.widgets.tooltips import column_tip, head_tip, layer_tip


class HeatMap(ScrollView, HoverText, ErrorBoundary, inherit_bindings=False):
    """Draws the view of the workbench state. The labels stay visible when the rest scrolls."""

    ALLOW_SELECT = False

    class Pointed(Message):
        """The mouse picked a head."""

        def __init__(self, head: HeadId) -> None:
            super().__init__()
            self.head = head

    class Boxed(Message):
        """The mouse was dragged from one head to another."""

        def __init__(self, corner: HeadId, head: HeadId, *, begins: bool = False, ends: bool = False) -> None:
            super().__init__()
            self.corner, self.head, self.begins, self.ends = corner, head, begins, ends

    class Marked(Message):
        """The mouse marked heads: a layer or column by its label, or one head with ctrl."""

        def __init__(self, heads: tuple[HeadId, ...]) -> None:
            super().__init__()
            self.heads = heads

    def __init__(self, state: WorkbenchState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.state = state
        self.depth = depth
        self.cell = CellSize(2, 1)
        self._view: GridView | None = None
        self._against: GridDifference | None = None
        self._shape = (0, 0)
        self._drawn_cursor = HeadId(0, 0)
        self._faces: dict[int, list[CellFace]] = {}
        """Cell faces by layer, computed when the layer becomes visible or ahead of time."""
        self._ready: tuple[GridView, CellSize, dict[int, list[CellFace]]] | None = None
        self._looks = CellCache()
        self._marked: frozenset[HeadId] = frozenset()
        self._signs = False
        self._pressed: HeadId | None = None
        """The head where the mouse button was pressed."""
        self._dragged: HeadId | None = None
        """The head that the drag last reached."""

    # ---- what to draw

    def rows_wanted(self, room: int, beside: int, map_rows: int) -> int:
        """Return the rows of the grid with the tallest cells that leave `beside` rows free; else all rows."""
        shape = self.state.shape()
        if shape is None:
            return min(room, 12)
        size = cell_size(self.size.width - self._label_width(shape), room - 1, *shape)
        for height in range(size.height, 0, -1):
            rows = 1 + shape[0] * height
            if room - rows >= beside:
                return rows
        # A grid that does not fit scrolls; its minimap may take a third of the room, not half.
        return room - map_rows if room >= 3 * map_rows and shape[0] >= room else room

    def fits(self, rows: int, width: int) -> bool:
        """Return True if all heads fit into these rows and columns."""
        n_layers, n_heads = self.state.shape() or (0, 0)
        return n_layers < rows and self._label_width((n_layers, n_heads)) + 2 * n_heads <= width

    def in_sight(self) -> tuple[range, range]:
        """Return the layers and heads that are at least partly visible."""
        room = self.scrollable_content_region.size
        n_layers, n_heads = self._shape
        wide = max(room.width - self._label_width(self._shape), 1)
        x, y = self.scroll_offset
        heads = range(x // self.cell.width, min(-(-(x + wide) // self.cell.width), n_heads))
        layers = range(y // self.cell.height, min(-(-(y + max(room.height - 1, 1)) // self.cell.height), n_layers))
        return layers, heads

    def paint(self) -> None:
        """Draw a new view, measure or cut."""
        view, shape = self.state.view(), self.state.shape() or (0, 0)
        against = self.state.against()
        self._take_marks()
        self.update_hover_text()
        if view is not None and view is self._view and shape == self._shape and against is self._against:
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
        self._shape = shape
        self._fit()
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

    def _fit(self) -> None:
        n_layers, n_heads = self._shape
        room = self.size.width - self._label_width(self._shape)
        self.cell = cell_size(room, self.size.height - 1, n_layers, n_heads)
        if n_layers * self.cell.height > self.size.height - 1:
            # The scroll bar takes a column.
            self.cell = cell_size(room - 1, self.size.height - 1, n_layers, n_heads)
        self.virtual_size = Size(
            self._label_width(self._shape) + n_heads * self.cell.width, 1 + n_layers * self.cell.height
        )
        ready, self._ready = self._ready, None
        known = ready is not None and ready[0] is self._view and ready[1] == self.cell and self._against is None
        self._faces = ready[2] if ready is not None and known else {}

    def make_ready(self, view: GridView) -> None:
        """Compute the cell faces of the visible layers for another view ahead of time."""
        layers, _ = self.in_sight()
        made = {layer: cell_faces(view, None, layer, self._shape[1], self.cell.width) for layer in layers}
        self._ready = (view, self.cell, made)

    def _faces_of(self, layer: int) -> list[CellFace]:
        made = self._faces.get(layer)
        if made is None:
            view, n_heads = self._view, self._shape[1]
            if view is None:
                return [(-1, "")] * n_heads
            made = self._faces[layer] = cell_faces(view, self._against, layer, n_heads, self.cell.width)
        return made

    def _palette(self) -> CellPalette:
        faded = self._view is not None and not self._view.final
        make = palette if self._against is None else signed_palette
        return make(dark=self.app.current_theme.dark, depth=self.depth, faded=faded, name=chosen_map(self.app))

    # ---- lines

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        n_layers = self._shape[0]
        if not n_layers:
            return Strip.blank(width, self.ground)
        if y == 0:
            return self._column_labels().adjust_cell_length(width).apply_style(self.ground)
        row = y - 1 + self.scroll_offset.y
        layer, within = divmod(row, self.cell.height)
        if layer >= n_layers:
            return Strip.blank(width, self.ground)
        return self._cells(layer, within).adjust_cell_length(width, self.ground)

    def _cells(self, layer: int, within: int) -> Strip:
        label_width = self._label_width(self._shape)
        middle = (self.cell.height - 1) // 2
        label = f"{layer:>{label_width - 1}} " if within == middle else " " * label_width
        ink = self._ink("accent" if layer == self.state.cursor.layer else "dim")
        first, last, skip = self._visible_heads()
        self._looks.use(self.cell, self._palette(), self._ink("cursor"), self.ground)
        special = self._special()
        cells = []
        for head, face in zip(range(first, last), self._faces_of(layer)[first:last], strict=True):
            place = HeadId(layer, head)
            cells.append((face, self._mark(place) if special is None or place in special else PLAIN))
        pieces = self._looks.line(within, cells)
        width = self.cell.width * len(cells)
        room = max(self.size.width - label_width, 0)
        if skip or width > room:
            cut = Strip(pieces, width).crop(skip, skip + room)
            pieces, width = list(cut), cut.cell_length
        return Strip([Segment(label, self.ground + ink), *pieces], label_width + width)

    def _special(self) -> frozenset[HeadId] | None:
        """Return the heads that show more than their value; None: any may."""
        view = self._view
        if self._signs and self._against is None:
            return None
        mine = self._marked | {self.state.cursor}
        if view is None:
            return mine
        return mine.union(view.circuit, view.known if self._against is None else self._against.circuit)

    def _column_labels(self) -> Strip:
        label_width = self._label_width(self._shape)
        first, last, skip = self._visible_heads()
        cursor = self.state.cursor.head
        texts = column_labels(range(first, last), self._shape[1], cursor, self.cell.width)
        segments = [
            Segment(text, self._label_style(head == cursor))
            for head, text in zip(range(first, last), texts, strict=True)
        ]
        strip = Strip(join_labels(segments, self.cell.width))
        room = max(self.size.width - label_width, 0)
        corner = Segment(" " * label_width, self._ink("dim"))
        return Strip.join([Strip([corner]), strip.crop(skip, skip + room)])

    def _label_style(self, on: bool) -> Style:
        return self._ink("accent" if on else "dim")

    def _mark(self, place: HeadId) -> CellMark:
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

    @staticmethod
    def _label_width(shape: tuple[int, int]) -> int:
        return len(str(max(shape[0] - 1, 0))) + 2

    def _visible_heads(self) -> tuple[int, int, int]:
        """Return the first and the end of the visible heads, and the hidden columns of the first."""
        room = max(self.size.width - self._label_width(self._shape), 0)
        first, skip = divmod(self.scroll_offset.x, self.cell.width)
        return first, min(self._shape[1], first - (-(room + skip) // self.cell.width)), skip

    def _regions(self, head: HeadId) -> list[Region]:
        """Return the regions of a head, its row label and its column label."""
        label_width = self._label_width(self._shape)
        x = label_width + head.head * self.cell.width - self.scroll_offset.x
        y = 1 + head.layer * self.cell.height - self.scroll_offset.y
        middle = (self.cell.height - 1) // 2
        wide = max(self.cell.width * 4 if self.cell.width < 4 else self.cell.width, 1)
        found = (
            Region(x, y, self.cell.width, self.cell.height),
            Region(0, y + middle, label_width, 1),
            Region(x - wide + self.cell.width, 0, wide * 2, 1) if wide > self.cell.width else Region(x, 0, wide, 1),
        )
        room = self.size.region
        return [part for part in (region.intersection(room) for region in found) if part]

    def _show_cursor(self) -> None:
        """Scroll until the cursor's cell is visible beside the labels."""
        label_width = self._label_width(self._shape)
        room = self.scrollable_content_region.size
        room_x, room_y = max(room.width - label_width, 1), max(room.height - 1, 1)
        x, y = self.state.cursor.head * self.cell.width, self.state.cursor.layer * self.cell.height
        offset = self.scroll_offset
        to_x = min(max(offset.x, x + self.cell.width - room_x), x)
        to_y = min(max(offset.y, y + self.cell.height - room_y), y)
        if (to_x, to_y) != (offset.x, offset.y):
            self.scroll_to(to_x, to_y, animate=False, force=True, immediate=True)

    def head_at(self, x: int, y: int) -> HeadId | None:
        """Return the head at a position of this widget."""
        label_width = self._label_width(self._shape)
        if y < 1 or x < label_width:
            return None
        head = (x - label_width + self.scroll_offset.x) // self.cell.width
        layer = (y - 1 + self.scroll_offset.y) // self.cell.height
        return HeadId(layer, head) if layer < self._shape[0] and head < self._shape[1] else None

    # ---- events

    def on_mouse_down(self, event: events.MouseDown) -> None:
        place = event.get_content_offset(self)
        if place is None or event.button != 1 or not self._shape[0]:
            return
        head = self.head_at(place.x, place.y)
        if head is None:
            self.post_message(self.Marked(self._labelled(place.x, place.y)))
        elif event.ctrl:
            self.post_message(self.Marked((head,)))
        else:
            self._pressed, self._dragged = head, None
            self.capture_mouse()
            self.post_message(self.Pointed(head))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._pressed is None:
            return
        head = self.head_at(*self._inside(event.x, event.y))
        if head is not None and head != (self._dragged or self._pressed):
            self.post_message(self.Boxed(self._pressed, head, begins=self._dragged is None))
            self._dragged = head

    def tip_at(self, place: Offset, /) -> Content | None:
        """Return the tooltip of the head, layer or column at a position; None while a box is dragged."""
        if self._pressed is not None or not self._shape[0]:
            return None
        head = self.head_at(place.x, place.y)
        if head is not None:
            return head_tip(self.state, head)
        named = self._labelled(place.x, place.y)
        if not named:
            return None
        return column_tip(named[0].head) if place.y == 0 else layer_tip(self.state, named[0].layer)

    def on_mouse_up(self, _event: events.MouseUp) -> None:
        if self._pressed is not None:
            self.release_mouse()
            if self._dragged is not None:
                self.post_message(self.Boxed(self._pressed, self._dragged, ends=True))
            self._pressed = self._dragged = None

    def _inside(self, x: int, y: int) -> tuple[int, int]:
        """Return the nearest position inside the grid, because a drag may leave it."""
        label_width = self._label_width(self._shape)
        last_x = label_width + self._shape[1] * self.cell.width - self.scroll_offset.x - 1
        last_y = self._shape[0] * self.cell.height - self.scroll_offset.y
        return min(max(x, label_width), self.size.width - 1, last_x), min(max(y, 1), self.size.height - 1, last_y)

    def _labelled(self, x: int, y: int) -> tuple[HeadId, ...]:
        """Return the heads of the layer or column whose label is at a position."""
        label_width, (n_layers, n_heads) = self._label_width(self._shape), self._shape
        if y >= 1 and x < label_width and (layer := (y - 1 + self.scroll_offset.y) // self.cell.height) < n_layers:
            return tuple(HeadId(layer, head) for head in range(n_heads))
        if y == 0 and x >= label_width:
            head = (x - label_width + self.scroll_offset.x) // self.cell.width
            return tuple(HeadId(layer, head) for layer in range(n_layers)) if head < n_heads else ()
        return ()

    def on_resize(self, _event: events.Resize) -> None:
        self._fit()
        self._show_cursor()
        self.refresh()

    def _ink(self, name: str) -> Style:
        return self.screen.get_component_rich_style(f"ink--{name}", partial=True)
