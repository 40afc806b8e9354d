"""Edges: head pairs whose codes occur together only on positives, as a list and as a drawing by layers."""

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.geometry import Size
from textual.strip import Strip

from engine.results import EdgeScore, HeadId
from tui.actions import screen_actions
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.state.circuit_layout import CircuitLayout, lay_out
from tui.state.inactive_heads import idle_heads
from tui.state.number_text import format_fixed
from tui.state.workbench_state import WorkbenchState
from tui.widgets.braille import BrailleCanvas
from tui.widgets.heat_cell import IDLE, KNOWN
from tui.widgets.line_widget import LinePicked, LineWidget, first_visible
from tui.widgets.styled_line import StyledLine, bar, fit

FIRST_SHOWN = 24
"""Edges drawn at first; more would be unreadable."""
_PAN = 8
_NO_EFFECT = " no effect"
ACTIONS = screen_actions(
    "Edges",
    ("close", "", "escape,e,q", "Back", "Back to the workbench", "back"),
    ("step.down", "1", "down,j", "Next edge", "The next weaker edge", "edge"),
    ("step.up", "-1", "up,k", "Previous edge", "The next stronger edge", ""),
    ("step.page_down", "10", "pagedown", "Ten edges down", "Ten edges weaker", ""),
    ("step.page_up", "-10", "pageup", "Ten edges up", "Ten edges stronger", ""),
    ("cut.fewer", "-1", "t", "Edge cut: fewer", "Remove the weakest edge from the drawing", "cut"),
    ("cut.more", "1", "T,shift+t", "Edge cut: more", "Draw the next weaker edge too", ""),
    (
        "inside",
        "",
        "c",
        "Circuit only",
        "Only edges between heads of the circuit; again: all",
        "circuit only",
    ),
    ("end.source", "0", "left,h", "Go to its source", "The head that the edge comes from", "to its head"),
    ("end.target", "1", "right,l,enter", "Go to its target", "The head that the edge goes to", ""),
    ("pan.left", "-1, 0", "H,shift+h,shift+left", "Pan left", "Move a drawing wider than its pane", "pan"),
    ("pan.down", "0, 1", "J,shift+j,shift+down", "Pan down", "Move a drawing higher than its pane", ""),
    ("pan.up", "0, -1", "K,shift+k,shift+up", "Pan up", "Move a drawing higher than its pane", ""),
    ("pan.right", "1, 0", "L,shift+l,shift+right", "Pan right", "Move a drawing wider than its pane", ""),
)


class EdgesState:
    """Shared state of the list and the drawing."""

    def __init__(self, state: WorkbenchState) -> None:
        self.state = state
        self.shown = FIRST_SHOWN
        self.chosen = 0
        self.inside = False
        self.of_marked = bool(state.marked)
        """Show only edges from or to marked heads."""
        self.pan = (0, 0)
        """Offset of the drawing by the pan keys, in cells."""
        self._idle: tuple[object, object, frozenset[HeadId]] = (None, None, frozenset())

    @property
    def all(self) -> tuple[EdgeScore, ...]:
        """The run's best edges, strongest first, filtered."""
        run = self.state.shown
        edges = run.picture.edges if run is not None else ()
        view = self.state.view()
        marked = self.state.marked if self.of_marked else frozenset()
        if marked:
            return tuple(edge for edge in edges if HeadId(*edge.source) in marked or HeadId(*edge.target) in marked)
        if not self.inside or view is None:
            return edges
        return tuple(
            edge for edge in edges if HeadId(*edge.source) in view.circuit and HeadId(*edge.target) in view.circuit
        )

    @property
    def drawn(self) -> tuple[EdgeScore, ...]:
        """The edges up to the cut, and the selected one."""
        edges = self.all
        return (*edges[: self.shown], *(edges[self.chosen : self.chosen + 1] if self.chosen >= self.shown else ()))

    def sign(self, head: HeadId) -> str:
        """Return a head's symbol besides the circuit's: known, else idle."""
        view = self.state.view()
        if view is not None and head in view.known:
            return KNOWN
        return IDLE if head in self.idle else ""

    @property
    def idle(self) -> frozenset[HeadId]:
        """Heads with a measured effect near zero, except known ones."""
        run = self.state.shown
        if run is None:
            return frozenset()
        nodes, causes, found = self._idle
        if nodes is not run.picture.nodes or causes is not run.picture.causes:
            nodes, causes = run.picture.nodes, run.picture.causes
            found = idle_heads(nodes, causes)
            self._idle = nodes, causes, found
        view = self.state.view()
        return found if view is None else found - view.known

    @property
    def parallel(self) -> bool:
        """True if the model's MLPs do not read their layer's heads."""
        run = self.state.shown
        return run is not None and run.picture.model is not None and run.picture.model.parallel_mlps

    @property
    def noun(self) -> str:
        """What the ends of edges are: heads or nodes."""
        view = self.state.view()
        return "heads" if view is None else view.noun(2)

    def step(self, by: int) -> None:
        self.chosen = min(max(self.chosen + by, 0), max(len(self.all) - 1, 0))
        self.pan = (0, 0)

    def cut(self, by: int) -> None:
        self.shown = min(max(min(self.shown, len(self.all)) + by, 1), max(len(self.all), 1))


class EdgeList(LineWidget):
    """The list of edges, best first; drawn ones are brighter."""

    can_focus = False

    def __init__(self, board: EdgesState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(board.state, id=id)
        self.board = board
        self.first = 0

    def lines(self, size: Size, /) -> list[Strip]:
        edges, idle = self.board.all, self.board.idle
        if not edges:
            return [self.line().add(f" {_empty(self.board)}", "dim").strip()]
        head = self.line().add("      edge             code pairs only on +", "faint").strip()
        room = size.height - 1
        self.first = first_visible(self.first, self.board.chosen, room, len(edges), centre=True)
        top = edges[0].score or 1.0
        rows = [head]
        for place in range(self.first, min(len(edges), self.first + room)):
            edge = edges[place]
            on, drawn = place == self.board.chosen, place < self.board.shown
            line = self.line().add(" ▸" if on else "  ", "accent").add(f"{place + 1:>3} ", "faint")
            for end, text in ((edge.source, ""), (edge.target, " → ")):
                line.add(text, "faint").add(f"{HeadId(*end)!s:>5}", "strong" if on else ("text" if drawn else "dim"))
                sign = self.board.sign(HeadId(*end))
                line.add(sign or " ", "second" if sign == IDLE else "accent")
            line.add(f"{format_fixed(edge.score, 1):>7} ", "text" if drawn else "dim")
            # Codes occur together but neither head has an effect: note it, as the edge would look strong.
            moved = _NO_EFFECT if HeadId(*edge.source) in idle and HeadId(*edge.target) in idle else ""
            done, rest = bar(edge.score / top, max(size.width - line.width - len(moved) - 1, 0))
            line.add(done, "accent" if drawn and not moved else "faint").add(" " * len(rest)).add(moved, "second")
            rows.append(line.strip())
        return rows

    def on_click(self, event: events.Click) -> None:
        place = self.first + event.y - 1
        if event.y >= 1 and place < len(self.board.all):
            self.post_message(LinePicked(place))


class CircuitDrawing(LineWidget):
    """The drawing of the edges: layers down, the selected edge and its heads bright."""

    def __init__(self, board: EdgesState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(board.state, id=id)
        self.board = board
        self.corner = (0, 0)

    def lines(self, size: Size, /) -> list[Strip]:
        if not self.board.drawn or size.width < 12 or size.height < 4:
            return []
        layout = lay_out(tuple(self.board.drawn), size.width - 4, size.height - 2, parallel=self.board.parallel)
        chosen = self.board.all[self.board.chosen] if self.board.chosen < len(self.board.all) else None
        canvas = self._canvas(layout, chosen)
        left, top = self.corner = self._offset(layout, chosen, size)
        labels = self._labels(layout, chosen)
        rows = []
        layers = {y: layer for layer, y in layout.layers}
        for y in range(top, min(layout.height, top + size.height - 1)):
            line = self.line().add(f"{layers.get(y, ''):>3} ", "dim")
            x = left
            while x < min(layout.width, left + size.width - 4):
                label = labels.get((x, y))
                if label is not None and x + len(label[0]) <= left + size.width - 4:
                    line.add(*label)
                    x += len(label[0])
                else:
                    line.add(*canvas.cell(x, y))
                    x += 1
            rows.append(line.strip())
        while len(rows) < size.height - 1:
            rows.append(self.line().strip())
        return [*rows, self._legend(layout, size).strip()]

    def _canvas(self, layout: CircuitLayout, chosen: EdgeScore | None) -> BrailleCanvas:
        canvas = BrailleCanvas(layout.width, layout.height)
        routes = dict(zip(layout.edges, layout.routes, strict=True))
        ends = () if chosen is None else (tuple(chosen.source), tuple(chosen.target))
        # Weakest first, so that important edges are drawn on top.
        order = sorted(layout.edges, key=lambda edge: (edge is chosen, _touches(edge, ends), edge.score))
        best = max((edge.score for edge in layout.edges), default=1.0) or 1.0
        for edge in order:
            ink = "groove" if edge.score < 0.75 * best else "faint"
            ink = "second" if edge is chosen else ("dim" if _touches(edge, ends) else ink)
            canvas.route(routes[edge], ink)
        return canvas

    def _labels(self, layout: CircuitLayout, chosen: EdgeScore | None) -> dict[tuple[int, int], tuple[str, str]]:
        """Return text and ink of the labels by their first cell."""
        view = self.state.view()
        ends = set() if chosen is None else {HeadId(*chosen.source), HeadId(*chosen.target)}
        labels = {}
        for head, (_, y) in layout.nodes.items():
            inside = view is not None and head in view.circuit
            sign = self.board.sign(head)
            text = f"[{head}{sign}]" if inside else f" {head}{sign} "
            ink = "cursor" if head in ends else "strong" if inside else "dim" if sign == IDLE else "text"
            labels[layout.label_start(head, len(text)), y] = (text, ink)
        return labels

    def _offset(self, layout: CircuitLayout, chosen: EdgeScore | None, size: Size) -> tuple[int, int]:
        """Return the cell at the upper left: the selected edge is visible, plus the pan offset."""
        room_x, room_y = size.width - 4, size.height - 1
        x = y = 0
        if chosen is not None and HeadId(*chosen.source) in layout.nodes:
            (x0, y0), (x1, y1) = layout.nodes[HeadId(*chosen.source)], layout.nodes[HeadId(*chosen.target)]
            x, y = (x0 + x1) // 2 - room_x // 2, (y0 + y1) // 2 - room_y // 2
        left = min(max(x + self.board.pan[0], 0), max(layout.width - room_x, 0))
        top = min(max(y + self.board.pan[1], 0), max(layout.height - room_y, 0))
        return left, top

    def _legend(self, layout: CircuitLayout, size: Size) -> StyledLine:
        larger = layout.width > size.width - 4 or layout.height > size.height - 1
        words = f" {len(layout.edges)} of {len(self.board.all)} edges"
        words += "  larger than the pane: HJKL pan" if larger else ""
        words += f"  [ ] circuit  {KNOWN} known"
        if any(self.board.sign(head) == IDLE for head in layout.nodes):
            words += f"  {IDLE} effect below 5%"
        return self.line().add(fit(words, size.width), "faint")


class EdgesScreen(SubScreen):
    """The screen: list and drawing side by side, or one below the other on small terminals."""

    CSS_PATH = "edges.tcss"
    actions = ACTIONS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, state: WorkbenchState) -> None:
        super().__init__(state)
        self.board = EdgesState(state)
        self.list = EdgeList(self.board, id="edges")
        self.drawing = CircuitDrawing(self.board, id="drawing")

    def compose(self) -> ComposeResult:
        with Horizontal(id="halves"):
            yield self.list
            yield self.drawing
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.list.border_title = "Edges"
        self.drawing.border_title = "Circuit by layers"

    def paint(self) -> None:
        """Redraw after the workbench state changed."""
        self.board.step(0)
        self.list.paint()
        self.drawing.paint()

    def action_step(self, by: int) -> None:
        self.board.step(by)
        self.paint()

    def action_cut(self, by: int) -> None:
        self.board.cut(by)
        self.paint()

    def action_inside(self) -> None:
        if self.board.of_marked:
            self.board.of_marked = False
        else:
            self.board.inside = not self.board.inside
        self.board.chosen = 0
        self.paint()

    def action_pan(self, x: int, y: int) -> None:
        was, corner = self.board.pan, self.drawing.corner
        self.board.pan = (was[0] + x * _PAN, was[1] + y * _PAN // 2)
        self.drawing.paint()
        if self.drawing.corner == corner:
            # Undo it, or as many presses the other way would have no effect.
            self.board.pan = was
            self.notify("The drawing ends here.", markup=False, timeout=4)

    def action_end(self, which: int) -> None:
        if self.board.chosen < len(self.board.all):
            edge = self.board.all[self.board.chosen]
            self.state.put_cursor(*(edge.target if which else edge.source))
            self.dismiss()

    def on_line_picked(self, message: LinePicked) -> None:
        self.board.step(message.place - self.board.chosen)
        self.paint()


def _touches(edge: EdgeScore, ends: tuple[tuple[int, ...], ...]) -> bool:
    return tuple(edge.source) in ends or tuple(edge.target) in ends


def _empty(board: EdgesState) -> str:
    every = board.state.key("edges:inside")
    if board.of_marked and board.state.marked:
        return f"No edge has a marked {board.noun.removesuffix('s')}; {every} shows all."
    if board.inside:
        return f"No edge between {board.noun} of the circuit: {every} shows all."
    return "No edges yet: they are scored at the end of a run."
