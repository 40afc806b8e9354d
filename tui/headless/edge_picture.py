"""The drawing of a run's edges as a picture (SVG), and the graph with weights and groups (GraphML)."""

from collections.abc import Collection, Iterator, Sequence
from html import escape
from itertools import pairwise

from engine.analysis.run_state import RunSnapshot
from engine.nodes import NodeId, names
from sessions.events import DrawingChanged
from tui.output.graphml import graphml
from tui.state.circuit_layout import CircuitLayout, lay_out
from tui.state.folded_groups import FoldedGraph, folded_words
from tui.state.number_text import format_fixed
from tui.state.weighted_edges import (
    WEIGHT_WORDS,
    WEIGHTS,
    WeightedEdge,
    cut_edges,
    group_letter,
    weighted_edges,
)
from tui.terminal.sanitize import clean

_COLUMN, _LINE = 8, 13
"""Pixels of a column and a line of the layout."""
_LEFT, _TOP = 56, 76
_ROOM = 96
"""Columns of the drawing; more if it needs them."""
_LINES_A_ROW = 6
_LETTER = 7.3
_HELPS, _HARMS, _CODES = "#2166ac", "#b2532b", "#5d6875"
_FILLS = ("#fde7b8", "#cfe8d5", "#d6dff5", "#f5d3dc", "#e3d6f0", "#d3ecf0")
"""Of groups, in their order; letters tell them apart as well."""


def edge_files(
    picture: RunSnapshot,
    drawing: DrawingChanged,
    circuit: Collection[tuple[int, int]],
    title: str,
    *,
    edges: Sequence[WeightedEdge] | None = None,
) -> list[tuple[str, str]]:
    """Return suffix and text of both files. `edges`: what is drawn; None: what the drawing says."""
    svg = edge_svg(picture, drawing, circuit, title, edges=edges)
    return [(".svg", svg), (".graphml", "".join(run_graphml(picture, drawing, circuit, title)))]


def run_graphml(
    picture: RunSnapshot, drawing: DrawingChanged, circuit: Collection[tuple[int, int]], title: str
) -> Iterator[str]:
    """Yield the whole graph of the run: every weight of every edge, groups and pins of nodes."""
    effects: dict[str, dict[tuple[tuple[int, int], tuple[int, int]], float]] = {
        weight: {(edge.source, edge.target): edge.weight for edge in weighted_edges(picture, weight)}
        for weight in WEIGHTS
        if weight != "codes"
    }
    groups = {(node[0], node[1]): group.name for group in drawing.groups for node in group.nodes}
    folded = [(node[0], node[1]) for group in drawing.groups if group.folded for node in group.nodes]
    return graphml(
        picture.nodes,
        circuit,
        picture.edges,
        title,
        effects=effects,
        groups=groups,
        pinned=drawing.pinned,
        folded=folded,
    )


def edge_svg(
    picture: RunSnapshot,
    drawing: DrawingChanged,
    circuit: Collection[tuple[int, int]],
    title: str,
    *,
    edges: Sequence[WeightedEdge] | None = None,
) -> str:
    """Return the drawing as a self-contained picture without fonts, scripts or network access."""
    graph = FoldedGraph(weighted_edges(picture, drawing.weight), drawing)
    drawn = tuple(cut_edges(graph.edges, graph.drawing) if edges is None else edges)
    joined = {node for edge in graph.edges for node in edge.nodes}
    alone = tuple(node for each in graph.drawing.pinned if (node := NodeId(*each)) not in joined)
    groups = tuple(tuple(NodeId(*node) for node in group.nodes) for group in drawing.groups if not group.folded)
    parallel = picture.model is not None and picture.model.parallel_mlps
    ends = {node for edge in drawn for node in edge.nodes}
    rows = len({node.layer for node in ends - graph.groups.keys()}) + sum(
        node.kind == "mlp" or node in graph.groups for node in ends
    )
    height = max(rows - 1, 1) * _LINES_A_ROW + 1
    boxes = graph.boxes(drawn, parallel=parallel)
    layout = lay_out(drawn, _ROOM, height, parallel=parallel, alone=alone, groups=groups, signs=1, boxes=boxes)
    return "\n".join(_Svg(layout, drawn, graph, circuit, clean(title)).lines()) + "\n"


class _Svg:
    """Writes one drawing."""

    def __init__(
        self,
        layout: CircuitLayout,
        edges: Sequence[WeightedEdge],
        graph: FoldedGraph,
        circuit: Collection[tuple[int, int]],
        title: str,
    ) -> None:
        self.layout, self.edges, self.graph, self.title = layout, edges, graph, title
        self.drawing = drawing = graph.drawing
        self.circuit = frozenset(NodeId(*node) for node in circuit)
        self.pinned = frozenset(NodeId(*node) for node in drawing.pinned)
        self.group = {NodeId(*node): place for place, group in enumerate(drawing.groups) for node in group.nodes}
        self.best = max((abs(edge.weight) for edge in edges), default=1.0) or 1.0

    def lines(self) -> Iterator[str]:
        legend = self._legend()
        bottom = _TOP + (self.layout.height - 1) * _LINE + 44
        texts = [1.15 * len(self.title), *map(len, legend)]
        width = round(max(_LEFT + self.layout.width * _COLUMN + 16, 32 + _LETTER * max(texts)))
        height = bottom + 18 * len(legend)
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">'
        )
        yield f"<title>{escape(self.title)}</title>"
        yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        yield f'<text x="16" y="24" font-size="14" font-weight="bold" fill="#14181d">{escape(self.title)}</text>'
        about = f"{len(self.edges)} of {len(self.graph.edges)} edges; {WEIGHT_WORDS[self.drawing.weight]}"
        yield f'<text x="16" y="42" fill="#5d6875">{escape(about)}</text>'
        for label, line in self.layout.layers:
            y = _TOP + line * _LINE
            yield f'<text x="30" y="{y + 4}" text-anchor="end" fill="#5d6875">{label}</text>'
        order = sorted(range(len(self.edges)), key=lambda place: abs(self.edges[place].weight))
        for place in order:  # the strongest on top
            yield self._edge(place)
        for node in self.layout.nodes:
            yield from self._node(node)
        for row, words in enumerate(legend):
            yield f'<text x="16" y="{bottom + 18 * row}" fill="#5d6875">{escape(words)}</text>'
        yield "</svg>"

    def _edge(self, place: int) -> str:
        """Return a line that is vertical beside labels and bends between two rows only."""
        edge, signed = self.edges[place], self.drawing.weight != "codes"
        parts = []
        for nth, (upper, lower) in enumerate(pairwise(self.layout.routes[place])):
            (x0, y0), (x1, y1) = self._at(upper), self._at(lower)
            y0, y1 = y0 + 12, y1 - 12
            middle = (y0 + y1) / 2
            parts.append(f"{'M' if nth == 0 else 'L'}{x0} {y0} C{x0} {middle:g} {x1} {middle:g} {x1} {y1}")
        share = abs(edge.weight) / self.best
        colour = (_HELPS if edge.weight < 0 else _HARMS) if signed else _CODES
        dashes = ' stroke-dasharray="5 4"' if signed and edge.weight > 0 else ""
        name = f"{self._name(edge.source)} to {self._name(edge.target)}: {format_fixed(edge.weight, 3)}"
        if edge.parts > 1:
            name += f", {edge.parts} edges summed{', of both signs' if edge.mixed else ''}"
        line = (
            f'<path d="{" ".join(parts)}" fill="none" stroke="{colour}" stroke-width="{0.8 + 3.2 * share:.2f}" '
            f'stroke-opacity="{0.35 + 0.55 * share:.2f}"{dashes}><title>{escape(name)}</title></path>'
        )
        if place not in self.layout.upward:
            return line
        x, y = self._at(self.layout.routes[place][0])
        return f'{line}<text x="{x + 4}" y="{y + 24}" fill="{colour}">↑</text>'

    def _node(self, node: NodeId) -> Iterator[str]:
        x, y = self._at(self.layout.nodes[node])
        group = self.group.get(node)
        text = self.graph.label(node) or f"{node}{'' if group is None else ' ' + group_letter(group)}"
        half = _LETTER * (len(text) + 1) / 2
        fill = "#f4f6f8" if group is None else _FILLS[group % len(_FILLS)]
        members = self.graph.groups[node].nodes if node in self.graph.groups else (node,)
        inside, pinned = self.circuit.issuperset(map(tuple, members)), node in self.pinned
        corner = 3 if node.is_head or node in self.graph.groups else 11
        yield (
            f'<rect x="{x - half:.1f}" y="{y - 11}" width="{2 * half:.1f}" height="22" rx="{corner}" fill="{fill}" '
            f'stroke="{"#14181d" if inside else "#a9b3bd"}" stroke-width="{1.8 if inside else 1}"/>'
        )
        if node in self.graph.groups:  # a second frame inside
            yield (
                f'<rect x="{x - half + 2.5:.1f}" y="{y - 8.5}" width="{2 * half - 5:.1f}" height="17" rx="2" '
                'fill="none" stroke="#8d98a4"/>'
            )
        yield (
            f'<text x="{x}" y="{y + 4}" text-anchor="middle" fill="#14181d"'
            f"{' font-weight=' + chr(34) + 'bold' + chr(34) if pinned else ''}>{escape(text)}</text>"
        )

    def _legend(self) -> list[str]:
        signed, least = self.drawing.weight != "codes", self.drawing.least
        words = ["Width: weight. Round: MLP or embedding. Dark frame: in the circuit."]
        more = [
            "Dashed: the answer grows without it." if signed else "",
            "Bold: pinned." if self.pinned else "",
            "Double frame: a folded group, its edges summed." if self.graph.groups else "",
            "↑: upward." if self.layout.upward else "",
            f"Pruned below {format_fixed(least)} of the strongest." if least else "",
        ]
        words += [" ".join(filter(None, more))] if any(more) else []
        return words + [
            f"{group_letter(place)}  {clean(group.name)}{folded_words(group)}: {' '.join(names(sorted(group.nodes)))}"
            for place, group in enumerate(self.drawing.groups)
        ]

    def _name(self, node: NodeId) -> str:
        return self.graph.label(node) or str(node)

    def _at(self, point: tuple[int, int]) -> tuple[int, int]:
        return _LEFT + point[0] * _COLUMN, _TOP + point[1] * _LINE
