"""The edges: where heads stand in the drawing, and what the keys of the screen do."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import EdgesScored
from engine.results import EdgeScore, HeadId
from tui.layout import NODE_WIDTH, lay_out
from tui.screens.edges import Edges
from tui.widgets.braille import Canvas

ENDS = st.tuples(st.integers(0, 7), st.integers(0, 11))
EDGES = st.lists(st.tuples(ENDS, ENDS).filter(lambda pair: pair[0][0] < pair[1][0]), unique=True, max_size=30).map(
    lambda pairs: [EdgeScore(source=a, target=b, score=1.0) for a, b in pairs]
)


@given(EDGES, st.integers(10, 120), st.integers(4, 40))
def test_every_head_has_a_place_of_its_own(edges: list[EdgeScore], width: int, height: int) -> None:
    layout = lay_out(edges, width, height)
    assert set(layout.nodes) == {HeadId(*end) for edge in edges for end in (edge.source, edge.target)}
    lines = dict(layout.layers)
    for head, (x, y) in layout.nodes.items():
        assert y == lines[head.layer]
        assert 0 <= x < layout.width
        assert 0 <= y < layout.height
    for layer in lines:
        row = sorted(x for head, (x, _) in layout.nodes.items() if head.layer == layer)
        assert all(b - a >= NODE_WIDTH - 1 for a, b in pairwise(row))
    assert all(a < b for a, b in pairwise(lines.values()))


def test_neighbours_are_put_below_each_other() -> None:
    pairs = [((0, 0), (1, 2)), ((0, 1), (1, 1)), ((0, 2), (1, 0))]
    nodes = lay_out([EdgeScore(source=a, target=b, score=1.0) for a, b in pairs], 60, 12).nodes
    assert all(nodes[HeadId(*a)][0] == nodes[HeadId(*b)][0] for a, b in pairs)


def test_a_line_joins_its_ends() -> None:
    canvas = Canvas(10, 6)
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
        await until(lambda: isinstance(app.screen, Edges) and "6.3" in text_of(app))
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
        assert (screen.board.shown, screen.board.chosen) == (2, 2)
        await pilot.press(*"HHHHHHHHHHHHHHH")
        far = screen.board.pan
        await pilot.press("H")
        assert screen.board.pan == far, "what is past the end is not counted"
        assert any("no further" in note.message for note in app._notifications)
        screen.board.pan = (0, 0)
        screen.drawing.paint()
        assert screen.board.pan == (0, 0)
        await pilot.press("c")
        assert screen.board.inside
        assert screen.board.chosen == 0
        await pilot.press("c", "pagedown", "enter")
        await until(lambda: len(app.screen_stack) == 1)
        assert app.bench.cursor == HeadId(5, 7)
        await pilot.press("e", "escape")
        await until(lambda: len(app.screen_stack) == 1)


async def test_a_run_without_edges_has_no_such_screen(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, _until):
        await pilot.press("e")
        await pilot.pause()
        assert len(app.screen_stack) == 1
