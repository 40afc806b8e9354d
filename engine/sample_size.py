"""The number of pairs and label permutations that a run needs for a single head to be significant."""

import math

LEVEL = 0.05
"""q below which a head is significant."""
LEAST_SHUFFLES = 1_000
MOST_SHUFFLES = 1 << 15
"""Default maximum: enough for 1,600 heads. More cost more than they are worth."""


def labellings_needed(n_heads: int) -> int:
    """Return the label permutations needed for a single head to reach q < LEVEL.

    p is at least 1 over their number, and q is p times the number of heads (Benjamini and Hochberg 1995).
    """
    return math.ceil(n_heads / LEVEL)


def pairs_needed(n_heads: int) -> int:
    """Return the pairs with as many permutations: n pairs have 2 ** (n - 1), as swapping all sides changes nothing."""
    return 1 + math.ceil(math.log2(max(1, labellings_needed(n_heads)) + 1))


def shuffles_for(asked: int | None, n_heads: int) -> int:
    """Return the number of label permutations: `asked`, else as many as the needed number of pairs has.

    For a set of that many pairs all permutations are used, and p-values are exact.
    """
    if asked is not None:
        return asked
    return min(MOST_SHUFFLES, max(LEAST_SHUFFLES, 1 << (pairs_needed(n_heads) - 1)))
