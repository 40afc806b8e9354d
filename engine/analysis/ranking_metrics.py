"""Four metrics of how well a ranking picks out the true items. Plain Python, so every package can use it."""

from collections.abc import Sequence

import msgspec

from engine.analysis.ranking import auc


class RankingQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How well one ranking of heads or edges finds the ones in the circuit."""

    auc: float
    """Probability that a true item outranks a false one; .5 is chance."""
    average_precision: float
    """Mean precision at every true item; the share of true items is chance."""
    precision_at_size: float
    """Precision among as many of the best as there are true items."""
    f1: float
    """The largest F1 of any cut of the ranking; the cut is chosen with the ground truth."""


QUALITIES: tuple[str, ...] = RankingQuality.__struct_fields__


def quality(strengths: Sequence[float], truth: Sequence[bool]) -> RankingQuality | None:
    """Return all four metrics; None if all items are true or none is.

    Equal strengths have no order: AUC counts their pairs half, a cut takes all of them or none, and at the circuit's
    size they count by the share of them that is true.
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
    """Return (number of items, number of true items) for each strength, the strongest first."""
    found: dict[float, tuple[int, int]] = {}
    for strength, true in zip(strengths, truth, strict=True):
        n, hits = found.get(strength, (0, 0))
        found[strength] = n + 1, hits + true
    return [found[strength] for strength in sorted(found, reverse=True)]
