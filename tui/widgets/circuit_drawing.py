"""The drawing of a run's edges by layers: no line runs through a node that it does not join."""

from collections.abc import Sequence

from textual.geometry import Size
from textual.strip import Strip

from engine.nodes import NodeId, names
from tui.state.circuit_layout import CircuitLayout, Point, lay_out
from tui.state.edges_state import EdgesState
from tui.state.folded_groups import folded_words
from tui.state.node_signs import IDLE, KNOWN, PINNED
from tui.state.number_text import format_fixed
from tui.state.weighted_edges import WeightedEdge
from tui.terminal.sanitize import clean
from tui.widgets.braille import BrailleCanvas
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import fit

_WEIGHT_INKS = ((0.3, "dim"), (0.03, "faint"), (0.0, "groove"))
"""Inks by share of the strongest drawn edge, for edges that do not touch the selected node."""
_UP, _BOTH = "↑", "↕"
_WORDS = {"codes": "codes", "attribution": "attribution", "exact": "exact effect"}


class CircuitDrawing(LineWidget):
    """The drawing of the edges: layers down, the selected edge and node bright, what adds to the answer dashed."""

    can_focus = False

    def __init__(self, board: EdgesState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(board.state, id=id)
        self.board = board
        self.corner = (0, 0)

    def lines(self, size: Size, /) -> list[Strip]:
        board = self.board
        edges, chosen = board.drawn, board.chosen_edge
        if not (edges or board.alone) or size.width < 12 or size.height < 4:
            return []
        below = self._legend(size.width)
        room = Size(size.width - 4, size.height - len(below))
        groups = tuple(
            tuple(NodeId(*node) for node in group.nodes) for group in board.drawing.groups if not group.folded
        )
        layout = lay_out(
            edges,
            room.width,
            room.height - 1,
            parallel=board.parallel,
            alone=board.alone,
            groups=groups,
            signs=max((len(board.signs(node)) for edge in edges for node in edge.nodes), default=1) - 1,
            boxes=board.graph.boxes(edges, parallel=board.parallel, signs=1),
        )
        if layout.width > room.width or layout.height > room.height:
            below[0] = f"{below[0].partition('  ')[0]}  larger than the pane: HJKL pan  {below[0].partition('  ')[2]}"
        canvas = self._canvas(layout, edges, chosen)
        left, top = self.corner = self._offset(layout, chosen, room)
        labels = self._labels(layout, chosen) | {
            cell: (sign, canvas.cell(*cell)[1]) for cell, sign in upward_signs(layout).items()
        }
        rows = []
        layers = {y: layer for layer, y in layout.layers}
        for y in range(top, min(layout.height, top + room.height)):
            line = self.line().add(f"{layers.get(y, ''):>3} ", "dim")
            x = left
            while x < min(layout.width, left + room.width):
                label = labels.get((x, y))
                if label is not None and x + len(label[0]) <= left + room.width:
                    line.add(*label)
                    x += len(label[0])
                else:
                    line.add(*canvas.cell(x, y))
                    x += 1
            rows.append(line.strip())
        while len(rows) < room.height:
            rows.append(self.line().strip())
        return [*rows, *(self.line().add(fit(f" {words}", size.width), "faint").strip() for words in below)]

    def _canvas(
        self, layout: CircuitLayout, edges: Sequence[WeightedEdge], chosen: WeightedEdge | None
    ) -> BrailleCanvas:
        canvas = BrailleCanvas(layout.width, layout.height)
        routes = dict(zip(edges, layout.routes, strict=True))
        ends = () if chosen is None else chosen.nodes
        best = max((abs(edge.weight) for edge in edges), default=1.0) or 1.0
        # Weakest first, so that important edges are drawn on top.
        for edge in sorted(edges, key=lambda edge: (edge is chosen, _touches(edge, ends), abs(edge.weight))):
            ink = next(ink for share, ink in _WEIGHT_INKS if abs(edge.weight) >= share * best)
            ink = "second" if edge == chosen else ("text" if _touches(edge, ends) and ink == "dim" else ink)
            canvas.route(routes[edge], ink, dashed=self._adds(edge))
        return canvas

    def _adds(self, edge: WeightedEdge) -> bool:
        """Return True if the answer grows when the edge is replaced."""
        return self.board.drawing.weight != "codes" and edge.weight > 0

    def _labels(self, layout: CircuitLayout, chosen: WeightedEdge | None) -> dict[tuple[int, int], tuple[str, str]]:
        """Return text and ink of the labels by their first cell."""
        view, board = self.state.view(), self.board
        ends = () if chosen is None else chosen.nodes
        labels = {}
        for node, (_, y) in layout.nodes.items():
            inside = view is not None and view.circuit.issuperset(board.members(node))
            signs, box = board.signs(node), board.graph.label(node)
            text = f"({box}{signs})" if box else f"[{node}{signs}]" if inside else f" {node}{signs} "
            ink = "strong" if inside or node in ends else "dim" if IDLE in signs else "text"
            ink = "cursor" if node == board.chosen_node else ink
            labels[layout.label_start(node, len(text)), y] = (text, ink)
        return labels

    def _offset(self, layout: CircuitLayout, chosen: WeightedEdge | None, room: Size) -> tuple[int, int]:
        """Return the cell at the upper left: the selected edge is visible, else its selected end; plus the pan."""
        x = y = 0
        if chosen is not None and chosen.source in layout.nodes:
            (left, right), (top, bottom) = self._span(layout, chosen.nodes)
            if right - left > room.width or bottom - top >= room.height:
                (left, right), (top, bottom) = self._span(layout, [chosen.nodes[self.board.end]])
            x, y = (left + right) // 2 - room.width // 2, (top + bottom) // 2 - room.height // 2
        left = min(max(x + self.board.pan[0], 0), max(layout.width - room.width, 0))
        top = min(max(y + self.board.pan[1], 0), max(layout.height - room.height, 0))
        return left, top

    def _span(self, layout: CircuitLayout, nodes: Sequence[NodeId]) -> tuple[Point, Point]:
        """Return the first and last columns of these nodes' labels, and their first and last lines."""
        halves = {node: len(self.board.graph.label(node) or f"{node}") // 2 + 3 for node in nodes}
        columns = [layout.nodes[node][0] + side * halves[node] for node in nodes for side in (-1, 1)]
        lines = [layout.nodes[node][1] for node in nodes]
        return (min(columns), max(columns)), (min(lines), max(lines))

    def _legend(self, width: int) -> list[str]:
        """Return the lines below the drawing: what is drawn; groups, as many as fit."""
        board, drawing = self.board, self.board.drawing
        words = f"{len(board.cut_off)} of {len(board.all)} edges by {_WORDS[drawing.weight]}"
        if drawing.least:
            words += f" from {format_fixed(drawing.least)} of the strongest"
        words += "  ( ) folded" if board.graph.groups else ""
        if any(self._adds(edge) for edge in board.drawn):
            words += "  dashed: the answer grows without it"
        signs = {sign for edge in board.drawn for node in edge.nodes for sign in board.signs(node)}
        explained = ((KNOWN, "known"), (IDLE, "effect below 5%"), (PINNED, "pinned"))
        words += "".join(f"  {sign} {word}" for sign, word in explained if sign in signs)
        lines = [f"{words}  [ ] circuit"]
        groups = [
            f"{letter} {clean(group.name)}{folded_words(group)}: {' '.join(names(sorted(group.nodes)))}"
            for letter, group in board.groups
        ]
        row = ""
        for text in groups:
            if row and len(row) + 3 + len(text) > width - 2:
                lines.append(row)
                row = ""
            row = f"{row}   {text}" if row else text
        lines += [row] if row else []
        return lines[:3] if len(lines) <= 3 else [*lines[:2], f"{lines[2][: width - 6]} ..."]


def upward_signs(layout: CircuitLayout) -> dict[Point, str]:
    """Return an arrow for the cell below the upper end of each edge that runs upward, a double one if one runs back."""
    found = {}
    ends = [(edge.source, edge.target) for edge in layout.edges]
    downward = {pair for number, pair in enumerate(ends) if number not in layout.upward}
    for number in sorted(layout.upward):
        canvas = BrailleCanvas(layout.width, layout.height)
        canvas.route(layout.routes[number], "")
        y = layout.routes[number][0][1] + 1
        source, target = ends[number]
        cell = next((x, y) for x in range(layout.width) if canvas.cell(x, y)[0] != " ")
        found[cell] = _BOTH if (target, source) in downward else _UP
    return found


def _touches(edge: WeightedEdge, ends: Sequence[NodeId]) -> bool:
    return not set(ends).isdisjoint(edge.nodes)
