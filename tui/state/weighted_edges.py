"""The edges of a run by what was measured of them, and which of them the drawing shows."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from engine.analysis.run_state import RunSnapshot
from engine.events import EdgesAttributed, EdgesPatched
from engine.nodes import NodeId
from sessions.events import DrawingChanged, EdgeWeight, NodeGroup

WEIGHTS: tuple[EdgeWeight, ...] = ("codes", "attribution", "exact")
WEIGHT_WORDS: Mapping[EdgeWeight, str] = {
    "codes": "code pairs only on +",
    "attribution": "answer's change, est.",
    "exact": "answer's change, exact",
}
"""What the numbers of a weight are."""
LEAST_STEPS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
"""Shares of the strongest edge that the threshold goes through."""


_MAX_NAME = 40


class JoinedNodes(Protocol):
    """An edge's two ends."""

    @property
    def source(self) -> tuple[int, int]: ...
    @property
    def target(self) -> tuple[int, int]: ...


class WeightedEdge(msgspec.Struct, frozen=True):
    """An edge and its weight: number of code pairs, or by how much replacing it changes the answer."""

    source: NodeId
    target: NodeId
    weight: float
    """Of effects: a share of the answer, or nats of KL. Below 0: replacing the edge takes from the answer."""
    parts: int = 1
    """Edges of single nodes that are summed in it (tui.state.folded_groups)."""
    mixed: bool = False
    """True if some of these are above 0 and some below."""

    @property
    def nodes(self) -> tuple[NodeId, NodeId]:
        return self.source, self.target


def weighted_edges(picture: RunSnapshot, weight: EdgeWeight) -> tuple[WeightedEdge, ...]:
    """Return the run's edges by that weight, strongest first; none if it was not measured."""
    if weight == "codes":
        return tuple(WeightedEdge(NodeId(*each.source), NodeId(*each.target), each.score) for each in picture.edges)
    measured = effects_of(picture, weight)
    if measured is None:
        return ()
    unit = unit_of(measured)
    return tuple(
        WeightedEdge(NodeId(*each.source), NodeId(*each.target), each.effect / unit) for each in measured.edges
    )


def effects_of(picture: RunSnapshot, weight: EdgeWeight) -> EdgesAttributed | EdgesPatched | None:
    """Return the measurement that a weight comes from; None for codes, or if it was not made."""
    return {"attribution": picture.edge_effects, "exact": picture.exact_edges}.get(weight)


def unit_of(measured: EdgesAttributed | EdgesPatched) -> float:
    """Return what effects are divided by: the answer, or 1 for KL, which has no such share."""
    return 1.0 if measured.metric == "kl" or not measured.base else abs(measured.base)


def measured_weights(picture: RunSnapshot) -> tuple[EdgeWeight, ...]:
    """Return the weights that the run has edges by."""
    return tuple(weight for weight in WEIGHTS if weighted_edges(picture, weight))


def cut_edges(edges: Sequence[WeightedEdge], drawing: DrawingChanged) -> tuple[WeightedEdge, ...]:
    """Return the edges within the drawing's number and threshold, and the strongest of each pinned node without any.

    `edges`: strongest first.
    """
    least = drawing.least * abs(edges[0].weight) if edges else 0.0
    found = [edge for edge in edges[: drawing.most] if abs(edge.weight) >= least]
    for node in map(lambda each: NodeId(*each), drawing.pinned):  # noqa: C417
        if not any(node in edge.nodes for edge in found):
            found += [next(edge for edge in edges if node in edge.nodes)] if _has(node, edges) else []
    return tuple(found)


def group_of(drawing: DrawingChanged, node: NodeId) -> NodeGroup | None:
    """Return the group that the node is in."""
    return next((group for group in drawing.groups if node in map(tuple, group.nodes)), None)


def group_letter(place: int) -> str:
    """Return the letter of a group by its place: a to z, then the last one again."""
    return chr(ord("a") + min(place, 25))


def put_in_group(drawing: DrawingChanged, nodes: Sequence[NodeId], name: str) -> DrawingChanged:
    """Return the drawing with the nodes in the group of that name and in no other; an empty name: in none."""
    moved = set(nodes)
    groups = []
    for group in drawing.groups:
        left = tuple(node for node in group.nodes if NodeId(*node) not in moved)
        if group.name == name:
            left = (*left, *nodes)
        if left:
            groups.append(msgspec.structs.replace(group, nodes=left))
    if name and nodes and all(group.name != name for group in drawing.groups):
        groups.append(NodeGroup(name=name, nodes=tuple(nodes)))
    return msgspec.structs.replace(drawing, groups=tuple(groups))


def rename_group(drawing: DrawingChanged, name: str, new: str) -> DrawingChanged:
    """Return the drawing with a group renamed; into the name of another one, both become one.

    An empty new name dissolves it.
    """
    group = next((each for each in drawing.groups if each.name == name), None)
    if group is None:
        return drawing
    if not new or any(each.name == new for each in drawing.groups if each is not group):
        return put_in_group(drawing, [NodeId(*node) for node in group.nodes], new)
    renamed = msgspec.structs.replace(group, name=new)
    return msgspec.structs.replace(drawing, groups=tuple(renamed if each is group else each for each in drawing.groups))


def name_trouble(text: str) -> str:
    """Return what is wrong with a group's name; empty if it can be used."""
    return f"At most {_MAX_NAME} characters." if len(text.strip()) > _MAX_NAME else ""


def add_groups(drawing: DrawingChanged, found: Sequence[Sequence[tuple[int, int]]]) -> DrawingChanged:
    """Return the drawing with these groups of nodes that have none yet, called alike 1, alike 2 and so on."""
    number = 1
    for nodes in found:
        free = [NodeId(*node) for node in nodes if group_of(drawing, NodeId(*node)) is None]
        if len(free) < 2:
            continue
        while any(group.name == f"alike {number}" for group in drawing.groups):
            number += 1
        drawing = put_in_group(drawing, free, f"alike {number}")
    return drawing


def toggle_pin(drawing: DrawingChanged, node: NodeId) -> DrawingChanged:
    """Return the drawing with the node pinned, or no longer pinned."""
    pins = {NodeId(*each) for each in drawing.pinned} ^ {node}
    return msgspec.structs.replace(drawing, pinned=tuple(tuple(each) for each in sorted(pins)))


def step_least(drawing: DrawingChanged, by: int) -> DrawingChanged:
    """Return the drawing with the next higher (1) or lower (-1) threshold."""
    above = [step for step in LEAST_STEPS if step > drawing.least]
    below = [step for step in LEAST_STEPS if step < drawing.least]
    least = (above[0] if above else drawing.least) if by > 0 else (below[-1] if below else 0.0)
    return msgspec.structs.replace(drawing, least=least)


def _has(node: NodeId, edges: Sequence[WeightedEdge]) -> bool:
    return any(node in edge.nodes for edge in edges)
