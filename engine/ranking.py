"""Ranking heads, cutting circuits and holding them against a known one. Plain Python, so every face can."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence

from engine.measures import DEFAULT_MEASURE, NODE_SCORE, Measure, value_of
from engine.results import Agreement, HeadId, HeadScores


def strength(node: HeadScores, measure: Measure) -> float:
    """The measure turned so that more always speaks for the head; -inf where it does not apply."""
    value = value_of(node, measure)
    if value is None or math.isnan(value):
        return -math.inf
    return value if measure.high_speaks else -value


def ranked(nodes: Sequence[HeadScores], measure: Measure = DEFAULT_MEASURE) -> list[HeadScores]:
    """The heads, best first. Ties go to the head with more unique codes, then to the larger share of positives with
    one, then to the earlier head, so the order is total."""
    return sorted(nodes, key=lambda node: _place(node, measure))


def best_head(nodes: Sequence[HeadScores], measure: Measure = DEFAULT_MEASURE) -> HeadId | None:
    """The first of `ranked`, without ranking the others."""
    first = min(nodes, key=lambda node: _place(node, measure), default=None)
    return first.id if first is not None else None


def default_circuit_size(n_heads_in_all: int) -> int:
    """A tenth of all heads, at least 3: published circuits hold 6 of 32 to 26 of 144."""
    return min(n_heads_in_all, max(3, math.ceil(n_heads_in_all / 10)))


def circuit_by_rank(nodes: Sequence[HeadScores], size: int, measure: Measure = DEFAULT_MEASURE) -> list[HeadId]:
    """The `size` best heads, best first; heads the measure says nothing about never enter."""
    best = ranked(nodes, measure)[:size]
    return [node.id for node in best if strength(node, measure) > -math.inf]


def circuit_by_softmax(
    nodes: Sequence[HeadScores], theta: float | None = None, measure: Measure = NODE_SCORE
) -> list[HeadId]:
    """The heads whose softmax over all heads passes theta (METHOD 5), best first. None: twice the uniform share."""
    if not nodes:
        return []
    strengths = {node.id: strength(node, measure) for node in nodes}
    peak = max(strengths.values())
    if peak == -math.inf:
        return []
    weights = {head: math.exp(value - peak) for head, value in strengths.items()}
    total = sum(weights.values())
    threshold = 2 / len(nodes) if theta is None else theta
    return [node.id for node in ranked(nodes, measure) if weights[node.id] / total >= threshold]


def auc(strengths: Sequence[float], truth: Sequence[bool]) -> float | None:
    """The chance that a true head outranks a false one, ties counted half. None without both kinds."""
    n_true = sum(truth)
    n_false = len(truth) - n_true
    if not n_true or not n_false:
        return None
    order = sorted(strengths)
    rank_sum = 0.0
    for value, true in zip(strengths, truth, strict=True):
        if true:
            # The mean rank of those that are tied with it, ranks counted from 1.
            rank_sum += (bisect_left(order, value) + 1 + bisect_right(order, value)) / 2
    return (rank_sum - n_true * (n_true + 1) / 2) / (n_true * n_false)


def agreement(
    nodes: Sequence[HeadScores],
    circuit: Collection[tuple[int, int]],
    known: Collection[tuple[int, int]],
    measure: Measure = DEFAULT_MEASURE,
) -> Agreement:
    """AUC of the measure, and precision and recall of the circuit, against the known heads.

    Heads it says nothing about (effects that were not measured) take no part in the AUC: they would count as last.
    """
    truth = set(map(tuple, known))
    found = set(map(tuple, circuit))
    hits = len(found & truth)
    told = [(value, node) for node in nodes if (value := strength(node, measure)) > -math.inf]
    return Agreement(
        auc=auc([value for value, _ in told], [(node.layer, node.head) in truth for _, node in told]),
        precision=hits / len(found) if found else None,
        recall=hits / len(truth) if truth else None,
    )


def _place(node: HeadScores, measure: Measure) -> tuple[float, float, float, int, int]:
    return -strength(node, measure), -node.unique_positive, -node.unique_share, node.layer, node.head
