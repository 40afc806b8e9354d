"""How well numbers pick out the true ones: four measures of one ranking. Plain Python, so every face can."""

from collections.abc import Sequence

import msgspec

from engine.analysis.ranking import auc


class RankingQuality(msgspec.Struct, frozen=True, kw_only=True):
    """One ranking of heads or edges against those that truly belong to the circuit."""

    auc: float
    """The chance that a true one outranks a false one; .5 is chance."""
    average_precision: float
    """Precision at every true one found, averaged; the share of true ones is chance."""
    precision_at_size: float
    """Of as many of the best as there are true ones, the share that is true."""
    f1: float
    """The largest F1 that any cut of the ranking reaches: the best cut is picked with the truth at hand."""


QUALITIES: tuple[str, ...] = RankingQuality.__struct_fields__


def quality(strengths: Sequence[float], truth: Sequence[bool]) -> RankingQuality | None:
    """All four; None where all are true, or none is.

    Equal strengths stand in no order: AUC counts their pairs half, a cut takes all of them or none, and at the
    circuit's size they count by the share of them that is true.
    """
    area = auc(strengths, truth)
    if area is None:
        return None
    size = sum(truth)
    hits = taken = 0
    average, best, at_size = 0.0, 0.0, 0.0
    for n, true in _steps(strengths, truth):
        if taken < size:
            at_size = (hits + true * min(1.0, (size - taken) / n)) / size
        hits, taken = hits + true, taken + n
        average += true / size * hits / taken
        best = max(best, 2 * hits / (taken + size))
    return RankingQuality(auc=area, average_precision=average, precision_at_size=at_size, f1=best)


def _steps(strengths: Sequence[float], truth: Sequence[bool]) -> list[tuple[int, int]]:
    """From the strongest on, for each strength: how many have it, and how many of those are true."""
    found: dict[float, tuple[int, int]] = {}
    for strength, true in zip(strengths, truth, strict=True):
        n, hits = found.get(strength, (0, 0))
        found[strength] = n + 1, hits + true
    return [found[strength] for strength in sorted(found, reverse=True)]
