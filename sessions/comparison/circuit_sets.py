"""Circuits as sets of nodes: union, intersection, difference, and how much two have in common."""

from collections.abc import Collection

from engine.nodes import NodeId


def union(*circuits: Collection[tuple[int, int]]) -> tuple[NodeId, ...]:
    """Return the nodes in any of them, in order of appearance, each once."""
    return tuple(dict.fromkeys(NodeId(*head) for circuit in circuits for head in circuit))


def intersection(first: Collection[tuple[int, int]], *others: Collection[tuple[int, int]]) -> tuple[NodeId, ...]:
    """Return the nodes in all of them, in the order of the first."""
    others_sets = [set(map(tuple, other)) for other in others]
    return tuple(head for head in union(first) if all(tuple(head) in other for other in others_sets))


def subtract(first: Collection[tuple[int, int]], *others: Collection[tuple[int, int]]) -> tuple[NodeId, ...]:
    """Return the nodes of the first that are in none of the others, in order."""
    removed = set(union(*others))
    return tuple(head for head in union(first) if head not in removed)


def jaccard(one: Collection[tuple[int, int]], other: Collection[tuple[int, int]]) -> float | None:
    """Return nodes in both over nodes in either; None if both are empty."""
    either = union(one, other)
    return len(intersection(one, other)) / len(either) if either else None
