"""Nodes as people write them on the command line."""

import pytest

from engine.errors import ConfigError
from engine.nodes import EMBEDDING, NodeId, mlp
from tui.commands.node_names import parse_nodes, parse_one_node


def test_nodes_are_read_once_each_and_in_their_order() -> None:
    assert parse_nodes("4.1, 2.3,4.1", "--heads") == (NodeId(4, 1), NodeId(2, 3))
    assert parse_nodes("m8,emb 9.6,m8", "--heads") == (mlp(8), EMBEDDING, NodeId(9, 6))


@pytest.mark.parametrize(
    "text", ["", ",", "9", "a.b", "9.x", "1.-2", "-1.2", "1,2", "1.2.3", "９.9", "²", "1.2x", "m", "M8", "embed"]
)
def test_what_is_no_node_is_refused_with_the_option_that_named_it(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--after") as refused:
        parse_nodes(text, "--after")
    assert "m2" in refused.value.hint


def test_one_node_is_one() -> None:
    assert [parse_one_node(text) for text in (" 9.6", "m0 ", "emb")] == [NodeId(9, 6), mlp(0), EMBEDDING]
    with pytest.raises(ConfigError, match=r"'9.6,9.7' is not a head"):
        parse_one_node("9.6,9.7")
