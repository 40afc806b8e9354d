"""Compare codes with baselines that need no SAE: AUCs of both and an interval of their difference."""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from engine.analysis.ranking import circuit_by_rank, strengths
from engine.measures import DEFAULT_MEASURE, MEASURES, value_of
from engine.results import CardBaseline, Difference, NodeScores, Resampled

BASELINES = tuple(measure for measure in MEASURES if measure.baseline)
RANDOM = "baseline_random"
_RESAMPLES = 300
Truth = Sequence[bool | None]
"""Per node whether it moves the answer; None: the ground truth does not say."""
_TAIL = 0.025


def compare_baselines(
    nodes: Sequence[NodeScores], inside: Sequence[NodeScores], areas: dict[str, float | None]
) -> tuple[CardBaseline, ...]:
    """Return each baseline's overlap with the circuit and its AUC. `areas`: AUC by measure id."""
    circuit = {node.id for node in inside}
    found = []
    for measure in BASELINES:
        if all(value_of(node, measure) is None for node in nodes):
            continue
        best = set(circuit_by_rank(nodes, len(inside), measure))
        shared = len(best & circuit) / max(1, len(best | circuit))
        found.append(CardBaseline(measure=measure.id, shared=round(shared, 4), auc=areas.get(measure.id)))
    return tuple(found)


def strongest_baseline(
    nodes: Sequence[NodeScores],
    codes_auc: float | None,
    baselines: Sequence[CardBaseline],
    truth: Truth | None,
    resampled: Sequence[Resampled],
) -> Difference | None:
    """Return the baseline that finds the heads better than the codes do, with the interval of the difference.

    The best baseline whose interval is above 0, else the best one. None where no baseline is better or no ground truth
    is known. The random baseline is never a rival, even where it is lucky.
    """
    if codes_auc is None or truth is None:
        return None
    better = [each for each in baselines if each.measure != RANDOM and (each.auc or 0.0) > codes_auc]
    found = [_difference(nodes, each.measure, truth, resampled) for each in better]
    return max(found, key=lambda each: (each.low > 0, each.mean), default=None)


def _difference(nodes: Sequence[NodeScores], measure: str, truth: Truth, resampled: Sequence[Resampled]) -> Difference:
    """Return AUC of a baseline minus AUC of the codes, by the basic bootstrap (Davison and Hinkley 1997, 5.2).

    Every resample draws true heads, false heads and one of the run's bootstrap draws of the examples, with replacement;
    both rankings use the same draw. Only heads are drawn for runs without stored draws and for baselines that have
    none.
    """
    measures = {each.id: each for each in MEASURES}
    whole = [strengths(nodes, DEFAULT_MEASURE), strengths(nodes, measures[measure])]
    ranks = {each.measure: each.ranks for each in resampled}
    n = len(nodes)
    n_draws = min((len(ranks.get(name, b"")) // n for name in (DEFAULT_MEASURE.id, measure)), default=0)
    draws = [
        [ranks[name][draw * n : (draw + 1) * n] for name in (DEFAULT_MEASURE.id, measure)] for draw in range(n_draws)
    ]
    true = [row for row in range(n) if truth[row]]
    false = [row for row in range(n) if truth[row] is False]
    found = _area_difference(whole, true, false)
    source = random.Random(f"rivals/{measure}")  # for a bootstrap, not for security
    samples = sorted(
        _area_difference(
            source.choice(draws) if draws else whole,
            source.choices(true, k=len(true)),
            source.choices(false, k=len(false)),
        )
        for _ in range(_RESAMPLES)
    )
    tail = int(_TAIL * _RESAMPLES)
    return Difference(
        measure=measure,
        mean=round(found, 4),
        low=round(2 * found - samples[-1 - tail], 4),
        high=round(2 * found - samples[tail], 4),
    )


def _area_difference(rankings: Sequence[Sequence[float]], true: Sequence[int], false: Sequence[int]) -> float:
    codes, other = (_area(values, true, false) for values in rankings)
    return other - codes


def _area(values: Sequence[float], true: Sequence[int], false: Sequence[int]) -> float:
    """Return the AUC of the drawn rows; ties count half."""
    below = sorted(values[row] for row in false)
    hits = sum(bisect_left(below, values[row]) + bisect_right(below, values[row]) for row in true)
    return hits / (2 * len(true) * len(false))
