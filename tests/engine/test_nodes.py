"""Names of nodes, and their order in arrays and in the forward pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import NoSuchNode
from engine.nodes import EMBEDDING, NodeId, NodeLayout, mlp, parse_node

layouts = st.builds(
    NodeLayout,
    n_layers=st.integers(1, 6),
    n_heads=st.integers(1, 6),
    choice=st.sampled_from(["all", "heads"]),
    parallel=st.booleans(),
)


def test_nodes_are_written_as_in_the_literature() -> None:
    assert [str(node) for node in (NodeId(9, 6), mlp(8), EMBEDDING)] == ["9.6", "m8", "emb"]
    assert [node.kind for node in (NodeId(9, 6), mlp(8), EMBEDDING)] == ["head", "mlp", "embedding"]


@given(layouts)
def test_every_node_has_one_name_and_one_place(layout: NodeLayout) -> None:
    assert len(layout.ids) == len(set(layout.ids)) == layout.n_nodes
    assert [layout.index(node) for node in layout.ids] == list(range(layout.n_nodes))
    assert all(parse_node(str(node)) == node and node in layout for node in layout.ids)
    assert NodeLayout.of(layout.ids, parallel=layout.parallel) == layout
    # Heads are where they are in a run without MLPs.
    heads = NodeLayout(n_layers=layout.n_layers, n_heads=layout.n_heads)
    assert layout.ids[: heads.n_nodes] == heads.ids
    assert [node for node in layout.ids if node.is_head] == list(heads.ids)


@given(layouts)
def test_the_forward_pass_decides_who_can_read_whom(layout: NodeLayout) -> None:
    place = dict(zip(layout.ids, layout.order, strict=True))
    for one in layout.ids:
        for other in layout.ids:
            if one.kind == "embedding":
                expected = other.kind != "embedding"
            elif other.kind == "embedding":
                expected = False
            elif one.layer == other.layer:
                expected = one.is_head and other.kind == "mlp" and not layout.parallel
            else:
                expected = one.layer < other.layer
            assert (place[one] < place[other]) == expected, (one, other)


@pytest.mark.parametrize("text", ["m", "9.", "-1.0", "m-1", "embed", "9.6.1", "\u0662.\u0661x", ""])
def test_other_texts_are_no_nodes(text: str) -> None:
    assert parse_node(text) is None


def test_a_node_that_is_not_there_is_refused_with_what_is() -> None:
    whole = NodeLayout(n_layers=4, n_heads=8, choice="all")
    with pytest.raises(NoSuchNode, match=r"Node 'm4' does not exist: layers are 0-3, heads 0-7, MLPs m0-m3") as refusal:
        whole.check(mlp(4))
    assert "m8 (MLP of layer 8) or emb" in refusal.value.hint
    heads = NodeLayout(n_layers=4, n_heads=8)
    with pytest.raises(NoSuchNode, match="'m3' is not in this run, which has heads only") as refusal:
        heads.check(mlp(3))
    assert "--nodes all" in refusal.value.hint
    with pytest.raises(NoSuchNode, match=r"Head '4\.0' does not exist"):
        heads.check(NodeId(4, 0))
    for wrong in ((4, 0), (0, 8), (-1, 0), (-2, -1), (0, -2), (4, -1)):
        assert wrong not in whole
