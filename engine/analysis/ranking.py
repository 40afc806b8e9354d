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
    """The heads, best first. Ties go to the larger total variation, then to the longer contrast (what codes are made
    of), then to the smaller p-value, then to the earlier head, so the order is total; ties of baselines to the earlier
    head alone. Heads that say nothing come last.
    """
    return sorted(nodes, key=lambda node: _place(node, measure))


def best_head(nodes: Sequence[HeadScores], measure: Measure = DEFAULT_MEASURE) -> HeadId | None:
    """The first of `ranked`, without ranking the others."""
    first = min(nodes, key=lambda node: _place(node, measure), default=None)
    return first.id if first is not None else None


def strengths(nodes: Sequence[HeadScores], measure: Measure) -> list[float]:
    """One number per head, in their order, that orders them as the ranking does: what an AUC is computed from.

    Measures of codes have their ties broken as in `ranked`, but for the head's number; heads that tie in all of it stay
    tied, and so do those of which the codes say nothing. Baselines and effects are what they are: breaking their ties
    by what codes are made of would credit them with the codes' work.
    """
    if measure.baseline or measure.cause:
        return [strength(node, measure) for node in nodes]
    nothing = (math.inf, math.inf)
    keys = [_key(node, measure) if speaks(node) else nothing for node in nodes]
    places = {key: float(-place) for place, key in enumerate(sorted(set(keys)))}
    return [
        places[key] if strength(node, measure) > -math.inf else -math.inf for node, key in zip(nodes, keys, strict=True)
    ]


def speaks(node: HeadScores, measure: Measure = DEFAULT_MEASURE) -> bool:
    """Whether the measure finds anything at all in the head: more than the value of a head that says nothing."""
    silent = node.silent >= 1.0 and not (measure.baseline or measure.cause)
    return not silent and strength(node, measure) > (measure.floor if measure.high_speaks else -measure.floor)


def same_score(one: HeadScores, other: HeadScores, measure: Measure = DEFAULT_MEASURE) -> bool:
    """Whether both have the same value of the measure, and say anything at all."""
    both = speaks(one, measure) and speaks(other, measure)
    return both and _rounded(strength(one, measure)) == _rounded(strength(other, measure))


def ties_at_cut(nodes: Sequence[HeadScores], size: int, measure: Measure = DEFAULT_MEASURE) -> int:
    """How many heads have the value of the last one in a circuit of `size`; 0 where all of them are inside.

    Which of them are inside is decided by the contrast's length, not by the measure.
    """
    circuit = circuit_by_rank(nodes, size, measure)
    if not circuit:
        return 0
    by_head = {node.id: node for node in nodes}
    last = by_head[circuit[-1]]
    tied = [node.id for node in nodes if same_score(last, node, measure)]
    return len(tied) if set(tied) - set(circuit) else 0


def default_circuit_size(n_heads_in_all: int) -> int:
    """A tenth of all heads, at least 3: published circuits hold 6 of 32 to 26 of 144."""
    return min(n_heads_in_all, max(3, math.ceil(n_heads_in_all / 10)))


def circuit_by_rank(nodes: Sequence[HeadScores], size: int, measure: Measure = DEFAULT_MEASURE) -> list[HeadId]:
    """The `size` best heads, best first; heads that say nothing by the measure never enter."""
    return [node.id for node in ranked(nodes, measure)[:size] if speaks(node, measure)]


def circuit_by_softmax(
    nodes: Sequence[HeadScores], theta: float | None = None, measure: Measure = NODE_SCORE
) -> list[HeadId]:
    """The heads whose softmax over all heads passes theta (METHOD 5), best first. None: twice the uniform share."""
    if not nodes:
        return []
    found = {node.id: strength(node, measure) for node in nodes}
    peak = max(found.values())
    if peak == -math.inf:
        return []
    weights = {head: math.exp(value - peak) for head, value in found.items()}
    total = sum(weights.values())
    threshold = 2 / len(nodes) if theta is None else theta
    return [
        node.id for node in ranked(nodes, measure) if weights[node.id] / total >= threshold and speaks(node, measure)
    ]


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
    values = zip(strengths(nodes, measure), nodes, strict=True)
    told = [(value, node) for value, node in values if value > -math.inf]
    return Agreement(
        auc=auc([value for value, _ in told], [(node.layer, node.head) in truth for _, node in told]),
        precision=hits / len(found) if found else None,
        recall=hits / len(truth) if truth else None,
    )


_DIGITS = 6
"""Decimals of a score that count: what was summed in another order is the same number."""


def _rounded(value: float) -> float:
    return value if math.isinf(value) else round(value, _DIGITS)


def _key(node: HeadScores, measure: Measure) -> tuple[float, ...]:
    if measure.baseline:  # codes have no say in what needs none
        return -_rounded(strength(node, measure)), 0.0, 0.0, 1.0, 0.0, 0.0
    first = -_rounded(strength(node, measure)) if speaks(node, measure) else math.inf
    if node.contrast_length is None:  # a run from before lengths were kept: as it was ranked then
        return first, 0.0, 0.0, 1.0, -node.unique_positive, -node.unique_share
    variation = -_rounded(strength(node, DEFAULT_MEASURE))
    return first, variation, -node.contrast_length, 1.0 if node.p_value is None else node.p_value, 0.0, 0.0


def _place(node: HeadScores, measure: Measure) -> tuple[tuple[float, ...], int, int]:
    return _key(node, measure), node.layer, node.head
