"""The grid of a run as lines of text: shade and number, and colour where supported; MLPs at the right."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from engine.measures import Measure, intensity, value_of
from engine.nodes import EMBEDDING, NO_HEAD, NodeId, NodeLayout
from engine.results import NodeScores
from tui.output.console import OutputStyle
from tui.themes.colour_maps import VIRIDIS, interpolate

if TYPE_CHECKING:
    from rich.text import Text

SHADES = " ░▒▓█"
ASCII_SHADES = " .:+#"
_LEVELS = 64
_MLP = "mlp"
_APART = 2
"""Spaces that set the column of MLPs apart."""
_SIXTEEN = ("bright_black", "blue", "cyan", "green", "bright_yellow")


def format_short(value: float | None) -> str:
    """Format a number in at most four characters: 12, 2.3, .87, -.04; a dash if there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    sign, size = ("-" if value < 0 else ""), abs(value)
    if size < 0.005:
        return "0"
    if size >= 9999.5:
        return f"{sign}{size / 1000:.0f}k"
    if size >= 9.95:
        return f"{sign}{size:.0f}"
    if size >= 0.995:
        return f"{sign}{size:.1f}"
    return f"{sign}{size:.2f}".replace("0.", ".", 1)


class GridLayout:
    """Columns of a grid of nodes as text: whole numbers or, if they do not fit, one digit per node, in blocks.

    MLPs have a column of their own, set apart at the right; the embedding has a row above layer 0.
    """

    def __init__(self, layout: NodeLayout, numbers: Iterable[str], output: OutputStyle, *, least: int) -> None:
        """`least`: minimum columns of a number, and of a cell with a digit."""
        self.n_layers, n_heads, self.output = layout.n_layers, layout.n_heads, output
        self.columns = [*range(n_heads), *([NO_HEAD] if layout.choice == "all" else [])]
        """Heads of a layer, and the MLP."""
        self.number_width = max([least, len(str(n_heads - 1)), *map(len, numbers)])
        self.margin = max(5, len(str(self.n_layers - 1))) + 1
        self.cell_width = self.number_width + 3
        apart = _APART if layout.choice == "all" else 0
        self.compact = self.margin + len(self.columns) * self.cell_width + apart > output.width
        """True if every node gets a digit."""
        if self.compact:
            self.cell_width = max(least, len(str(n_heads - 1)) + 1)
        self.apart = apart + max(0, len(_MLP) + 1 - self.cell_width) if apart else 0
        """Spaces left of the column of MLPs."""

    def lines(self, cell: Callable[[int, int], tuple[str, str]]) -> "list[Text]":
        """Return the lines with their headers; `cell` returns text and style of a node."""
        from rich.text import Text

        lines = []
        per_block = max(1, min(len(self.columns), (self.output.width - self.margin - self.apart) // self.cell_width))
        for start in range(0, len(self.columns), per_block):
            heads = self.columns[start : start + per_block]
            if start:
                lines.append(Text())
            header = "".join(self._header(head).rjust(self._gap(head) + self.cell_width - 1) + " " for head in heads)
            lines.append(Text(("layer".rjust(self.margin - 1) + " " + header).rstrip()))
            if not start and NO_HEAD in self.columns:
                lines.append(self._line(str(EMBEDDING), [EMBEDDING], cell))
            for layer in range(self.n_layers):
                lines.append(self._line(str(layer), [NodeId(layer, head) for head in heads], cell))
        return lines

    def _line(self, label: str, nodes: "Sequence[NodeId]", cell: Callable[[int, int], tuple[str, str]]) -> "Text":
        from rich.text import Text

        line = Text(label.rjust(self.margin - 1) + " ")
        for node in nodes:
            line.append(" " * (self._gap(node.head) if node.kind == "mlp" else 0))
            text, style = cell(*node)
            line.append(text, style=style)
        if self.output.colours == "none":
            line.rstrip()
        return line

    def _header(self, head: int) -> str:
        return _MLP if head == NO_HEAD else str(head)

    def _gap(self, head: int) -> int:
        return self.apart if head == NO_HEAD else 0


def grid_lines(
    nodes: Sequence[NodeScores], measure: Measure, circuit: Collection[tuple[int, int]], output: OutputStyle
) -> "list[Text]":
    """Return the grid with header and legend; if numbers do not fit, one digit per head, in blocks."""
    from rich.text import Text

    by_place = {node.id: node for node in nodes}
    values = {place: value_of(node, measure) for place, node in by_place.items()}
    known = [value for value in values.values() if value is not None and math.isfinite(value)]
    seen = (max(known) if measure.high_is_evidence else min(known)) if known else 0.0
    levels = {place: intensity(value, measure, seen) for place, value in values.items()}
    inside = set(map(tuple, circuit))
    layout = GridLayout(NodeLayout.of(list(by_place)), map(format_short, known), output, least=2)

    def cell(layer: int, head: int) -> tuple[str, str]:
        place = NodeId(layer, head)
        marked, value, level = place in inside, values.get(place), levels.get(place)
        if layout.compact:
            digit = "-" if level is None else "." if level == 0 else str(min(9, int(level * 10)))
            text = digit.rjust(layout.cell_width - 1) + ("*" if marked else " ")
        else:
            number = "." if value == 0 or format_short(value) == "0" else format_short(value)
            text = _shade(level, output) + number.rjust(layout.number_width)
            text = f"[{text}]" if marked else f" {text} "
        return text, _style(level, marked, output)

    bold, dim = ("bold", "dim") if output.colours != "none" else ("", "")
    title, legend = f"{measure.title}: {measure.meaning}", _legend(measure, seen, layout.compact, output)
    return [Text(title, style=bold), *layout.lines(cell), Text(legend, style=dim)]


def _shade(level: float | None, output: OutputStyle) -> str:
    shades = SHADES if output.unicode else ASCII_SHADES
    if level is None or level <= 0:
        return shades[0]
    return shades[min(len(shades) - 1, 1 + int(level * (len(shades) - 1)))]


def _style(level: float | None, marked: bool, output: OutputStyle) -> str:
    """Return the cell's style; text on a coloured background is black or white, whichever is readable."""
    weight = "bold " if marked else ""
    if output.colours == "none" or level is None:
        return ""
    if output.colours == "16":
        return weight + _SIXTEEN[0 if level <= 0 else min(4, 1 + int(level * 4))]
    if level <= 0:
        return "dim"
    red, green, blue = interpolate(VIRIDIS.points, min(_LEVELS - 1, 1 + int(level * (_LEVELS - 2))) / (_LEVELS - 1))
    ink = "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 110 else "white"
    return f"{weight}{'rgb(0,0,0)' if ink == 'black' else 'rgb(255,255,255)'} on rgb({red},{green},{blue})"


def _legend(measure: Measure, seen: float, compact: bool, output: OutputStyle) -> str:
    top = measure.ceiling if measure.ceiling is not None else seen
    floor, top_text = format_short(measure.floor), format_short(top)
    if compact:
        return f"digits: tenths of the way from {floor} to {top_text}; . none; * in the circuit"
    shades = (SHADES if output.unicode else ASCII_SHADES)[1:]
    return f"{' '.join(shades)} from {floor} to {top_text}; . is 0; - does not apply; [ ] in the circuit"
