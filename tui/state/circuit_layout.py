"""Layout of a circuit drawing: layers are rows, and edges run around other nodes' labels.

An MLP that reads its layer's heads has a row below theirs, the embedding one above all. An edge that skips rows gets a
place of its own in every row between (Sugiyama's method): it passes beside the labels and never looks like a chain
through another node. Lines may cross between two rows.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import msgspec

from engine.nodes import NodeId, NodeLayout
from tui.state.weighted_edges import JoinedNodes

LABEL_WIDTH = 8
"""Minimum columns of a label: [23.12◆]."""
ROW_HEIGHT = 3
"""Minimum lines from one row of nodes to the next; lines slant between rows."""
_SWEEPS = 8
_PULLS = 6
_OWN_PLACE, _LINE_PLACE = 0.5, 0.2
"""Weight of an item's evenly spaced place in its column, for heads and for passing lines; neighbours get the rest."""

Point = tuple[int, int]
"""Column and line."""
_Item = tuple[float, int, int]
"""A node (row, head, -1), or the place where an edge, by its number, passes a row (row, -1, edge)."""


class Box(msgspec.Struct, frozen=True):
    """A node that stands for a group: it has a row of its own, and a label of its own width."""

    node: NodeId
    row: float
    """Between those of nodes (NodeLayout.place), and no other box's."""
    width: int
    """Columns of its label with its frame."""


class CircuitLayout(msgspec.Struct, frozen=True):
    """Positions in columns and lines; the drawing may be larger than the available room."""

    width: int
    height: int
    nodes: dict[NodeId, Point]
    """The centre of each node."""
    edges: tuple[JoinedNodes, ...]
    routes: tuple[tuple[Point, ...], ...]
    """The path of each edge downward: the centre of its upper end, its points in the rows between, the other end."""
    layers: tuple[tuple[str, int], ...]
    """The label of each row, with its line: the layer, or empty for a row of an MLP or a box, which say so."""
    upward: frozenset[int] = frozenset()
    """Numbers of the edges whose target is the upper end: from or to a box, whose members stand in several layers."""

    def label_start(self, head: NodeId, length: int) -> int:
        """Return the column at which a label of that length starts."""
        return max(0, min(self.nodes[head][0] - length // 2, self.width - length))


@lru_cache(maxsize=4)
def lay_out(
    edges: tuple[JoinedNodes, ...],
    width: int,
    height: int,
    *,
    parallel: bool = False,
    alone: tuple[NodeId, ...] = (),
    groups: tuple[tuple[NodeId, ...], ...] = (),
    signs: int = 0,
    boxes: tuple[Box, ...] = (),
) -> CircuitLayout:
    """Lay out the nodes of these edges in rows by layer, as large as the room or, if that is too small, larger.

    `parallel`: MLPs do not read their layer's heads (NodeLayout.parallel) and stand in their row. `alone`: nodes that
    are drawn with or without edges. `groups`: nodes that stand side by side where they share a row. `signs`: columns
    that a label may need beside its node's name and its frame. `boxes`: nodes that stand for groups.
    """
    heads = sorted({NodeId(*end) for edge in edges for end in (edge.source, edge.target)} | set(alone))
    forward = NodeLayout(n_layers=0, n_heads=0, parallel=parallel)
    row_of: dict[NodeId, float] = {head: forward.place(head) for head in heads}
    row_of |= {box.node: box.row for box in boxes if box.node in row_of}
    layers = sorted(set(row_of.values()))
    if not layers:
        return CircuitLayout(width, height, {}, (), (), ())
    rows: dict[float, list[_Item]] = {
        layer: [(layer, head.head, -1) for head in heads if row_of[head] == layer] for layer in layers
    }
    ways: list[tuple[_Item, ...]] = []
    for number, edge in enumerate(edges):
        upper, lower = sorted((NodeId(*edge.source), NodeId(*edge.target)), key=row_of.__getitem__)
        passed = [(layer, -1, number) for layer in layers if row_of[upper] < layer < row_of[lower]]
        for item in passed:
            rows[item[0]].append(item)
        ways.append(((row_of[upper], upper.head, -1), *passed, (row_of[lower], lower.head, -1)))
    beside = _neighbours(ways)
    group_of = {
        (row_of[node], node.head, -1): number for number, group in enumerate(groups) for node in group if node in row_of
    }
    _untangle(rows, layers, beside, group_of)
    half = max(LABEL_WIDTH, *(len(f"[{head}◆]") + signs for head in heads)) // 2 + 1
    wider = {(box.row, box.node.head, -1): box.width // 2 + 1 for box in boxes}
    columns, drawing_width = _columns(rows, layers, beside, _Halves(half, wider), width)
    drawing_height = max(height, ROW_HEIGHT * (len(layers) - 1) + 1)
    lines = {
        layer: round(place * (drawing_height - 1) / (len(layers) - 1)) if len(layers) > 1 else drawing_height // 2
        for place, layer in enumerate(layers)
    }
    at = {item: (columns[item], lines[item[0]]) for row in rows.values() for item in row}
    return CircuitLayout(
        drawing_width,
        drawing_height,
        {head: at[row_of[head], head.head, -1] for head in heads},
        edges,
        tuple(tuple(at[item] for item in way) for way in ways),
        tuple((_label(layer, heads, row_of), line) for layer, line in lines.items()),
        frozenset(
            number for number, edge in enumerate(edges) if row_of[NodeId(*edge.source)] > row_of[NodeId(*edge.target)]
        ),
    )


def _label(row: float, heads: Sequence[NodeId], row_of: Mapping[NodeId, float]) -> str:
    return next((str(head.layer) for head in heads if row_of[head] == row and head.is_head and row == int(row)), "")


def _neighbours(ways: Sequence[tuple[_Item, ...]]) -> dict[_Item, tuple[list[_Item], list[_Item]]]:
    """Return for each item the items it is connected to in the row above and in the row below."""
    beside: dict[_Item, tuple[list[_Item], list[_Item]]] = {}
    for way in ways:
        for upper, lower in pairwise(way):
            beside.setdefault(upper, ([], []))[1].append(lower)
            beside.setdefault(lower, ([], []))[0].append(upper)
    return beside


def _untangle(
    rows: dict[float, list[_Item]],
    layers: Sequence[float],
    beside: Mapping[_Item, tuple[list[_Item], list[_Item]]],
    group_of: Mapping[_Item, int],
) -> None:
    """Order each row by the mean position of its neighbours, sweeping down and up (Sugiyama's barycentres).

    The nodes of a group stand together, where the mean of all of them is.
    """
    where = {item: (place + 0.5) / len(row) for row in rows.values() for place, item in enumerate(row)}
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            row, side = rows[layer], 0 if down else 1
            pull = {item: _mean([where[other] for other in _beside(item, beside)[side]], where[item]) for item in row}
            members: dict[int, list[float]] = {}
            for item in row:
                if item in group_of:
                    members.setdefault(group_of[item], []).append(pull[item])
            ordered = {
                item: (_mean(members.get(group_of.get(item, -1), []), pull[item]), group_of.get(item, -1), pull[item])
                for item in row
            }
            row.sort(key=lambda item: (ordered[item], item))
            where.update({item: (place + 0.5) / len(row) for place, item in enumerate(row)})


def _columns(
    rows: Mapping[float, list[_Item]],
    layers: Sequence[float],
    beside: Mapping[_Item, tuple[list[_Item], list[_Item]]],
    half: "_Halves",
    width: int,
) -> tuple[dict[_Item, int], int]:
    """Return the column of every item and the width of the drawing.

    Neighbours pull; the items of a row keep their order and enough distance that no line touches a label.
    """
    offsets: dict[float, list[int]] = {}
    for layer, row in rows.items():
        found = [0]
        for one, other in pairwise(row):
            found.append(found[-1] + half.of(one) + half.of(other))
        offsets[layer] = found
    ends = {layer: (half.of(row[0]), half.of(row[-1])) for layer, row in rows.items()}
    width = max(width, *(ends[layer][0] + offsets[layer][-1] + ends[layer][1] for layer in layers))
    even: dict[_Item, float] = {}
    for place, layer in enumerate(layers):
        row = rows[layer]
        heads = [item for item in row if item[2] < 0]
        # Rows of one head each would form one straight line, like a chain: alternate rows are shifted aside.
        aside = (-1) ** place * width / 8 if len(heads) == 1 and len(layers) > 2 else 0.0
        for nth, item in enumerate(row):
            even[item] = width * (nth + 0.5) / len(row) + (aside if item[2] < 0 else 0.0)
    at: dict[_Item, float] = dict(even)
    for pull in range(_PULLS):
        for layer in layers if pull % 2 == 0 else reversed(layers):
            row = rows[layer]
            wanted = []
            for item in row:
                above, below = _beside(item, beside)
                drawn = _mean([at[other] for other in (*above, *below)], at[item])
                own = _OWN_PLACE if item[2] < 0 else _LINE_PLACE
                wanted.append(own * even[item] + (1 - own) * drawn)
            lowest, highest = ends[layer][0], width - ends[layer][1] - offsets[layer][-1]
            free = _rising([want - offset for want, offset in zip(wanted, offsets[layer], strict=True)])
            for item, found_at, offset in zip(row, free, offsets[layer], strict=True):
                at[item] = min(max(found_at, lowest), highest) + offset
    columns = {}
    for layer, row in rows.items():
        for item, offset in zip(row, offsets[layer], strict=True):
            # Rounded without the offset, distances stay whole numbers of columns.
            columns[item] = round(at[item] - offset) + offset
    return columns, width


def _beside(item: _Item, beside: Mapping[_Item, tuple[list[_Item], list[_Item]]]) -> tuple[list[_Item], list[_Item]]:
    """Return what the item is connected to above and below; nothing for a node without edges."""
    return beside.get(item, ([], []))


def _rising(wanted: Sequence[float]) -> list[float]:
    """Return the nearest non-decreasing sequence (least squares: neighbours out of order share their mean)."""
    blocks: list[tuple[float, int]] = []
    for value in wanted:
        block = (value, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, count = blocks.pop()
            total = count + block[1]
            block = ((mean * count + block[0] * block[1]) / total, total)
        blocks.append(block)
    return [mean for mean, count in blocks for _ in range(count)]


class _Halves(msgspec.Struct, frozen=True):
    """The columns that items need on each side of their centres: a label, or a line with some space."""

    label: int
    wider: dict[_Item, int]

    def of(self, item: _Item) -> int:
        return self.wider.get(item, self.label) if item[2] < 0 else 1


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
