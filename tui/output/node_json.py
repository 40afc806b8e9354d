"""Nodes in JSON: a head is as it always was, and MLPs and the embedding have null where they have no number.

In lists a node is [layer, head]: [9, 6] a head, [8, null] the MLP of layer 8, [null, null] the embedding. Objects with
`layer` and `head` have in runs with MLPs also `kind` (head, mlp, embedding) and `node` (9.6, m8, emb).
"""

from collections.abc import Collection, Iterable
from typing import Any, TypeGuard

import msgspec

from engine.nodes import NO_HEAD, NO_LAYER, NodeId
from sessions.rows import CircuitRow, NoteRow

_LISTS = frozenset(
    "heads after above_chance dormant circuit_a circuit_b only_a only_b both more_in_a more_in_b".split()  # noqa: SIM905
)
"""Fields that list nodes."""
_ENDS = frozenset(("source", "target"))
"""Fields that are one node."""


def node_pair(node: tuple[int, int]) -> list[int | None]:
    """Return the node as it is in lists."""
    layer, head = node
    return [None if layer == NO_LAYER else layer, None if head == NO_HEAD else head]


def node_pairs(nodes: Collection[tuple[int, int]]) -> list[list[int | None]]:
    """Return the nodes as they are in lists."""
    return [node_pair(node) for node in nodes]


def node_fields(node: NodeId, *, mixed: bool) -> dict[str, object]:
    """Return the fields that say which node an object is about. `mixed`: the run has nodes that are no heads."""
    if not mixed:
        return {"layer": node.layer, "head": node.head}
    layer, head = node_pair(node)
    return {"layer": layer, "head": head, "kind": node.kind, "node": str(node)}


def to_json(value: object, *, mixed: bool) -> Any:
    """Return the value as plain JSON values, as msgspec has them but for its nodes."""
    plain = msgspec.to_builtins(value)
    return _rewritten(plain) if mixed else plain


def notes_json(notes: Iterable[NoteRow]) -> list[Any]:
    """Return notes as JSON; those on an MLP or the embedding have its kind."""
    return [to_json(note, mixed=note.head == NO_HEAD) for note in notes]


def circuits_json(circuits: Iterable[CircuitRow]) -> list[Any]:
    """Return saved circuits as JSON."""
    return [to_json(row, mixed=True) for row in circuits]


def _rewritten(value: object) -> object:
    if isinstance(value, dict):
        found: dict[str, object] = {}
        for name, each in value.items():
            if name in _LISTS and isinstance(each, list | tuple) and all(map(_is_node, each)):
                found[name] = node_pairs(each)
            elif name in _ENDS and _is_node(each):
                found[name] = node_pair(each)
            else:
                found[name] = _rewritten(each)
        layer, head = value.get("layer"), value.get("head")
        if isinstance(layer, int) and isinstance(head, int):
            found |= node_fields(NodeId(layer, head), mixed=True)
        return found
    return [_rewritten(each) for each in value] if isinstance(value, list | tuple) else value


def _is_node(value: object) -> TypeGuard[tuple[int, int]]:
    return isinstance(value, list | tuple) and len(value) == 2 and all(type(part) is int for part in value)
