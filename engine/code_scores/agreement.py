"""Agreement of nodes: whether their codes tell the same prompts apart, above chance (docs/method.md 5)."""

from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.4
"""Agreement from which two nodes behave alike."""
_REPEATS = 0.1
"""Least agreement of a node with itself under another seed: below it, its codes are too random to compare."""


def agreement(codes: NDArray[np.integer], dictionary: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the agreement of every two nodes: the larger of `same_codes` and `same_sorting`; [node, node].

    `codes` is [seed, example, node]; silence counts as a code. `dictionary` is [node]: nodes of one number share a
    dictionary, so that the same code means the same.
    """
    found = np.maximum(same_codes(codes), 0.0) * (dictionary[:, None] == dictionary[None, :])
    return np.maximum(found, same_sorting(codes))


def same_codes(codes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return how often two nodes have the same code on the same prompt, as Cohen's kappa (1960); [node, node].

    The share of prompts with the same code, less the share expected of nodes that use their codes as often but on
    unrelated prompts, divided by one less the same; mean over seeds. 1: always the same code; 0: chance. A node with
    one code on every prompt agrees with nothing: 0.
    """
    n_seeds, n_examples, n_nodes = codes.shape
    found = np.zeros((n_nodes, n_nodes))
    if not n_examples:
        return found
    for each in codes:
        same = np.stack([(each == column[:, None]).mean(axis=0) for column in each.T])
        alphabet, numbers = np.unique(each, return_inverse=True)
        counts = [np.bincount(column, minlength=len(alphabet)) for column in numbers.reshape(each.shape).T]
        shares = np.stack(counts) / n_examples
        varies = shares.max(axis=1) < 1
        found += _ratio(same - shares @ shares.T, 1 - shares @ shares.T, varies[:, None] & varies[None, :])
    return found / n_seeds


def same_sorting(codes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return how alike two nodes sort the prompts, whatever the numbers of their codes; [node, node].

    The adjusted Rand index (Hubert and Arabie 1985) of one node's codes under one seed and the other's under another,
    mean over pairs of seeds, divided by the geometric mean of what each node reaches with itself (Spearman's
    correction for attenuation, 1904). 1: as alike as a node is to itself, at most; 0: chance, or a node whose codes do
    not repeat from seed to seed. With one seed nothing can repeat, and all is 0.
    """
    n_seeds, n_examples, n_nodes = codes.shape
    first, second = np.triu_indices(n_examples, k=1)
    if n_seeds < 2 or not len(first):
        return np.zeros((n_nodes, n_nodes))
    # Whether each two prompts share a code; [pair of prompts, node].
    shared = [(each[first] == each[second]).astype(np.float32) for each in codes]
    pairs = list(permutations(range(n_seeds), 2))
    index = np.mean([_rand_index(shared[one], shared[other]) for one, other in pairs], axis=0)
    itself = np.diag(index)
    usable = itself >= _REPEATS
    ceiling = np.sqrt(np.outer(itself.clip(0), itself.clip(0)))
    return _ratio((index + index.T) / 2, ceiling, usable[:, None] & usable[None, :]).clip(-1, 1)


def alike_groups(agreed: NDArray[np.float64], *, least: float = ALIKE) -> list[tuple[int, ...]]:
    """Return groups of two or more nodes in which every two agree by `least` or more (complete linkage).

    The largest group comes first.
    """
    groups: list[tuple[int, ...]] = [(node,) for node in range(len(agreed))]
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


def rand_index(one: NDArray[np.integer], other: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the adjusted Rand index of each node's codes in two sets of codes of the same prompts, [example, node]."""
    first, second = np.triu_indices(len(one), k=1)
    if not len(first):
        return np.zeros(one.shape[1])
    shared = [each[first] == each[second] for each in (one, other)]
    both, sums = (shared[0] & shared[1]).sum(axis=0), [each.sum(axis=0, dtype=np.float64) for each in shared]
    chance = sums[0] * sums[1] / len(first)
    room = (sums[0] + sums[1]) / 2 - chance
    # Where neither tells any two prompts apart, both sort alike.
    return np.where(room > 0, (both - chance) / np.where(room > 0, room, 1.0), 1.0)


def _rand_index(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the adjusted Rand index of two sortings, given as pairs of prompts that share a code."""
    n_pairs = len(one)
    both = (one.T @ other).astype(np.float64)
    each, rest = one.sum(axis=0, dtype=np.float64), other.sum(axis=0, dtype=np.float64)
    chance = np.outer(each, rest) / n_pairs
    room = (each[:, None] + rest[None, :]) / 2 - chance
    tells = ((each > 0) & (each < n_pairs))[:, None] & ((rest > 0) & (rest < n_pairs))[None, :]
    return _ratio(both - chance, room, tells & (room > 0))


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return above / below where it is usable, else 0."""
    return np.where(usable, above / np.where(usable, below, 1.0), 0.0)
