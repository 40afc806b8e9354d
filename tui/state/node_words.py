"""What to call the nodes of a run: heads, or heads and MLPs."""

from collections.abc import Iterable

from engine.nodes import NodeId


def node_noun(count: int, *, others: bool) -> str:
    """Return head, heads, node or nodes. `others`: True if there are MLPs."""
    return ("node" if others else "head") + ("" if count == 1 else "s")


def name_node(node: NodeId) -> str:
    """Return a node's name with what it is: head 9.6, MLP m8, the embedding."""
    match node.kind:
        case "head":
            return f"head {node}"
        case "mlp":
            return f"MLP {node}"
        case "embedding":
            return "the embedding"


def members_of(nodes: Iterable[NodeId]) -> frozenset[NodeId]:
    """Return the nodes that a circuit can list: all but the embedding, which is in every circuit."""
    return frozenset(node for node in nodes if node.in_circuits)
