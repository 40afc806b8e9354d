"""Where nodes are in the grid, and on the screen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.geometry import Offset, Size

from engine.errors import ConfigError, NoSuchNode
from engine.nodes import EMBEDDING, NodeId, format_count, mlp
from tui.state.grid_places import GridPlaces
from tui.state.node_words import name_node
from tui.state.parsing import read_node
from tui.widgets.grid_geometry import GAP, GridGeometry
from tui.widgets.heat_cell import CellSize

GRIDS = st.builds(GridPlaces, st.integers(1, 40), st.integers(1, 40), st.booleans())
CELLS = st.sampled_from([CellSize(2, 1), CellSize(3, 1), CellSize(5, 2), CellSize(7, 3)])


@given(GRIDS)
def test_every_node_has_a_place_and_every_place_a_node(places: GridPlaces) -> None:
    assert all(places.node(*places.place(node)) == node for node in places.layout.ids)
    assert {places.node(row, column) for row in range(places.rows) for column in range(places.columns)} == set(
        places.layout.ids
    )
    assert set(places.box(places.layout.ids[0], places.layout.ids[-1])) <= set(places.layout.ids)


@given(GRIDS, CELLS, st.integers(0, 60), st.integers(0, 60), st.data())
def test_a_click_on_what_is_drawn_of_a_node_finds_it(
    places: GridPlaces, cell: CellSize, x: int, y: int, data: st.DataObject
) -> None:
    """However far the grid is scrolled, and also for the embedding, which does not scroll sideways."""
    geometry, room = GridGeometry(places, cell), Size(80, 24)
    node = data.draw(st.sampled_from(places.layout.ids))
    offset = Offset(*geometry.scroll_to(node, room, Offset(x, y)))
    region = geometry.regions(node, room, offset)[0]
    assert region.width > 0
    assert geometry.node_at(max(region.x, geometry.label_width), max(region.y, 1), offset) == node
    assert geometry.node_at(region.right - 1, region.bottom - 1, offset) == node
    rows, columns = geometry.in_sight(room, offset)
    assert places.place(node)[0] in rows
    assert node == EMBEDDING or places.place(node)[1] in columns


def test_mlps_are_set_apart_and_a_grid_of_heads_is_as_it_was() -> None:
    heads, every = (GridGeometry(GridPlaces(4, 8, others), CellSize(7, 3)) for others in (False, True))
    assert heads.label_width == 3
    assert heads.size == Size(3 + 8 * 7, 1 + 4 * 3)
    assert every.size == Size(5 + 8 * 7 + GAP + 7, 1 + 5 * 3)
    assert every.node_at(5 + 8 * 7, 4, Offset(0, 0)) is None
    assert every.node_at(5 + 8 * 7 + GAP, 4, Offset(0, 0)) == mlp(0)
    assert every.labelled(5 + 8 * 7 + GAP, 0, Offset(0, 0)) == tuple(map(mlp, range(4)))
    assert every.labelled(0, 4, Offset(0, 0)) == (*(NodeId(0, head) for head in range(8)), mlp(0))
    assert every.labelled(0, 1, Offset(0, 0)) == (EMBEDDING,)


READABLE = {"m3": mlp(3), " M0 ": mlp(0), "mlp 2": mlp(2), "emb": EMBEDDING, "Embedding": EMBEDDING, "L3H7": (3, 7)}


@pytest.mark.parametrize(("text", "node"), READABLE.items())
def test_nodes_are_read(text: str, node: NodeId) -> None:
    assert read_node(text, GridPlaces(4, 8, others=True)) == node


def test_what_is_no_node_of_the_run_is_named_with_the_way_out() -> None:
    every, heads = GridPlaces(4, 8, others=True), GridPlaces(4, 8)
    with pytest.raises(NoSuchNode, match="Node 'm4' does not exist: layers are 0-3"):
        read_node("m4", every)
    for text in ("m3", "emb"):
        with pytest.raises(NoSuchNode, match=f"'{text}' is not in this run") as caught:
            read_node(text, heads)
        assert "--nodes all" in caught.value.hint
    with pytest.raises(ConfigError, match="'x' is not a node") as wrong:
        read_node("x", every)
    assert "m1" in wrong.value.hint


def test_kinds_are_counted_and_named() -> None:
    assert format_count(()) == "0 heads"
    assert format_count([NodeId(1, 2)]) == "1 head"
    assert format_count([NodeId(1, 2), NodeId(1, 3), mlp(1)]) == "2 heads and 1 MLP"
    assert format_count([NodeId(1, 2), mlp(0), mlp(1), EMBEDDING]) == "1 head, 2 MLPs and the embedding"
    assert [name_node(node) for node in (NodeId(9, 6), mlp(8), EMBEDDING)] == ["head 9.6", "MLP m8", "the embedding"]
