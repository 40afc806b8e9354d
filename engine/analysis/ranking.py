"""Rank heads, cut circuits and compare them with a known one. Plain Python, so every package can use it."""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Sequence

from engine.measures import DEFAULT_MEASURE, NODE_SCORE, Measure, value_of
from engine.nodes import NodeId
from engine.results import Agreement, NodeScores


def strength(node: NodeScores, measure: Measure) -> float:
    """Return the measure's value turned so that more is better; -inf where it does not apply."""
    value = value_of(node, measure)
    if value is None or math.isnan(value):
        return -math.inf
    return value if measure.high_is_evidence else -value


def ranked(nodes: Sequence[NodeScores], measure: Measure = DEFAULT_MEASURE) -> list[NodeScores]:
    """Return the heads, best first.

    Ties go to the larger total variation, then to the longer contrast (which codes are made of), then to the smaller
    p-value, then to the earlier head, so the order is total. Ties of baselines go to the earlier head directly. Heads
    without signal come last, and behind them the embedding, which no circuit lists.

    Measures of codes and baselines are compared among heads and among MLPs, which write vectors of another size and
    have a dictionary of their own; the two orders are merged by their shares, so that a tenth of the ranking is a tenth
    of the heads and a tenth of the MLPs. Effects have one unit and are compared across kinds.
    """
    order = sorted(nodes, key=lambda node: _place(node, measure))
    shares = _shares(order, measure)
    if shares is None:
        return order
    places = sorted(
        range(len(order)),
        key=lambda place: (
            not order[place].id.in_circuits,
            not can_enter(order[place], measure),
            shares[place],
            place,
        ),
    )
    return [order[place] for place in places]


def best_head(nodes: Sequence[NodeScores], measure: Measure = DEFAULT_MEASURE) -> NodeId | None:
    """Return the first head of `ranked` without sorting the others."""
    of_one_kind = [node for node in nodes if node.id.is_head] if not measure.of_answer else nodes
    first = min(of_one_kind or nodes, key=lambda node: _place(node, measure), default=None)
    return first.id if first is not None else None


def members(nodes: Sequence[NodeScores]) -> Sequence[NodeScores]:
    """Return the nodes that a circuit can hold: all but the embedding."""
    return nodes if all(node.id.in_circuits for node in nodes) else [node for node in nodes if node.id.in_circuits]


def can_enter(node: NodeScores, measure: Measure = DEFAULT_MEASURE) -> bool:
    """Return True if a circuit cut by the measure can hold the node."""
    return node.id.in_circuits and has_signal(node, measure)


def strengths(nodes: Sequence[NodeScores], measure: Measure) -> list[float]:
    """Return one number per head, in their order, that orders them as `ranked` does; input for an AUC.

    Ties of measures of codes are broken as in `ranked`, except by the head's number; heads that tie in everything stay
    tied, as do heads whose codes carry nothing. Baselines and effects are used as they are: breaking their ties by what
    codes are made of would credit them with the codes' work. Where heads and MLPs are ranked together by such a
    measure, the numbers are shares (`ranked`).
    """
    own = _own_strengths(nodes, measure)
    order = sorted(range(len(nodes)), key=lambda row: -own[row])
    shares = _shares([nodes[row] for row in order], measure)
    if shares is None:
        return own
    mean: dict[tuple[str, float], list[float]] = {}
    for row, share in zip(order, shares, strict=True):
        mean.setdefault((nodes[row].id.kind, own[row]), []).append(share)
    found = [mean[node.id.kind, value] for node, value in zip(nodes, own, strict=True)]
    return [-sum(tied) / len(tied) if value > -math.inf else value for tied, value in zip(found, own, strict=True)]


def _shares(order: Sequence[NodeScores], measure: Measure) -> list[float] | None:
    """Return for each node of a ranking the share of its kind that comes before it; None to rank all kinds together."""
    counts = Counter(node.id.kind for node in order)
    if measure.of_answer or len(counts) < 2:
        return None
    seen: Counter[str] = Counter()
    shares = []
    for node in order:
        shares.append(seen[node.id.kind] / counts[node.id.kind])
        seen[node.id.kind] += 1
    return shares


def _own_strengths(nodes: Sequence[NodeScores], measure: Measure) -> list[float]:
    if measure.baseline or measure.of_answer:
        return [strength(node, measure) for node in nodes]
    nothing = (math.inf, math.inf)
    keys = [_key(node, measure) if has_signal(node) else nothing for node in nodes]
    places = {key: float(-place) for place, key in enumerate(sorted(set(keys)))}
    return [
        places[key] if strength(node, measure) > -math.inf else -math.inf for node, key in zip(nodes, keys, strict=True)
    ]


def has_signal(node: NodeScores, measure: Measure = DEFAULT_MEASURE) -> bool:
    """Return True if the measure finds anything in the head: its value is better than that of a head without signal."""
    silent = node.silent >= 1.0 and not (measure.baseline or measure.of_answer)
    return not silent and strength(node, measure) > (measure.floor if measure.high_is_evidence else -measure.floor)


def same_score(one: NodeScores, other: NodeScores, measure: Measure = DEFAULT_MEASURE) -> bool:
    """Return True if both heads have the same value of the measure and both have signal."""
    both = has_signal(one, measure) and has_signal(other, measure)
    return both and _rounded(strength(one, measure)) == _rounded(strength(other, measure))


def ties_at_cut(nodes: Sequence[NodeScores], size: int) -> int:
    """Return how many heads tie with the last one of a circuit of `size`; 0 if all of them are inside.

    The contrast's length, not the measure, decides which of them are inside.
    """
    circuit = circuit_by_rank(nodes, size)
    if not circuit:
        return 0
    by_head = {node.id: node for node in nodes}
    last = by_head[circuit[-1]]
    tied = [node.id for node in nodes if same_score(last, node)]
    return len(tied) if set(tied) - set(circuit) else 0


def default_circuit_size(n_members: int) -> int:
    """Return a tenth of all nodes that can be in it, at least 3: published circuits hold 6 of 32 to 26 of 144 heads."""
    return min(n_members, max(3, math.ceil(n_members / 10)))


def circuit_by_rank(nodes: Sequence[NodeScores], size: int, measure: Measure = DEFAULT_MEASURE) -> list[NodeId]:
    """Return the `size` best heads, best first; heads without signal in the measure are left out."""
    return [node.id for node in ranked(nodes, measure)[:size] if can_enter(node, measure)]


def circuit_by_softmax(nodes: Sequence[NodeScores], theta: float | None = None) -> list[NodeId]:
    """Return the heads whose softmax of the node score reaches theta (docs/method.md 5), best first.

    None: twice the uniform share.
    """
    nodes = members(nodes)
    if not nodes:
        return []
    found = {node.id: strength(node, NODE_SCORE) for node in nodes}
    peak = max(found.values())
    if peak == -math.inf:
        return []
    weights = {head: math.exp(value - peak) for head, value in found.items()}
    total = sum(weights.values())
    threshold = 2 / len(nodes) if theta is None else theta
    return [
        node.id
        for node in ranked(nodes, NODE_SCORE)
        if weights[node.id] / total >= threshold and has_signal(node, NODE_SCORE)
    ]


def auc(strengths: Sequence[float], truth: Sequence[bool]) -> float | None:
    """Return the probability that a true head outranks a false one; ties count half. None if either kind is missing."""
    n_true = sum(truth)
    n_false = len(truth) - n_true
    if not n_true or not n_false:
        return None
    order = sorted(strengths)
    rank_sum = 0.0
    for value, true in zip(strengths, truth, strict=True):
        if true:
            # The mean rank of all values tied with it, ranks counted from 1.
            rank_sum += (bisect_left(order, value) + 1 + bisect_right(order, value)) / 2
    return (rank_sum - n_true * (n_true + 1) / 2) / (n_true * n_false)


def agreement(
    nodes: Sequence[NodeScores],
    circuit: Collection[tuple[int, int]],
    known: Collection[tuple[int, int]],
    measure: Measure = DEFAULT_MEASURE,
) -> Agreement:
    """Return AUC of the measure, and precision and recall of the circuit, against the known heads.

    Heads without a value (effects that were not measured) are left out of the AUC: they would count as last. So is the
    embedding.
    """
    nodes = members(nodes)
    truth = set(map(tuple, known))
    found = set(map(tuple, circuit))
    hits = len(found & truth)
    values = zip(strengths(nodes, measure), nodes, strict=True)
    measured = [(value, node) for value, node in values if value > -math.inf]
    return Agreement(
        auc=auc([value for value, _ in measured], [(node.layer, node.head) in truth for _, node in measured]),
        precision=hits / len(found) if found else None,
        recall=hits / len(truth) if truth else None,
    )


_DIGITS = 6
"""Decimals of a score that count: sums taken in another order are equal."""


def _rounded(value: float) -> float:
    return value if math.isinf(value) else round(value, _DIGITS)


def _key(node: NodeScores, measure: Measure) -> tuple[float, ...]:
    if measure.baseline:  # codes do not break ties of a baseline
        return -_rounded(strength(node, measure)), 0.0, 0.0, 1.0, 0.0, 0.0
    first = -_rounded(strength(node, measure)) if has_signal(node, measure) else math.inf
    if node.contrast_length is None:  # an old run without lengths is ranked as it was then
        return first, 0.0, 0.0, 1.0, -node.unique_positive, -node.unique_share
    variation = -_rounded(strength(node, DEFAULT_MEASURE))
    return first, variation, -node.contrast_length, 1.0 if node.p_value is None else node.p_value, 0.0, 0.0


def _place(node: NodeScores, measure: Measure) -> tuple[bool, tuple[float, ...], int, int]:
    return not node.id.in_circuits, _key(node, measure), node.layer, node.head
