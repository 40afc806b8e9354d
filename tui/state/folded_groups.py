"""Fold named groups of nodes into one box each: their edges are summed, with sign."""

from collections.abc import Iterable, Sequence

import msgspec

from engine.nodes import NodeId, NodeLayout
from sessions.events import DrawingChanged, NodeGroup
from tui.state.circuit_layout import Box
from tui.state.weighted_edges import WeightedEdge, group_letter
from tui.terminal.sanitize import clean

_NAME = 14
"""Characters of a group's name in its box."""


class FoldedGraph:
    """The edges of a run with its folded groups as single nodes, each named by its first member."""

    def __init__(self, edges: Sequence[WeightedEdge], drawing: DrawingChanged) -> None:
        """`edges`: of single nodes, strongest first."""
        folded = [group for group in drawing.groups if group.folded and group.nodes]
        self.groups = {min(NodeId(*node) for node in group.nodes): group for group in folded}
        self._letters = {node: group_letter(drawing.groups.index(group)) for node, group in self.groups.items()}
        self._box = {NodeId(*node): first for first, group in self.groups.items() for node in group.nodes}
        self._parts: dict[tuple[NodeId, NodeId], list[WeightedEdge]] = {}
        self.drawing = drawing
        """The same with boxes in place of pinned members."""
        self.edges = tuple(edges)
        """Strongest first. Edges within a box are left out."""
        if self.groups:
            self.drawing = msgspec.structs.replace(
                drawing, pinned=tuple(dict.fromkeys(tuple(self.box_of(NodeId(*node))) for node in drawing.pinned))
            )
            for edge in edges:
                ends = (self.box_of(edge.source), self.box_of(edge.target))
                if ends[0] != ends[1]:
                    self._parts.setdefault(ends, []).append(edge)
            self.edges = tuple(sorted(map(_summed, self._parts.items()), key=lambda edge: -abs(edge.weight)))

    def box_of(self, node: NodeId) -> NodeId:
        """Return the node that stands for it: the first member of its folded group, or itself."""
        return self._box.get(node, node)

    def parts(self, edges: Iterable[WeightedEdge]) -> tuple[WeightedEdge, ...]:
        """Return the edges of single nodes that these are made of."""
        return tuple(part for edge in edges for part in self._parts.get(edge.nodes, (edge,)))

    def name(self, node: NodeId) -> str:
        """Return the node as it is written in a list: 9.6, or a×3 for three nodes of group a."""
        group = self.groups.get(node)
        return str(node) if group is None else f"{self._letters[node]}×{len(group.nodes)}"

    def label(self, node: NodeId) -> str:
        """Return the words in a box: a name movers ×3; empty for a node that is none."""
        group = self.groups.get(node)
        if group is None:
            return ""
        name = clean(group.name)
        short = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
        return f"{self._letters[node]} {short} ×{len(group.nodes)}"

    def boxes(self, drawn: Sequence[WeightedEdge], *, parallel: bool, signs: int = 0) -> tuple[Box, ...]:
        """Return the boxes at the ends of these edges.

        Each has a row of its own below one of its members: where the fewest weight runs against the forward pass.
        `signs`: columns beside the label.
        """
        forward = NodeLayout(n_layers=0, n_heads=0, parallel=parallel)
        found: list[Box] = []
        for node in dict.fromkeys(end for edge in drawn for end in edge.nodes if end in self.groups):
            members = sorted({forward.place(NodeId(*each)) for each in self.groups[node].nodes})
            against = {row: _against(drawn, node, row + 0.5, forward) for row in members}
            row = min(members, key=lambda place: (against[place], place)) + 0.5
            while any(box.row == row for box in found):
                row += 1 / 64
            found.append(Box(node=node, row=row, width=len(self.label(node)) + 2 + signs))
        return tuple(found)


def toggle_fold(drawing: DrawingChanged, node: NodeId) -> DrawingChanged:
    """Return the drawing with the node's group folded, or unfolded; unchanged if it is in none."""
    return _toggled(drawing, [group.name for group in drawing.groups if node in map(tuple, group.nodes)])


def fold_by_name(drawing: DrawingChanged, name: str, *, folded: bool) -> DrawingChanged:
    """Return the drawing with the group of that name folded, or unfolded."""
    return _toggled(drawing, [group.name for group in drawing.groups if group.name == name and group.folded != folded])


def _toggled(drawing: DrawingChanged, names: Sequence[str]) -> DrawingChanged:
    groups = tuple(
        msgspec.structs.replace(group, folded=not group.folded) if group.name in names else group
        for group in drawing.groups
    )
    return msgspec.structs.replace(drawing, groups=groups)


def _summed(found: tuple[tuple[NodeId, NodeId], list[WeightedEdge]]) -> WeightedEdge:
    (source, target), parts = found
    mixed = min(part.weight for part in parts) < 0 < max(part.weight for part in parts)
    return WeightedEdge(source, target, sum(part.weight for part in parts), len(parts), mixed)


def _against(drawn: Sequence[WeightedEdge], box: NodeId, row: float, forward: NodeLayout) -> float:
    """Return the weight of the box's edges that would run upward if it stood in that row."""
    weights = [
        abs(edge.weight)
        for edge in drawn
        if (edge.source == box and forward.place(edge.target) < row)
        or (edge.target == box and forward.place(edge.source) > row)
    ]
    return sum(weights)


def folded_words(group: NodeGroup) -> str:
    """Return what follows the members of a group where groups are listed."""
    return " (folded)" if group.folded else ""
