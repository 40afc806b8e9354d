"""The scatter in braille: a dot a node, signs for the circuit, marked nodes and the cursor."""

from textual import events
from textual.geometry import Size
from textual.strip import Strip

from engine.analysis.head_kinds import format_kinds
from engine.nodes import NodeId
from tui.state.number_text import format_fixed, format_number
from tui.state.scatter import ScatterPoint, ScatterState
from tui.terminal.sanitize import clean
from tui.widgets.braille import BrailleCanvas
from tui.widgets.line_widget import LinePicked, LineWidget
from tui.widgets.styled_line import StyledLine, fit

_LABEL = 8
_NEAR = 3


class ScatterPlot(LineWidget):
    """The plot, the point at the cursor in words, and what the axes are."""

    can_focus = False

    def __init__(self, scatter: ScatterState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(scatter.state, id=id)
        self.scatter = scatter
        self._cells: dict[tuple[int, int], list[NodeId]] = {}

    def lines(self, size: Size, /) -> list[Strip]:
        scatter, points = self.scatter, self.scatter.points
        if not points:
            words = f" no node has both {scatter.horizontal.title} and {scatter.vertical.title}"
            return [self.line().add(fit(words, size.width - 1), "dim").strip()]
        lines = [self._axis_title(size.width), *self._plot(points, size), *self._foot(points, size.width)]
        return [line.strip() for line in lines[: size.height]]

    def _axis_title(self, width: int) -> StyledLine:
        column = self.scatter.vertical
        line = self.line().add(f" {column.title}", "accent")
        return line.add(fit(f"  {column.meaning}", width - line.width - 1), "faint")

    def _plot(self, points: list[ScatterPoint], size: Size) -> list[StyledLine]:
        height, width = max(size.height - 7, 3), max(size.width - _LABEL - 2, 8)
        canvas = BrailleCanvas(width, height)
        view = self.state.view()
        circuit = view.circuit if view is not None else frozenset[NodeId]()
        signs: dict[tuple[int, int], tuple[str, str]] = {}
        self._cells = {}
        ordered = sorted(points, key=lambda each: (each.node in circuit, each.node in self.state.marked))
        for each in ordered:
            x, y = self._dot(each, canvas)
            cell = (x // 2, y // 4)
            self._cells.setdefault(cell, []).append(each.node)
            if each.node in self.state.marked:
                signs[cell] = ("●", "second")
            elif each.node in circuit:
                signs.setdefault(cell, ("◆", "accent"))
            else:
                canvas.stroke((x, y), (x, y), "text" if each.node.is_head else "good")
        here = next((each for each in points if each.node == self.state.cursor), None)
        if here is not None:
            x, y = self._dot(here, canvas)
            signs[(x // 2, y // 4)] = ("◉", "cursor")
        (low, high) = self.scatter.spans()[1]
        lines = []
        for row in range(height):
            label = {0: high, height - 1: low, height // 2: (low + high) / 2}.get(row)
            text = "" if label is None else format_number(label, 6)
            line = self.line().add(f"{text:>{_LABEL - 1}} ", "dim").add("│", "faint")
            for column in range(width):
                line.add(*signs.get((column, row), canvas.cell(column, row)))
            lines.append(line)
        lines.append(self.line().add(" " * _LABEL + "└" + "─" * width, "faint"))
        left, right = (format_number(each, 6).strip() for each in self.scatter.spans()[0])
        foot = self.line().to(_LABEL + 1).add(left, "dim")
        foot.to(_LABEL + 1 + width - len(right)).add(right, "dim")
        return [*lines, foot]

    def _dot(self, point: ScatterPoint, canvas: BrailleCanvas) -> tuple[int, int]:
        (left, right), (low, high) = self.scatter.spans()
        x = round((point.x - left) / (right - left) * (2 * canvas.width - 1))
        y = round((high - point.y) / (high - low) * (4 * canvas.height - 1))
        return x, y

    def _foot(self, points: list[ScatterPoint], width: int) -> list[StyledLine]:
        scatter = self.scatter
        column = scatter.horizontal
        across = self.line().add(f" {column.title}", "accent")
        across.add(fit(f"  {column.meaning}", width - across.width - 1), "faint")
        found = scatter.correlation
        words = f" {len(points)} nodes" + ("" if found is None else f" · rank correlation of heads {found:+.2f}")
        legend = self.line().add(words, "dim").add("   ◆", "accent").add(" circuit", "faint")
        legend.add("  ●", "second").add(" marked", "faint").add("  ◉", "strong").add(" cursor", "faint")
        return [across, self._at_cursor(points, width), legend]

    def _at_cursor(self, points: list[ScatterPoint], width: int) -> StyledLine:
        here = next((each for each in points if each.node == self.state.cursor), None)
        line = self.line().add(f" {self.state.cursor}", "strong")
        if here is None:
            return line.add(fit("  has not both numbers", width - line.width - 1), "dim")
        scatter = self.scatter
        for column, value in ((scatter.vertical, here.y), (scatter.horizontal, here.x)):
            line.add(f"  {column.title} ", "dim").add(format_fixed(value, max(column.decimals, 2)).strip(), "text")
        same = next((nodes for nodes in self._cells.values() if here.node in nodes), [])
        others = [str(node) for node in same if node != here.node][:_NEAR]
        if others:
            line.add(fit(f"  with {' '.join(others)}", width - line.width - 1), "faint")
        text = scatter.atlas.on_text(here.node)
        if text is not None:
            line.add(fit(f"  {clean(format_kinds(text.metrics))}", width - line.width - 1), "second")
        return line

    def on_click(self, event: events.Click) -> None:
        nodes = self._cells.get((event.x - _LABEL - 1, event.y - 1))
        if nodes:
            view = self.state.view()
            order = [] if view is None else [node.id for node in view.nodes]
            self.post_message(LinePicked(order.index(nodes[0])))
