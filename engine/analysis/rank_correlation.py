"""Compute rank correlations of two rankings of the same heads in plain Python."""

import math
from collections import Counter
from collections.abc import Sequence


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of every value, from 1; ties share their mean rank."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in range(start, end):
            found[order[place]] = (start + 1 + end) / 2
        start = end
    return found


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's correlation, as Pearson's of the ranks, which handles ties; None for a constant side."""
    a, b = ranks(one), ranks(other)
    n = len(a)
    if n < 2:
        return None
    mean = (n + 1) / 2
    above = math.fsum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    spread_a = math.fsum((x - mean) ** 2 for x in a)
    spread_b = math.fsum((y - mean) ** 2 for y in b)
    if not spread_a or not spread_b:
        return None
    return max(-1.0, min(1.0, above / math.sqrt(spread_a * spread_b)))


def kendall(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Kendall's tau-b (Kendall 1945) in n log n steps (Knight 1966); None for a constant side."""
    n = len(one)
    pairs = n * (n - 1) // 2
    order = sorted(range(n), key=lambda index: (one[index], other[index]))
    tied_one = _tied(one)
    tied_other = _tied(other)
    tied_both = _tied(list(zip(one, other, strict=True)))
    if pairs in (tied_one, tied_other):
        return None
    discordant = _inversions([other[index] for index in order])
    concordant_less = pairs - tied_one - tied_other + tied_both - 2 * discordant
    return concordant_less / math.sqrt((pairs - tied_one) * (pairs - tied_other))


def _tied(values: Sequence[object]) -> int:
    """Return the number of pairs of equal values."""
    return sum(count * (count - 1) // 2 for count in Counter(values).values())


def _inversions(values: list[float]) -> int:
    """Return the number of inverted pairs, counted in a merge sort."""
    if len(values) < 2:
        return 0
    middle = len(values) // 2
    left, right = values[:middle], values[middle:]
    count = _inversions(left) + _inversions(right)
    at, out = 0, 0
    for value in right:
        while at < len(left) and left[at] <= value:
            values[out] = left[at]
            at, out = at + 1, out + 1
        values[out] = value
        out += 1
        count += len(left) - at
    values[out:] = left[at:]
    return count
