"""Agreement of nodes: how often they have the same code on the same prompt, above chance (docs/method.md 5)."""

from collections.abc import Collection
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.4
"""Agreement from which two nodes behave alike."""


def agreement(codes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the agreement of every two nodes that share a dictionary, mean over seeds; [node, node].

    `codes` is [seed, example, node]; silence counts as a code. The agreement is Cohen's kappa (1960): the share of
    prompts on which both have the same code, less the share expected of nodes that use their codes as often but
    on unrelated prompts, divided by one less the same. 1: always the same code; 0: chance. A node with one code on
    every prompt agrees with nothing: 0.
    """
    n_seeds, n_examples, n_nodes = codes.shape
    found = np.zeros((n_nodes, n_nodes))
    if not n_examples:
        return found
    for each in codes:
        same = (each[:, :, None] == each[:, None, :]).mean(axis=0)
        alphabet, numbers = np.unique(each, return_inverse=True)
        numbers = numbers.reshape(each.shape)
        shares = np.stack([np.bincount(column, minlength=len(alphabet)) for column in numbers.T]) / n_examples
        chance = shares @ shares.T
        varies = shares.max(axis=1) < 1
        usable = varies[:, None] & varies[None, :]
        found += np.where(usable, (same - chance) / np.where(usable, 1 - chance, 1.0), 0.0)
    return found / n_seeds


def alike_groups(
    agreed: NDArray[np.float64], *, least: float = ALIKE, without: Collection[int] = ()
) -> list[tuple[int, ...]]:
    """Return groups of two or more nodes in which every two agree by `least` or more (complete linkage).

    The largest group comes first. `without`: nodes that are left out.
    """
    groups: list[tuple[int, ...]] = [(node,) for node in range(len(agreed)) if node not in without]
    while True:
        joined = [
            (min(float(agreed[a, b]) for a in one for b in other), one, other) for one, other in combinations(groups, 2)
        ]
        best = max(joined, key=lambda each: each[0], default=None)
        if best is None or best[0] < least:
            break
        groups = [group for group in groups if group not in best[1:]]
        groups.append(tuple(sorted((*best[1], *best[2]))))
    return sorted((group for group in groups if len(group) > 1), key=lambda group: (-len(group), group))
