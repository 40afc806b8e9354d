"""Nodes and edges as tables for other tools: the same columns for CSV, JSON and Parquet."""

import csv
import io
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.measures import NUMBERS, number_of
from engine.nodes import NodeId, only_heads
from engine.results import EdgeScore, NodeScores
from tui.output.node_json import node_pair

if TYPE_CHECKING:
    from sessions.protocol import TableColumn

Cell = bool | int | float | str | None


class ExportTable(msgspec.Struct, frozen=True, kw_only=True):
    """Columns with their kind (whole, number, yes, text) and rows of plain values; None where one does not apply."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]

    def csv(self) -> str:
        """Return the table as CSV with a header; cells without a value are empty, booleans are true and false."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([name for name, _ in self.columns])
        writer.writerows([[_format_cell(cell) for cell in row] for row in self.rows])
        return out.getvalue()

    def json(self, about: dict[str, object]) -> str:
        """Return one JSON object: the fields of `about`, then the rows as objects under the table's name."""
        names = [name for name, _ in self.columns]
        rows = [dict(zip(names, row, strict=True)) for row in self.rows]
        return msgspec.json.format(msgspec.json.encode({**about, self.name: rows}), indent=2).decode() + "\n"

    def wire_columns(self) -> "tuple[TableColumn, ...]":
        from sessions.protocol import TableColumn

        return tuple(TableColumn(name=name, kind=kind) for name, kind in self.columns)  # type: ignore[arg-type]


def heads_table(nodes: Sequence[NodeScores], circuit: Collection[tuple[int, int]]) -> ExportTable:
    """Return one row per node, by layer: every measure, and whether the node is in the circuit.

    If the run looked at MLPs and the embedding, every row says its kind and name.
    """
    inside = set(map(tuple, circuit))
    mixed = not only_heads(node.id for node in nodes)
    about = (("layer", "whole"), ("head", "whole"), *((("kind", "text"), ("node", "text")) if mixed else ()))
    columns = (*about, *((name, "number") for name in NUMBERS), ("in_circuit", "yes"))
    rows = tuple(
        (
            *node_pair(node.id),
            *((node.id.kind, str(node.id)) if mixed else ()),
            *(_number(number_of(node, name)) for name in NUMBERS),
            (node.layer, node.head) in inside,
        )
        for node in sorted(nodes, key=lambda node: (node.layer, not node.id.is_head, node.head))
    )
    return ExportTable(name="heads", columns=columns, rows=rows)


def edges_table(edges: Sequence[EdgeScore], *, mixed: bool = False) -> ExportTable:
    """Return one row per edge, best first: as many as a run stores (engine.results.n_edges_reported).

    `mixed`: the run looked at MLPs and the embedding; then every row says kind and name of both ends.
    """
    names = ("source_layer", "source_head", "target_layer", "target_head")
    more = ("source_kind", "source_node", "target_kind", "target_node") if mixed else ()
    columns = (
        ("place", "whole"),
        *((name, "whole") for name in names),
        ("score", "number"),
        *((name, "text") for name in more),
    )
    rows = tuple(
        (
            place,
            *node_pair(edge.source),
            *node_pair(edge.target),
            _number(edge.score),
            *(text for end in (edge.source, edge.target) for text in _kind_and_name(end) if mixed),
        )
        for place, edge in enumerate(edges, start=1)
    )
    return ExportTable(name="edges", columns=columns, rows=rows)


def _kind_and_name(node: tuple[int, int]) -> tuple[str, str]:
    return NodeId(*node).kind, str(NodeId(*node))


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _format_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    return str(cell).lower() if isinstance(cell, bool) else repr(cell)
