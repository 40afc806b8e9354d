"""Where the nodes of a run are in the grid: heads by layer, MLPs in a column of their own, the embedding in a row."""

from collections.abc import Sequence

import msgspec

from engine.nodes import EMBEDDING, NodeId, NodeLayout, mlp
from engine.results import NodeScores

Place = tuple[int, int]
"""Row and column, both counted from 0."""


class GridPlaces(msgspec.Struct, frozen=True):
    """Rows and columns of a grid. A run with heads alone has a row per layer and a column per head.

    One with MLPs has one more column, the last; and one more row, the first, whose only cell is the embedding.
    """

    n_layers: int = 0
    n_heads: int = 0
    """Of a layer."""
    others: bool = False
    """True if MLPs and the embedding are in the grid, too."""

    @property
    def rows(self) -> int:
        return self.n_layers + self.first_layer

    @property
    def columns(self) -> int:
        return self.n_heads + int(self.others)

    @property
    def first_layer(self) -> int:
        """The row of layer 0."""
        return int(self.others)

    @property
    def layout(self) -> NodeLayout:
        """The same nodes as the engine orders them."""
        return NodeLayout(n_layers=self.n_layers, n_heads=self.n_heads, choice="all" if self.others else "heads")

    def __contains__(self, node: object) -> bool:
        return node in self.layout

    def place(self, node: NodeId) -> Place:
        """Return the node's row and column; the embedding's column is 0."""
        if node.kind == "embedding":
            return 0, 0
        return node.layer + self.first_layer, node.head if node.is_head else self.n_heads

    def node(self, row: int, column: int) -> NodeId:
        """Return the node nearest to a place: any column of the embedding's row is the embedding."""
        row = min(max(row, 0), max(self.rows - 1, 0))
        column = min(max(column, 0), max(self.columns - 1, 0))
        if row < self.first_layer:
            return EMBEDDING
        layer = row - self.first_layer
        return NodeId(layer, column) if column < self.n_heads else mlp(layer)

    def in_row(self, row: int) -> tuple[NodeId, ...]:
        """Return the nodes of a row: a layer's, or the embedding."""
        if row < self.first_layer:
            return (EMBEDDING,)
        return tuple(self.node(row, column) for column in range(self.columns))

    def in_column(self, column: int) -> tuple[NodeId, ...]:
        """Return the nodes of a column: a head of every layer, or all MLPs."""
        return tuple(self.node(row, column) for row in range(self.first_layer, self.rows))

    def box(self, one: NodeId, other: NodeId) -> frozenset[NodeId]:
        """Return the nodes of the box with these corners."""
        corners = (self.place(one), self.place(other))
        rows, columns = (sorted(corner[axis] for corner in corners) for axis in (0, 1))
        return frozenset(
            self.node(row, column)
            for row in range(rows[0], rows[1] + 1)
            for column in range(columns[0], columns[1] + 1)
        )


def places_of(nodes: Sequence[NodeScores]) -> GridPlaces:
    """Return the places of a run's nodes, which are sorted as in NodeLayout."""
    if not nodes:
        return GridPlaces()
    return GridPlaces(nodes[-1].layer + 1, max(node.head for node in nodes) + 1, not nodes[-1].id.is_head)
