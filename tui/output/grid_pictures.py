"""The grid to paste or send: text, Markdown, terminal colours, SVG."""

import io
import math
import re
from collections.abc import Collection, Sequence
from html import escape
from typing import Literal

import msgspec

from engine.measures import Measure, intensity, value_of
from engine.nodes import EMBEDDING, NO_HEAD, NO_LAYER, NodeId, NodeLayout, names
from engine.results import NodeScores
from tui.output.console import OutputStyle, make_console
from tui.output.grid import format_short, grid_lines
from tui.terminal.sanitize import clean
from tui.themes.colour_maps import VIRIDIS, interpolate

PictureFormat = Literal["txt", "md", "ansi", "svg"]
WIDTH = 120
"""Columns of the text formats; a wider grid is split into blocks."""
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~&])")
_CELL_W, _CELL_H, _LEFT, _TOP = 50, 26, 56, 66
_APART = 14
"""Pixels between heads and MLPs."""
_MLP = "mlp"
_LETTER = 7.4
"""Maximum width of a character, in pixels."""


class GridPicture(msgspec.Struct, frozen=True, kw_only=True):
    """One grid as it is viewed."""

    title: str
    """The grid's title; foreign text."""
    nodes: Sequence[NodeScores]
    measure: Measure
    circuit: Collection[tuple[int, int]]
    """Heads in the circuit."""
    known: Collection[tuple[int, int]] = ()
    """Heads of the known circuit, if there is one."""

    def draw(self, form: PictureFormat) -> str:
        return {"txt": self.text, "md": self.markdown, "ansi": self.ansi, "svg": self.svg}[form]()

    def text(self) -> str:
        """Return plain text with shades and numbers."""
        output = OutputStyle(colours="none", width=WIDTH)
        lines = [line.plain.rstrip() for line in grid_lines(self.nodes, self.measure, self.circuit, output)]
        return "\n".join([clean(self.title), *lines, self._heads()]) + "\n"

    def ansi(self) -> str:
        """Return text with 24-bit colours, to show with cat."""
        output = OutputStyle(colours="truecolor", width=WIDTH)
        out = io.StringIO()
        console = make_console(output, out)
        for line in grid_lines(self.nodes, self.measure, self.circuit, output):
            console.print(line, soft_wrap=True)
        return f"{clean(self.title)}\n{out.getvalue()}{self._heads()}\n"

    def markdown(self) -> str:
        """Return a table; heads in the circuit are bold, heads of the known circuit have a degree sign."""
        values, layout = self._values()
        inside, known = set(map(tuple, self.circuit)), set(map(tuple, self.known))
        title = _MARKDOWN.sub(r"\\\1", clean(self.title))
        columns = _columns(layout)
        headers = [_MLP if head == NO_HEAD else str(head) for head in columns]
        lines = [
            f"**{title}**  ",
            f"{self.measure.title}: {self.measure.meaning}",
            "",
            "| layer | " + " | ".join(headers) + " |",
            "| ---: |" + " ---: |" * len(columns),
        ]

        def cell(node: NodeId) -> str:
            text = format_short(values.get(node)) + ("°" if node in known else "")
            return f"**{text}**" if node in inside else text

        if layout.choice == "all":
            lines.append(f"| {EMBEDDING} | {cell(EMBEDDING)} |" + " |" * (len(columns) - 1))
        for layer in range(layout.n_layers):
            lines.append(f"| {layer} | " + " | ".join(cell(NodeId(layer, head)) for head in columns) + " |")
        marks = "**bold**: in the circuit" + ("; °: in the known circuit" if known else "")
        return "\n".join([*lines, "", f"{marks}. {self._heads()}"]) + "\n"

    def svg(self) -> str:
        """Return a self-contained picture without fonts, scripts or network access."""
        values, layout = self._values()
        inside, known = set(map(tuple, self.circuit)), set(map(tuple, self.known))
        top = self._top(values)
        marks = "framed: in the circuit" + ("; ring: in the known circuit" if known else "")
        about = f"{self.measure.title}: {self.measure.meaning}"
        scale = f"light to dark: {format_short(self.measure.floor)} to {format_short(top)}; {marks}"
        title = clean(self.title)
        longest = max(map(len, (about, scale, self._heads()))), 1.2 * len(title)
        mixed = layout.choice == "all"
        right = _LEFT + layout.n_heads * _CELL_W + (_APART + _CELL_W if mixed else 0)
        rows = [*([NO_LAYER] if mixed else []), *range(layout.n_layers)]
        width = round(max(right + 16, 32 + _LETTER * max(longest)))
        height = _TOP + len(rows) * _CELL_H + 58
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            f'<text x="16" y="22" font-size="14" font-weight="bold" fill="#14181d">{escape(title)}</text>',
            f'<text x="16" y="40" fill="#5d6875">{escape(about)}</text>',
        ]
        columns = _columns(layout)
        left = {head: _LEFT + head * _CELL_W for head in columns}
        left[NO_HEAD] = right - _CELL_W
        for head in columns:
            x, name = left[head] + _CELL_W / 2, _MLP if head == NO_HEAD else head
            out.append(f'<text x="{x:g}" y="{_TOP - 7}" text-anchor="middle" fill="#5d6875">{name}</text>')
        for row, layer in enumerate(rows):
            y = _TOP + row * _CELL_H
            label = EMBEDDING if layer == NO_LAYER else layer
            out.append(f'<text x="{_LEFT - 10}" y="{y + 17}" text-anchor="end" fill="#5d6875">{label}</text>')
            for head in columns if layer != NO_LAYER else [NO_HEAD]:
                place = NodeId(layer, head)
                at = _LEFT if layer == NO_LAYER else left[head]
                value = values.get(place)
                out += _cell(at, y, value, intensity(value, self.measure, top), place in inside)
                if place in known:
                    x = at + _CELL_W - 7
                    out.append(
                        f'<circle cx="{x}" cy="{y + 7}" r="2.5" fill="#ffffff" stroke="#b3362b" stroke-width="1.5"/>'
                    )
        foot = _TOP + len(rows) * _CELL_H + 22
        out.append(f'<text x="16" y="{foot}" fill="#5d6875">{escape(scale)}</text>')
        out.append(f'<text x="16" y="{foot + 18}" fill="#5d6875">{escape(self._heads())}</text>')
        return "\n".join([*out, "</svg>"]) + "\n"

    def _heads(self) -> str:
        listed = names(sorted(self.circuit, key=lambda node: (node[0], node[1] == NO_HEAD, node[1])))
        more = f" and {len(listed) - 40} more" if len(listed) > 40 else ""
        return f"circuit: {' '.join(listed[:40]) or 'none'}{more}"

    def _values(self) -> tuple[dict[NodeId, float | None], NodeLayout]:
        values = {node.id: _finite(value_of(node, self.measure)) for node in self.nodes}
        return values, NodeLayout.of(list(values))

    def _top(self, values: dict[NodeId, float | None]) -> float:
        """Return the value drawn at full intensity."""
        if self.measure.ceiling is not None:
            return self.measure.ceiling
        present = [value for value in values.values() if value is not None]
        return (max if self.measure.high_is_evidence else min)(present, default=0.0)


def _columns(layout: NodeLayout) -> list[int]:
    """Return the heads of a layer and, if the run has them, the MLP."""
    return [*range(layout.n_heads), *([NO_HEAD] if layout.choice == "all" else [])]


def _cell(x: int, y: int, value: float | None, level: float | None, inside: bool) -> list[str]:
    ground, ink = _colours(level)
    frame = ' stroke="#14181d" stroke-width="2"' if inside else ""
    inset = 2 if inside else 1
    side = f'width="{_CELL_W - 2 * inset}" height="{_CELL_H - 2 * inset}"'
    label = format_short(value) if value is not None else "–"
    weight = ' font-weight="bold"' if inside else ""
    return [
        f'<rect x="{x + inset}" y="{y + inset}" {side} rx="3" fill="{ground}"{frame}/>',
        f'<text x="{x + _CELL_W / 2:g}" y="{y + 17}" text-anchor="middle" fill="{ink}"{weight}>{label}</text>',
    ]


def _colours(level: float | None) -> tuple[str, str]:
    """Return background and text colour: high values are dark, and inactive heads nearly white."""
    if level is None or level <= 0:
        return "#f2f4f7", "#97a1ad"
    red, green, blue = interpolate(VIRIDIS.points, 1 - level)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 110
    return f"#{red:02x}{green:02x}{blue:02x}", "#14181d" if light else "#ffffff"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
