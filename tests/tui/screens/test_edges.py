"""Test the edges screen: positions of heads in the drawing, and its keys."""

import itertools
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.events import EdgesAttributed, EdgesScored, Scored
from engine.nodes import EMBEDDING, NodeId, NodeLayout, mlp
from engine.results import EdgeEffect, EdgeScore, NodeEffect
from sessions.events import DrawingChanged, NodeGroup
from sessions.protocol import AlikeGroup
from tui.screens.edges import EdgesScreen
from tui.state import edges_state
from tui.state.circuit_layout import LABEL_WIDTH, CircuitLayout, lay_out
from tui.state.inactive_heads import idle_heads
from tui.state.weighted_edges import WeightedEdge
from tui.widgets.braille import BrailleCanvas

from ...run_parts import effects_measured

ENDS = st.tuples(st.integers(0, 7), st.integers(0, 11))
EDGES = st.lists(st.tuples(ENDS, ENDS).filter(lambda pair: pair[0][0] < pair[1][0]), unique=True, max_size=30).map(
    lambda pairs: tuple(EdgeScore(source=a, target=b, score=1.0) for a, b in pairs)
)


@given(EDGES, st.integers(10, 120), st.integers(4, 40))
def test_every_head_has_a_place_of_its_own(edges: tuple[EdgeScore, ...], width: int, height: int) -> None:
    layout = lay_out(edges, width, height)
    assert set(layout.nodes) == {NodeId(*end) for edge in edges for end in (edge.source, edge.target)}
    lines = {int(label): line for label, line in layout.layers}
    for head, (x, y) in layout.nodes.items():
        assert y == lines[head.layer]
        assert 0 <= x < layout.width
        assert 0 <= y < layout.height
    for layer in lines:
        row = sorted(x for head, (x, _) in layout.nodes.items() if head.layer == layer)
        assert all(b - a > LABEL_WIDTH for a, b in pairwise(row))
    assert all(a < b for a, b in pairwise(lines.values()))


def test_neighbours_are_put_below_each_other() -> None:
    pairs = [((0, 0), (1, 2)), ((0, 1), (1, 1)), ((0, 2), (1, 0))]
    nodes = lay_out(tuple(EdgeScore(source=a, target=b, score=1.0) for a, b in pairs), 60, 12).nodes
    assert all(nodes[NodeId(*a)][0] == nodes[NodeId(*b)][0] for a, b in pairs)


def cells_of(layout: CircuitLayout, number: int, *, dashed: bool = False) -> set[tuple[int, int]]:
    """The cells that an edge's line is drawn in."""
    canvas = BrailleCanvas(layout.width, layout.height)
    canvas.route(layout.routes[number], "accent", dashed=dashed)
    places = itertools.product(range(layout.width), range(layout.height))
    return {place for place in places if canvas.cell(*place)[0] != " "}


def label_cells(layout: CircuitLayout, signs: str = "◆") -> dict[tuple[int, int], NodeId]:
    """Whose label is on a cell, every label as long as it can be."""
    found: dict[tuple[int, int], NodeId] = {}
    for head, (_, y) in layout.nodes.items():
        start, length = layout.label_start(head, len(f"[{head}{signs}]")), len(f"[{head}{signs}]")
        mine = {(x, y): head for x in range(start, start + length)}
        assert not mine.keys() & found.keys(), "two labels on one cell"
        assert layout.nodes[head] in mine
        found |= mine
    return found


FAR_ENDS = st.tuples(st.integers(0, 39), st.integers(0, 127))
FAR_PAIRS = st.tuples(FAR_ENDS, FAR_ENDS).filter(lambda pair: pair[0][0] < pair[1][0])
FAR_EDGES = st.lists(FAR_PAIRS, unique=True, max_size=24).map(
    lambda pairs: tuple(EdgeScore(source=a, target=b, score=1.0) for a, b in pairs)
)


@st.composite
def graphs(draw: Any) -> dict[str, Any]:
    """Edges among heads, MLPs and the embedding along the forward pass, with nodes alone and nodes in groups."""
    parallel = draw(st.booleans())
    layout = NodeLayout(n_layers=0, n_heads=0, choice="all", parallel=parallel)
    layers, heads = draw(st.sampled_from([(3, 4), (8, 12), (30, 9)]))
    node = st.builds(NodeId, st.integers(0, layers - 1), st.integers(0, heads - 1))
    node = st.one_of(node, st.builds(mlp, st.integers(0, layers - 1)), st.just(EMBEDDING))
    pair = st.tuples(node, node).filter(lambda ends: layout.place(ends[0]) < layout.place(ends[1]))
    pairs = draw(st.lists(pair, unique=True, max_size=24))
    there = sorted({end for ends in pairs for end in ends})
    shuffled = draw(st.permutations(there))
    cut = draw(st.integers(0, len(there)))
    return {
        "edges": tuple(WeightedEdge(source, target, 1.0) for source, target in pairs),
        "parallel": parallel,
        "alone": tuple(draw(st.lists(node, unique=True, max_size=3))),
        "groups": tuple(group for group in (tuple(shuffled[:cut]), tuple(shuffled[cut:])) if group),
        "signs": 2,
    }


PLAIN = st.builds(lambda edges: {"edges": edges}, EDGES | FAR_EDGES)


@settings(deadline=None, max_examples=120)
@given(PLAIN | graphs(), st.integers(10, 120), st.integers(4, 40), st.booleans())
def test_no_line_touches_the_label_of_a_node_it_does_not_join(
    graph: dict[str, Any], width: int, height: int, dashed: bool
) -> None:
    layout = lay_out(width=width, height=height, **graph)
    labels = label_cells(layout, "◆•a" if "signs" in graph else "◆")
    assert set(graph.get("alone", ())) <= set(layout.nodes)
    for number, edge in enumerate(layout.edges):
        cells = cells_of(layout, number)
        ends = {NodeId(*edge.source), NodeId(*edge.target)}
        assert {labels[cell] for cell in cells if cell in labels} == ends
        assert {layout.nodes[end] for end in ends} <= cells
        assert {y for _, y in cells} == set(range(layout.nodes[NodeId(*edge.source)][1], 1 + max(y for _, y in cells)))
        if dashed:
            broken = cells_of(layout, number, dashed=True)
            assert broken <= cells
            assert {y for _, y in broken} == {y for _, y in cells}, "it can be followed from line to line"


@settings(deadline=None, max_examples=60)
@given(graphs(), st.integers(40, 120), st.integers(4, 40))
def test_nodes_of_a_group_stand_side_by_side_where_they_share_a_row(
    graph: dict[str, Any], width: int, height: int
) -> None:
    layout = lay_out(width=width, height=height, **graph)
    number = {node: place for place, group in enumerate(graph["groups"]) for node in group}
    for line in {y for _, y in layout.nodes.values()}:
        row = sorted((node for node, (_, y) in layout.nodes.items() if y == line), key=lambda each: layout.nodes[each])
        found = [number.get(node, -1 - place) for place, node in enumerate(row)]
        assert len(list(itertools.groupby(found))) == len(set(found))


def test_an_edge_that_skips_a_layer_passes_beside_its_only_head() -> None:
    pairs = [((3, 8), (10, 1)), ((10, 1), (23, 5)), ((3, 8), (23, 5))]
    edges = tuple(EdgeScore(source=a, target=b, score=1.0) for a, b in pairs)
    layout = lay_out(edges, 80, 20)
    x, y = layout.nodes[NodeId(10, 1)]
    assert list(layout.routes[0]) == [layout.nodes[NodeId(3, 8)], (x, y)]
    passed = layout.routes[2][1]
    assert passed[1] == y
    assert abs(passed[0] - x) > LABEL_WIDTH // 2 + 1
    assert not cells_of(layout, 2) & cells_of(layout, 1) - {
        cell for cell in cells_of(layout, 1) if cell[1] > layout.height - 4
    }, "they meet at the head they share"


def test_rows_of_one_head_do_not_stand_in_one_line() -> None:
    pairs = [((0, 1), (2, 3)), ((5, 1), (7, 3)), ((2, 3), (7, 3))]
    nodes = lay_out(tuple(EdgeScore(source=a, target=b, score=1.0) for a, b in pairs), 80, 20).nodes
    assert len({x for x, _ in nodes.values()}) > 1


def test_idle_heads_are_those_measured_to_move_less_than_a_twentieth(recorded: Any) -> None:
    scored = [event for event in recorded.events() if isinstance(event, Scored)][-1].nodes
    one, two, three, four = (
        replace(scored[0], exact_effect=0.2, attribution=0.01),
        replace(scored[1], exact_effect=0.049, attribution=0.9),
        replace(scored[2], attribution=0.04, combined=0.04),
        scored[3],
    )
    assert idle_heads((one, two, three, four), ()) == {two.id, three.id}
    effects = tuple(NodeEffect(layer=node.layer, head=node.head, effect=0.01) for node in (two, three))
    nats = effects_measured(effects, metric="kl", base=0.0, n_examples=4, passes=1.0)
    assert idle_heads((one, two, three, four), (nats,)) == {one.id, three.id}


def test_a_line_joins_its_ends() -> None:
    canvas = BrailleCanvas(10, 6)
    canvas.line((1, 0), (8, 5), "accent")
    assert canvas.cell(1, 0)[1] == canvas.cell(8, 5)[1] == "accent"
    assert sum(canvas.cell(x, y)[0] != " " for x in range(10) for y in range(6)) >= 8
    assert canvas.cell(9, 0)[0] == " "


SCORED = EdgesScored(
    edges=(
        EdgeScore(source=(0, 1), target=(2, 3), score=6.3),
        EdgeScore(source=(0, 1), target=(4, 0), score=5.0),
        EdgeScore(source=(2, 3), target=(5, 7), score=4.0),
    ),
    n_pairs=960,
)


def with_edges(recorded: Any) -> Any:
    events = recorded.events()
    host = recorded.host()
    host.add(*events[:-2], SCORED, *events[-2:])
    return host


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_the_keys_of_the_edges(size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(with_edges(recorded), size=size) as (app, pilot, until):
        await pilot.press("e")
        await until(lambda: isinstance(app.screen, EdgesScreen) and "6.3" in text_of(app))
        screen = app.screen
        assert all(head in text_of(app) for head in ("0.1", "2.3", "4.0", "5.7"))
        assert "3 of 3 edges" in text_of(app)
        await pilot.press("down", "down", "down")
        assert screen.board.chosen == 2
        await pilot.press("up", "pageup")
        assert screen.board.chosen == 0
        await pilot.press("t", "t", "t", "t")
        await until(lambda: "1 of 3 edges" in text_of(app))
        await pilot.press("T", "pagedown")
        assert (screen.board.drawing.most, screen.board.chosen) == (2, 2)
        await pilot.press(*"HHHHHHHHHHHHHHH")
        far = screen.board.pan
        await pilot.press("H")
        assert screen.board.pan == far, "what is past the end is not counted"
        assert any("The drawing ends" in note.message for note in app._notifications)
        screen.board.pan = (0, 0)
        screen.drawing.paint()
        assert screen.board.pan == (0, 0)
        await pilot.press("c")
        assert screen.board.inside
        assert screen.board.chosen == 0
        await pilot.press("c", "pagedown", "enter")
        await until(lambda: len(app.screen_stack) == 1)
        assert app.state.cursor == NodeId(5, 7)
        await pilot.press("e", "escape")
        await until(lambda: len(app.screen_stack) == 1)


async def test_a_run_without_edges_has_no_such_screen(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, _until):
        await pilot.press("e")
        await pilot.pause()
        assert len(app.screen_stack) == 1


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_edges_between_heads_that_do_nothing_say_so(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    events = recorded.events()
    small = tuple(NodeEffect(layer=a, head=b, effect=0.01) for a, b in ((0, 1), (2, 3)))
    cause = effects_measured((*small, NodeEffect(layer=4, head=0, effect=-1.0)), n_examples=4, passes=1.0)
    host = recorded.host()
    host.add(*events[:-2], SCORED, cause, *events[-2:])
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("e")
        await until(lambda: isinstance(app.screen, EdgesScreen) and "6.3" in text_of(app))
        board = app.screen.board
        known = app.state.view().known
        assert board.idle == {NodeId(0, 1), NodeId(2, 3)} - known
        rows = [line for line in text_of(app).splitlines() if " → " in line]
        assert ["no effect" in row for row in rows] == [NodeId(2, 3) not in known, False, False]
        assert "0.1∅" in rows[0]
        assert "code pairs only on +" in text_of(app)


EFFECTS = EdgesAttributed(
    metric="logit_difference",
    replacement="pair",
    base=4.0,
    n_examples=4,
    edges=(
        EdgeEffect(source=(0, 1), target=(4, 0), effect=-2.0),
        EdgeEffect(source=(2, 3), target=(5, 7), effect=0.4),
        EdgeEffect(source=(1, 1), target=(5, 7), effect=-0.02),
    ),
    n_pairs=960,
    passes=2.0,
)


def drawn_as(host: Any) -> list[DrawingChanged]:
    return [entry.event for entry in host.entries if isinstance(entry.event, DrawingChanged)]


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_edges_are_weighed_pruned_and_pinned(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    events = recorded.events()
    host = recorded.host()
    host.add(*events[:-2], SCORED, EFFECTS, *events[-2:])
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("e", "w")
        await until(lambda: isinstance(app.screen, EdgesScreen) and "answer's change, est." in text_of(app))
        board = app.screen.board
        assert "-.500" in text_of(app), "the effect as a share of the answer"
        assert [(edge.nodes, edge.weight) for edge in board.all] == [
            (((0, 1), (4, 0)), -0.5), (((2, 3), (5, 7)), 0.1), (((1, 1), (5, 7)), -0.005)
        ]  # fmt: skip
        assert "3 of 3 edges by attribution" in text_of(app)
        assert "dashed: the answer grows" in text_of(app) or size[0] == 80
        await pilot.press("minus", "minus")
        await until(lambda: "2 of 3 edges by attribution from .02 of the strongest" in text_of(app))
        await pilot.press("down", "down", "o", "o", "p", "up", "up")
        await until(lambda: "3 of 3 edges" in text_of(app))
        assert "1.1•" in text_of(app)
        assert board.drawing == DrawingChanged(weight="attribution", least=0.02, pinned=((1, 1),))
        await pilot.press("plus", "plus", "plus")
        assert board.drawing.least == 0
        await until(lambda: drawn_as(host)[-1:] == [board.drawing])
        assert not app.state.own_drawings, "the log has what was changed here"
        await pilot.press("down", "down", "p", "w")
        await until(lambda: "code pairs only" in text_of(app))
        await host.tell(DrawingChanged(weight="attribution", most=1))
    assert app.state.shown.drawing.weight == "attribution"


async def test_nodes_are_grouped_named_and_kept(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = with_edges(recorded)
    host.alike = (AlikeGroup(nodes=((0, 1), (2, 3)), agreement=0.8), AlikeGroup(nodes=((4, 0), (5, 7)), agreement=0.5))
    async with open_screen(host, notifications=True) as (app, pilot, until):
        await pilot.press("e")
        await until(lambda: isinstance(app.screen, EdgesScreen))
        board = app.screen.board
        await pilot.press("n")
        await until(lambda: "0.1 is in no group" in text_of(app))
        await pilot.press("g", *"name", "space", *"movers", "enter")
        await until(lambda: "a name movers: 0.1" in text_of(app))
        await pilot.press("G")
        await until(lambda: "1 group of nodes with the same codes" in text_of(app))
        groups = (NodeGroup(name="name movers", nodes=((0, 1),)), NodeGroup(name="alike 1", nodes=((4, 0), (5, 7))))
        assert board.drawing.groups == groups, "a node stays in the group that the user gave it"
        await pilot.press("o", "g", "ctrl+u", *"name", "space", *"movers", "enter")
        await until(lambda: "a name movers: 0.1 2.3" in text_of(app))
        await pilot.press("down", "n", "ctrl+u", *"heads", "enter")
        await until(lambda: "b heads: 4.0 5.7" in text_of(app))
        await until(lambda: drawn_as(host)[-1:] == [board.drawing])
        await pilot.press("n", "ctrl+u", "enter")
        await until(lambda: "b heads" not in text_of(app))
        await pilot.press("g", *["x"] * 41)
        await until(lambda: "At most 40 characters" in text_of(app))


async def test_edges_are_read_and_folded_once_however_often_they_are_drawn(
    recorded: Any, open_screen: Any, text_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With 554 edges it took 3 s to open the screen when every row read all of them again.
    read: list[object] = []
    original = edges_state.weighted_edges

    def counted(*given: Any) -> Any:
        read.append(given)
        return original(*given)

    monkeypatch.setattr(edges_state, "weighted_edges", counted)
    async with open_screen(with_edges(recorded)) as (app, pilot, until):
        await pilot.press("e")
        await until(lambda: isinstance(app.screen, EdgesScreen) and "code pairs only" in text_of(app))
        graph = app.screen.board.graph
        await pilot.press("down", "o", "up", "c", "c")
        await until(lambda: not app.screen.board.inside)
        assert len(read) == 1
        assert app.screen.board.graph.edges == graph.edges


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_a_group_is_folded_into_a_box_and_unfolded(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = with_edges(recorded)
    await host.tell(DrawingChanged(groups=(NodeGroup(name="movers", nodes=((2, 3), (4, 0))),)))
    async with open_screen(host, size=size, notifications=True) as (app, pilot, until):
        await pilot.press("e", "f")
        await until(lambda: "0.1 is in no group" in text_of(app))
        board = app.screen.board
        await pilot.press("o", "f")
        await until(lambda: "(a movers ×2)" in text_of(app))
        # 6.3 + 5 from 0.1 to both members; 2.3 to 5.7.
        assert [(edge.nodes, edge.weight) for edge in board.all] == [
            (((0, 1), (2, 3)), pytest.approx(11.3)), (((2, 3), (5, 7)), 4.0)
        ]  # fmt: skip
        assert "Σ2" in text_of(app)
        assert "a×2" in text_of(app)
        assert "folded" in text_of(app)
        assert str(board.chosen_node) == "2.3"
        assert board.drawing.groups[0].folded
        await until(lambda: drawn_as(host)[-1:] == [board.drawing])
        await pilot.press("g")
        await until(lambda: "unfolds it" in text_of(app))
        await pilot.press("p")
        assert board.drawing.pinned == ((2, 3),)
        await until(lambda: "(a movers ×2•)" in text_of(app))
        await pilot.press("p", "n", "ctrl+u", *"names", "enter")
        await until(lambda: "(a names ×2)" in text_of(app))
        await pilot.press("v")
        await until(lambda: bool(host.of_kind("MeasureRunEffects")))
        (asked,) = host.of_kind("MeasureRunEffects")
        assert set(asked.edges) == {((0, 1), (2, 3)), ((0, 1), (4, 0)), ((2, 3), (5, 7))}, "each edge of a sum alone"
        await pilot.press("f")
        await until(lambda: "(a names" not in text_of(app) and "6.3" in text_of(app))
        assert board.drawing.groups == (NodeGroup(name="names", nodes=((2, 3), (4, 0))),)


async def test_the_drawing_is_written_as_picture_and_graph(
    recorded: Any, open_screen: Any, text_of: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    events = recorded.events()
    host = recorded.host()
    drawing = DrawingChanged(weight="attribution", pinned=((1, 1),), groups=(NodeGroup(name="<m>", nodes=((0, 1),)),))
    host.add(*events[:-2], SCORED, EFFECTS, *events[-2:], drawing)
    async with open_screen(host, notifications=True) as (app, pilot, until):
        await pilot.press("e", "y")
        await until(lambda: "Written: " in text_of(app))
    (svg,), (graph,) = tmp_path.glob("*-edges.svg"), tmp_path.glob("*-edges.graphml")
    root = ElementTree.fromstring(svg.read_text())
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"0.1 a", "4.0", "2.3", "5.7", "1.1", "a  <m>: 0.1"} <= set(texts)
    paths = list(root.iter("{http://www.w3.org/2000/svg}path"))
    assert [path.get("stroke-dasharray") is not None for path in paths] == [False, True, False], "weakest first"
    read = nx.read_graphml(graph)
    assert read.nodes["0.1"]["group"] == "<m>"
    assert "group" not in read.nodes["2.3"]
    assert read.nodes["1.1"]["pinned"] is True
    assert read.edges["0.1", "4.0"]["score"] == 5.0
    assert read.edges["0.1", "4.0"]["attribution"] == -0.5
    assert read.edges["1.1", "5.7"] == {"attribution": -0.005}
