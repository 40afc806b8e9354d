"""What to call the nodes of a run: heads, or heads and MLPs."""

from collections.abc import Iterable

from engine.nodes import NodeId


def count_nodes(nodes: Iterable[tuple[int, int]]) -> str:
    """Say how many nodes of each kind there are: 5 heads, or 4 heads, 2 MLPs, the embedding."""
    kinds = [NodeId(*node).kind for node in nodes]
    heads, mlps = kinds.count("head"), kinds.count("mlp")
    words = [f"{heads} head{'' if heads == 1 else 's'}"] if heads or not kinds else []
    words += [f"{mlps} MLP{'' if mlps == 1 else 's'}"] if mlps else []
    words += ["the embedding"] if "embedding" in kinds else []
    return ", ".join(words) if len(words) > 2 else " and ".join(words)


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
