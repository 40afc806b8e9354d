"""Details of one head beside its measures: leave-one-out scores, codes, edges, and its rank in other runs."""

from collections.abc import Sequence

import msgspec

from engine.analysis.ranking import default_circuit_size, members, ranked
from engine.measures import Measure, value_of
from engine.nodes import NodeId
from engine.results import NO_CODE, EdgeScore, NodeScores

_RANKINGS = 16


class LeaveOneOutScore(msgspec.Struct, frozen=True):
    """The node score with one example left out."""

    example: int
    """Counted from 0."""
    score: int


def leave_one_out(codes: Sequence[int], positive: Sequence[bool]) -> tuple[int, list[LeaveOneOutScore]]:
    """Return the node score of these codes, and every example whose removal changes it, largest change first.

    A positive matters if it alone carries a unique code; a negative matters if it alone carries a code of the
    positives.
    """
    sides: tuple[dict[int, list[int]], dict[int, list[int]]] = ({}, {})
    for index, (code, is_positive) in enumerate(zip(codes, positive, strict=True)):
        if code != NO_CODE:
            sides[0 if is_positive else 1].setdefault(code, []).append(index)
    mine, theirs = sides
    score = len(mine.keys() - theirs.keys())
    changed: dict[int, int] = {}
    for code, carriers in mine.items():
        if code not in theirs and len(carriers) == 1:
            changed[carriers[0]] = changed.get(carriers[0], 0) - 1
    for code, carriers in theirs.items():
        if code in mine and len(carriers) == 1:
            changed[carriers[0]] = changed.get(carriers[0], 0) + 1
    found = [LeaveOneOutScore(example, score + change) for example, change in changed.items()]
    return score, sorted(found, key=lambda each: (-abs(each.score - score), each.example))


class CodeCarriers(msgspec.Struct, frozen=True):
    """A code of a head and the examples that have it."""

    code: int
    examples: tuple[int, ...]
    positive: int
    """How many of the examples are positives."""

    @property
    def negative(self) -> int:
        return len(self.examples) - self.positive

    @property
    def kind(self) -> int:
        """0: only on positives; 1: only on negatives; 2: on both, or no code at all."""
        if self.code == NO_CODE:
            return 2
        return 0 if not self.negative else (1 if not self.positive else 2)


def group_by_code(codes: Sequence[int], positive: Sequence[bool]) -> list[CodeCarriers]:
    """Group the examples by code: codes of positives only, of negatives only, of both, and silence last."""
    carriers: dict[int, list[int]] = {}
    for index, code in enumerate(codes[: len(positive)]):
        carriers.setdefault(code, []).append(index)
    found = [CodeCarriers(code, tuple(each), sum(positive[index] for index in each)) for code, each in carriers.items()]
    return sorted(found, key=lambda row: (row.code == NO_CODE, row.kind, -len(row.examples), row.code))


class HeadEdges(msgspec.Struct, frozen=True):
    """A head's edges among the run's best, strongest first."""

    into: list[tuple[NodeId, float]]
    out: list[tuple[NodeId, float]]


def edges_of(head: NodeId, edges: Sequence[EdgeScore]) -> HeadEdges:
    """Return the edges into and out of the head, in the given order."""
    return HeadEdges(
        [(NodeId(*edge.source), edge.score) for edge in edges if tuple(edge.target) == head],
        [(NodeId(*edge.target), edge.score) for edge in edges if tuple(edge.source) == head],
    )


class HeadInRun(msgspec.Struct, frozen=True):
    """One head's value and rank in one run."""

    number: int
    value: float | None
    rank: int
    """Counted from 1."""
    inside: bool
    """Whether it is in that run's circuit at that run's current cut."""


class RankingCache:
    """Ranks of heads in runs. Caches rankings: every head's page needs them, but a run is ranked once."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, str], tuple[Sequence[NodeScores], dict[NodeId, tuple[int, float | None]]]] = {}

    def of(
        self, head: NodeId, number: int, nodes: Sequence[NodeScores], measure: Measure, cut: int | None
    ) -> HeadInRun | None:
        """Return the head's value and rank in a run with these nodes, or None if it has no such head."""
        key = (id(nodes), measure.id)
        made = self._made.get(key)
        if made is None:
            order = ranked(nodes, measure)
            # The nodes are stored with their ranking, so that no other object can get their id.
            made = nodes, {node.id: (place, value_of(node, measure)) for place, node in enumerate(order)}
            while len(self._made) >= _RANKINGS:
                del self._made[next(iter(self._made))]
            self._made[key] = made
        found = made[1].get(head)
        if found is None:
            return None
        size = default_circuit_size(len(members(nodes))) if cut is None else cut
        return HeadInRun(number, found[1], found[0] + 1, found[0] < size)
