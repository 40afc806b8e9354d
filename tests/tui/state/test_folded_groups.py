"""Test folded groups: sums of edges with sign, boxes in rows of their own, and lines that touch no other label."""

import itertools
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.nodes import NodeId, mlp
from sessions.events import DrawingChanged, NodeGroup
from tui.state.circuit_layout import lay_out
from tui.state.folded_groups import FoldedGraph, fold_by_name, toggle_fold
from tui.state.weighted_edges import WeightedEdge, cut_edges
from tui.widgets.circuit_drawing import upward_signs

from ..screens.test_edges import cells_of, graphs

MOVERS = NodeGroup(name="movers", nodes=((2, 3), (1, 1)), folded=True)
EDGES = (
    WeightedEdge(NodeId(2, 3), mlp(4), -0.5),
    WeightedEdge(NodeId(0, 1), NodeId(2, 3), 0.375),
    WeightedEdge(NodeId(1, 1), mlp(4), -0.25),
    WeightedEdge(NodeId(1, 1), NodeId(2, 3), 0.125),
    WeightedEdge(NodeId(1, 1), NodeId(2, 0), 0.0625),
    WeightedEdge(NodeId(2, 3), NodeId(3, 0), 0.0625),
    WeightedEdge(NodeId(0, 1), NodeId(1, 1), -0.0625),
)
"""Strongest first."""


def test_edges_of_a_folded_group_are_summed_with_sign() -> None:
    graph = FoldedGraph(EDGES, DrawingChanged(groups=(MOVERS,)))
    box = NodeId(1, 1)
    assert graph.edges == (
        WeightedEdge(box, mlp(4), -0.75, 2, False),
        WeightedEdge(NodeId(0, 1), box, 0.3125, 2, True),
        WeightedEdge(box, NodeId(2, 0), 0.0625),
        WeightedEdge(box, NodeId(3, 0), 0.0625),
    )
    assert graph.parts(graph.edges[:1]) == (EDGES[0], EDGES[2])
    assert [graph.name(node) for node in (box, mlp(4))] == ["a×2", "m4"]
    assert [graph.label(node) for node in (box, mlp(4))] == ["a movers ×2", ""]


def test_a_folded_group_without_nodes_as_a_strangers_bundle_may_have_it_is_no_box() -> None:
    graph = FoldedGraph(EDGES, DrawingChanged(groups=(NodeGroup(name="none", nodes=(), folded=True),)))
    assert (graph.edges, graph.groups) == (EDGES, {})


def test_a_box_stands_where_the_least_weight_runs_upward() -> None:
    graph = FoldedGraph(EDGES, DrawingChanged(groups=(MOVERS,)))
    # Below 1.1 (row 3), nothing runs upward; below 2.3 (row 5), the edge to 2.0 would.
    (box,) = graph.boxes(graph.edges, parallel=False)
    assert (box.node, box.row) == (NodeId(1, 1), 3.5)
    back = (*EDGES, WeightedEdge(NodeId(1, 5), NodeId(2, 3), 2.0))
    graph = FoldedGraph(sorted(back, key=lambda edge: -abs(edge.weight)), graph.drawing)
    (box,) = graph.boxes(graph.edges, parallel=False)
    assert box.row == 3.5, "1.5 is in the row above"
    late = (WeightedEdge(NodeId(2, 5), NodeId(3, 3), 2.0), WeightedEdge(NodeId(1, 1), NodeId(2, 0), 1.0))
    wide = DrawingChanged(groups=(NodeGroup(name="x" * 30, nodes=((1, 1), (3, 3)), folded=True),))
    graph = FoldedGraph(late, wide)
    (box,) = graph.boxes(graph.edges, parallel=False)
    assert (box.row, box.width) == (7.5, len("(a xxxxxxxxxxxxx… ×2)"))
    layout = lay_out(graph.edges, 60, 20, boxes=(box,))
    assert layout.upward == {1}
    (((_, y), sign),) = upward_signs(layout).items()
    assert (y, sign) == (layout.nodes[NodeId(2, 0)][1] + 1, "↑")
    there_and_back = FoldedGraph((*late, WeightedEdge(NodeId(2, 0), NodeId(3, 3), 0.5)), wide)
    layout = lay_out(there_and_back.edges, 60, 20, boxes=there_and_back.boxes(there_and_back.edges, parallel=False))
    assert list(upward_signs(layout).values()) == ["↕"]


def test_folding_is_undone_by_the_same_step_and_keeps_the_rest() -> None:
    drawing = DrawingChanged(
        groups=(NodeGroup(name="movers", nodes=MOVERS.nodes), NodeGroup(name="b", nodes=((0, 1),)))
    )
    folded = toggle_fold(drawing, NodeId(2, 3))
    assert folded.groups == (MOVERS, drawing.groups[1])
    assert toggle_fold(folded, NodeId(1, 1)) == drawing
    assert toggle_fold(drawing, NodeId(5, 5)) == drawing
    assert fold_by_name(folded, "movers", folded=True) == folded
    assert fold_by_name(folded, "movers", folded=False) == drawing


def test_a_pinned_member_pins_its_box() -> None:
    drawing = DrawingChanged(weight="exact", most=1, groups=(MOVERS,), pinned=((2, 3), (3, 0)))
    graph = FoldedGraph(EDGES, drawing)
    assert graph.drawing.pinned == ((1, 1), (3, 0))
    assert cut_edges(graph.edges, graph.drawing) == (graph.edges[0], graph.edges[3])


@settings(deadline=None, max_examples=80)
@given(graphs(), st.data(), st.integers(40, 120), st.integers(4, 40))
def test_sums_keep_all_weight_and_lines_touch_no_other_label(
    graph: dict[str, Any], data: Any, width: int, height: int
) -> None:
    weights = [data.draw(st.integers(-8, 8)) / 8 for _ in graph["edges"]]
    edges = tuple(WeightedEdge(*edge.nodes, weight) for edge, weight in zip(graph["edges"], weights, strict=True))
    folds = [data.draw(st.booleans()) for _ in graph["groups"]]
    groups = tuple(
        NodeGroup(name=f"group {n}", nodes=nodes, folded=fold)
        for n, (nodes, fold) in enumerate(zip(graph["groups"], folds, strict=True))
    )
    found = FoldedGraph(edges, DrawingChanged(groups=groups))
    sums: dict[tuple[object, object], float] = defaultdict(float)
    home = {NodeId(*node): n for n, group in enumerate(groups) if group.folded for node in group.nodes}
    for edge in edges:
        ends = tuple(home.get(node, node) for node in edge.nodes)
        if ends[0] != ends[1]:
            sums[ends] += edge.weight
    assert {tuple(home.get(node, node) for node in edge.nodes): edge.weight for edge in found.edges} == sums
    assert {edge.nodes for edge in found.parts(found.edges)} <= {edge.nodes for edge in edges}

    boxes = found.boxes(found.edges, parallel=graph["parallel"], signs=1)
    kept = tuple(group for group, fold in zip(graph["groups"], folds, strict=True) if not fold)
    layout = lay_out(
        found.edges, width, height, parallel=graph["parallel"], groups=kept, signs=graph["signs"], boxes=boxes
    )
    labels: dict[tuple[int, int], NodeId] = {}
    for node, (_, y) in layout.nodes.items():
        label = found.label(node)
        text = f"({label}•)" if label else f"[{node}◆•a]"
        start = layout.label_start(node, len(text))
        mine = {(x, y): node for x in range(start, start + len(text))}
        assert not mine.keys() & labels.keys(), "two labels on one cell"
        labels |= mine
    rows = {node: y for node, (_, y) in layout.nodes.items()}
    for number, edge in enumerate(layout.edges):
        cells = cells_of(layout, number)
        ends = {NodeId(*edge.source), NodeId(*edge.target)}
        assert {labels[cell] for cell in cells if cell in labels} == ends
        assert (number in layout.upward) == (rows[NodeId(*edge.source)] > rows[NodeId(*edge.target)])
    for cell in upward_signs(layout):
        assert cell not in labels
    for one, other in itertools.pairwise(boxes):
        assert rows[one.node] != rows[other.node]
