"""Nodes as they are named on the command line: 9.6 (head 6 of layer 9), m8 (MLP of layer 8), emb (the embedding)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.nodes import NodeId

_LONGEST = 12
"""Characters of a node's name."""
_LIST = "Heads are written layer.head: 2.3,4.1; MLPs m2, the embedding emb (not in runs of --nodes heads)."


def parse_nodes(text: str, option: str) -> "tuple[NodeId, ...]":
    """Return the nodes of a list like 2.3,4.1,m2, each once, in order.

    `option`: the one that was given, for errors. Raises ConfigError for an empty list and for what is not a node.
    """
    from engine.errors import ConfigError

    found: dict[NodeId, None] = {}
    for word in text.replace(",", " ").split():
        node = _node(word)
        if node is None:
            raise ConfigError(f"{option}: {word[:40]!r} is not a head, an MLP or emb.", hint=_LIST)
        found[node] = None
    if not found:
        raise ConfigError(f"{option} names no head.", hint=_LIST)
    return tuple(found)


def parse_edges(text: str, option: str) -> "tuple[tuple[NodeId, NodeId], ...]":
    """Return the edges of a list like 2.3:4.1,emb:m0, each once, in order. Raises ConfigError like `parse_nodes`."""
    from engine.errors import ConfigError

    found: dict[tuple[NodeId, NodeId], None] = {}
    for word in text.replace(",", " ").split():
        ends = [_node(end) for end in word.split(":")]
        if len(ends) != 2 or ends[0] is None or ends[1] is None:
            raise ConfigError(
                f"{option}: {word[:40]!r} is not an edge.", hint="Edges are written source:target: 2.3:4.1, emb:m0."
            )
        found[ends[0], ends[1]] = None
    if not found:
        raise ConfigError(f"{option} names no edge.", hint="Edges are written source:target: 2.3:4.1, emb:m0.")
    return tuple(found)


def parse_one_node(text: str) -> "NodeId":
    """Return the node that is written so. Raises ConfigError."""
    from engine.errors import ConfigError

    node = _node(text.strip())
    if node is None:
        raise ConfigError(
            f"{text[:40]!r} is not a head, an MLP or emb.",
            hint="Heads are written layer.head, for example 9.6, MLPs m9, the embedding emb.",
        )
    return node


def _node(word: str) -> "NodeId | None":
    from engine.nodes import parse_node

    return parse_node(word) if word.isascii() and len(word) <= _LONGEST else None
