"""How many pairs and label shuffles a run needs before one head alone can stand above chance among all."""

import math

LEVEL = 0.05
"""q below which a head stands above chance."""
LEAST_SHUFFLES = 1_000
MOST_SHUFFLES = 1 << 15
"""Of a run that names no number: enough for 1,600 heads. More cost more than they tell."""


def labellings_needed(n_heads: int) -> int:
    """Ways of labelling the examples without which no head alone reaches q < LEVEL: p is at least one of so many, and
    q is p times the number of heads (Benjamini and Hochberg 1995)."""
    return math.ceil(n_heads / LEVEL)


def pairs_needed(n_heads: int) -> int:
    """Pairs with so many labellings: n pairs have 2 ** (n - 1) ways, as exchanging all sides changes nothing."""
    return 1 + math.ceil(math.log2(max(1, labellings_needed(n_heads)) + 1))


def shuffles_for(asked: int | None, n_heads: int) -> int:
    """How often labels are shuffled: as often as was asked, else as there are ways of labelling as many pairs as are
    needed, so that of such a set every way is taken and p-values are exact."""
    if asked is not None:
        return asked
    return min(MOST_SHUFFLES, max(LEAST_SHUFFLES, 1 << (pairs_needed(n_heads) - 1)))
