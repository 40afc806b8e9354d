"""The nodes of a model: its attention heads, its MLPs (one per layer) and its embedding."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Literal, NamedTuple

import msgspec

from engine.errors import NoSuchNode

NodeKind = Literal["head", "mlp", "embedding"]
NodeChoice = Literal["all", "heads"]

NO_HEAD = -1
"""Stands where a head's number would be: an MLP and the embedding have none."""
NO_LAYER = -1
"""Stands where the embedding's layer would be."""
_COUNTED: tuple[tuple[NodeKind, str], ...] = (("head", "head"), ("mlp", "MLP"))
_WRITTEN = re.compile(r"(\d+)\.(\d+)|m(\d+)|emb")


class NodeId(NamedTuple):
    """A node's layer and head, both counted from 0. Written 9.6 (head 6 of layer 9), m8 (MLP of layer 8), emb."""

    layer: int
    head: int

    @property
    def kind(self) -> NodeKind:
        return "embedding" if self.layer == NO_LAYER else "mlp" if self.head == NO_HEAD else "head"

    @property
    def is_head(self) -> bool:
        return self.head != NO_HEAD

    @property
    def in_circuits(self) -> bool:
        """True if the node can be in a circuit. The embedding is in every circuit, unlisted: prompts begin with it."""
        return self.layer != NO_LAYER

    def __str__(self) -> str:
        match self.kind:
            case "head":
                return f"{self.layer}.{self.head}"
            case "mlp":
                return f"m{self.layer}"
            case "embedding":
                return "emb"


EMBEDDING = NodeId(NO_LAYER, NO_HEAD)


def mlp(layer: int) -> NodeId:
    """Return the MLP of a layer."""
    return NodeId(layer, NO_HEAD)


def names(nodes: Iterable[tuple[int, int]]) -> list[str]:
    """Return the nodes as they are written: 9.6, m8, emb."""
    return [str(NodeId(*node)) for node in nodes]


def only_heads(nodes: Iterable[tuple[int, int]]) -> bool:
    """Return True if all of the nodes are heads; then texts speak of heads, otherwise of nodes."""
    return all(NodeId(*node).is_head for node in nodes)


def format_count(nodes: Iterable[tuple[int, int]]) -> str:
    """Count the nodes of each kind: 1 head; 4 heads; 3 heads and 1 MLP; 3 heads, 1 MLP and the embedding."""
    kinds = Counter(NodeId(*node).kind for node in nodes)
    if not kinds.keys() - {"head"}:
        return f"{kinds['head']} head{'s' * (kinds['head'] != 1)}"
    parts = [f"{kinds[kind]} {word}{'s' * (kinds[kind] != 1)}" for kind, word in _COUNTED if kinds[kind]]
    parts += ["the embedding"] * kinds["embedding"]
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def parse_node(text: str) -> NodeId | None:
    """Return the node that is written so (9.6, m8, emb); None if it is not a node."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    layer, head, of_mlp = found.groups()
    if of_mlp is not None:
        return mlp(int(of_mlp))
    return EMBEDDING if layer is None else NodeId(int(layer), int(head))


class NodeLayout(msgspec.Struct, frozen=True, dict=True):
    """The order of nodes in arrays: all heads, layer by layer; then, if `choice` is all, the embedding and the MLPs.

    So the heads of a run with MLPs are where they are in a run without.
    """

    n_layers: int
    n_heads: int
    """Of a layer."""
    choice: NodeChoice = "heads"
    parallel: bool = False
    """True if MLPs read the stream before their layer's heads have written to it (GPT-J, GPT-NeoX, Falcon)."""

    @property
    def n_heads_in_all(self) -> int:
        return self.n_layers * self.n_heads

    @property
    def n_outputs(self) -> int:
        """Nodes that are no heads: the embedding and the MLPs, or none."""
        return 1 + self.n_layers if self.choice == "all" else 0

    @property
    def n_nodes(self) -> int:
        return self.n_heads_in_all + self.n_outputs

    @cached_property
    def ids(self) -> tuple[NodeId, ...]:
        """All nodes, in the order of arrays."""
        heads = [NodeId(layer, head) for layer in range(self.n_layers) for head in range(self.n_heads)]
        others = [EMBEDDING, *map(mlp, range(self.n_layers))] if self.choice == "all" else []
        return (*heads, *others)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The place of each node in the forward pass: a node can read those of lower places, and no others."""
        return tuple(map(self.place, self.ids))

    @cached_property
    def n_members(self) -> int:
        """How many nodes can be in a circuit."""
        return sum(node.in_circuits for node in self.ids)

    @property
    def members(self) -> str:
        """Say how many nodes can be in a circuit: 32 heads, or 32 heads and 4 MLPs."""
        heads = f"{self.n_heads_in_all} head{'' if self.n_heads_in_all == 1 else 's'}"
        mlps = f" and {self.n_layers} MLP{'' if self.n_layers == 1 else 's'}"
        return heads + (mlps if self.choice == "all" else "")

    @property
    def of_a_layer(self) -> str:
        """Say what a layer has: 8 heads, or 8 heads and MLPs, as in 4 layers x 8 heads and MLPs."""
        return f"{self.n_heads} heads{' and MLPs' if self.choice == 'all' else ''}"

    def place(self, node: NodeId) -> int:
        """Return the node's place in the forward pass (`order`)."""
        if node.kind == "embedding":
            return 0
        return 1 + 2 * node.layer + int(node.kind == "mlp" and not self.parallel)

    def index(self, node: NodeId) -> int:
        """Return the node's index in arrays. The node has to be in the layout (`has`)."""
        return node.layer * self.n_heads + node.head if node.is_head else self.n_heads_in_all + 1 + node.layer

    def has(self, node: NodeId) -> bool:
        """Return True if the layout has the node."""
        if node.is_head:
            return 0 <= node.layer < self.n_layers and 0 <= node.head < self.n_heads
        return self.choice == "all" and node.head == NO_HEAD and NO_LAYER <= node.layer < self.n_layers

    @classmethod
    def of(cls, nodes: Collection[NodeId], *, parallel: bool = False) -> "NodeLayout":
        """Return the layout of a run with these nodes."""
        return cls(
            n_layers=1 + max((node.layer for node in nodes), default=-1),
            n_heads=1 + max((node.head for node in nodes), default=-1),
            choice="heads" if all(node.is_head for node in nodes) else "all",
            parallel=parallel,
        )

    def check(self, node: NodeId) -> None:
        """Raise NoSuchNode if the layout does not have the node."""
        if not self.has(node):
            raise NoSuchNode(str(node), self.n_layers, self.n_heads, mlps=self.choice == "all")

    def __contains__(self, node: object) -> bool:
        return isinstance(node, tuple) and len(node) == 2 and self.has(NodeId(*node))
