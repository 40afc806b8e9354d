"""A circuit laid out for drawing: heads as nodes, layers as rows, edges as lines that cross as little as may be."""

from collections.abc import Sequence

import msgspec

from engine.results import EdgeScore, HeadId

NODE_WIDTH = 9
"""Columns a node needs with some air around it."""
ROW_HEIGHT = 4
"""Lines from one row of nodes to the next, at the least."""
_SWEEPS = 8


class Layout(msgspec.Struct, frozen=True):
    """Where everything stands, in columns and lines of a drawing that may be larger than the room."""

    width: int
    height: int
    nodes: dict[HeadId, tuple[int, int]]
    """The middle of each node: column, line."""
    edges: tuple[EdgeScore, ...]
    layers: tuple[tuple[int, int], ...]
    """Each layer that has nodes, and its line."""


def lay_out(edges: Sequence[EdgeScore], width: int, height: int) -> Layout:
    """The heads of these edges in rows by layer, as wide and high as the room or, where that is too small, larger."""
    rows: dict[int, list[HeadId]] = {}
    for head in sorted({HeadId(*end) for edge in edges for end in (edge.source, edge.target)}):
        rows.setdefault(head.layer, []).append(head)
    if not rows:
        return Layout(width, height, {}, (), ())
    layers = sorted(rows)
    _untangle(rows, layers, edges)
    drawing_width = max(width, NODE_WIDTH * max(map(len, rows.values())))
    drawing_height = max(height, ROW_HEIGHT * (len(layers) - 1) + 1)
    nodes: dict[HeadId, tuple[int, int]] = {}
    lines: list[tuple[int, int]] = []
    for place, layer in enumerate(layers):
        y = round(place * (drawing_height - 1) / max(len(layers) - 1, 1)) if len(layers) > 1 else drawing_height // 2
        lines.append((layer, y))
        share = drawing_width / len(rows[layer])
        for column, head in enumerate(rows[layer]):
            nodes[head] = (int(share * (column + 0.5)), y)
    return Layout(drawing_width, drawing_height, nodes, tuple(edges), tuple(lines))


def _untangle(rows: dict[int, list[HeadId]], layers: Sequence[int], edges: Sequence[EdgeScore]) -> None:
    """Orders every row by where its neighbours stand on average, down and up by turns (Sugiyama's barycentres)."""
    beside: dict[HeadId, list[HeadId]] = {}
    for edge in edges:
        source, target = HeadId(*edge.source), HeadId(*edge.target)
        beside.setdefault(source, []).append(target)
        beside.setdefault(target, []).append(source)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            where = {head: (place + 0.5) / len(row) for row in rows.values() for place, head in enumerate(row)}
            pull = {
                head: [where[other] for other in beside[head] if (other.layer < layer) is down] or [where[head]]
                for head in rows[layer]
            }
            rows[layer].sort(key=lambda head: (sum(pull[head]) / len(pull[head]), head))
