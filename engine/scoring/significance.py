"""Permutation test: how consistently heads separate the sides under shuffled labels (docs/method.md 6).

Counts of unique codes cannot be tested by swapping the sides of pairs: where every pair has codes of its own, both
sides have the same count under any labels. What depends on the labels is whether heads tell the sides apart *in the
same way* in pair after pair: by their codes (total variation) or by the norm of their output.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.errors import Cancelled
from engine.events import Monitor, StageProgress
from engine.scoring.code_occurrences import CodeOccurrences
from engine.tensors.generators import generator

STATISTIC = "total variation of codes, and norm of the output"
"""What p and q test, for the card."""
_BLOCK_CELLS = 1 << 24
"""Permutations times symbols held at once: 64 MB per table."""
_SAME = 1e-5
"""Statistics closer than this are equal up to the order of summation."""


def shuffle_labels(
    positive: Bool[Tensor, " example"],
    pairs: Int[Tensor, "pair side"],
    n_shuffles: int,
    seed: int,
    clusters: Sequence[int] | None = None,
) -> Bool[Tensor, "shuffle example"]:
    """Return shuffled labels: pairs swap sides at random, unpaired examples are permuted among themselves.

    All pairs of a cluster (engine.authoring.distinct_pairs) swap together. Both sides keep their numbers of examples.
    """
    source = generator(seed, "shuffle")
    cluster = _clusters(pairs, clusters)
    swapped = torch.rand(n_shuffles, _n_clusters(cluster), generator=source) < 0.5
    labels = _swap_sides(positive, pairs, swapped[:, cluster])
    rows = _unpaired(positive, pairs)
    if len(rows):
        order = torch.rand(n_shuffles, len(rows), generator=source).argsort(dim=1)
        labels[:, rows] = positive[rows][order]
    return labels


def label_permutations(
    positive: Bool[Tensor, " example"],
    pairs: Int[Tensor, "pair side"],
    n_shuffles: int,
    seed: int,
    clusters: Sequence[int] | None = None,
) -> Bool[Tensor, "labelling example"]:
    """Return the true labels, first, and permutations of them: all of them, or a random sample of `n_shuffles`.

    All where there are no more than `n_shuffles`. Swapping the two sides altogether leaves every two-sided statistic
    unchanged, so in a set of pairs only, the first cluster keeps its sides.
    """
    cluster = _clusters(pairs, clusters)
    rows = _unpaired(positive, pairs)
    n_free = max(0, _n_clusters(cluster) - (1 if len(rows) == 0 else 0))
    n_chosen = int(positive[rows].sum())
    n_ways = (1 << n_free) * math.comb(len(rows), n_chosen)
    if n_ways > n_shuffles:
        return torch.cat([positive[None], shuffle_labels(positive, pairs, n_shuffles, seed, clusters)])
    kept = () if n_free == _n_clusters(cluster) else (False,)
    swaps = [(*kept, *way) for way in itertools.product((False, True), repeat=n_free)]
    swapped = torch.tensor(swaps, dtype=torch.bool).view(len(swaps), _n_clusters(cluster))
    labels = _swap_sides(positive, pairs, swapped[:, cluster])
    if not len(rows):
        return labels
    choices = torch.zeros(math.comb(len(rows), n_chosen), len(rows), dtype=torch.bool)
    for number, chosen in enumerate(itertools.combinations(range(len(rows)), n_chosen)):
        choices[number, list(chosen)] = True
    true = (choices == positive[rows]).all(dim=1)
    choices = torch.cat([positive[rows][None], choices[~true]])
    labels = labels.repeat_interleave(len(choices), dim=0)
    labels[:, rows] = choices.repeat(len(swaps), 1)
    return labels


def p_values(
    symbols: CodeOccurrences,
    output_norm: Float[Tensor, "example node"],
    labels: Bool[Tensor, "labelling example"],
    monitor: Monitor,
) -> Float[Tensor, " node"]:
    """Return per head the share of label permutations that tell the sides apart as consistently as the true ones.

    The first row of `labels` holds the true labels. The statistic is the rank by codes or by output norm, whichever is
    smaller, ranked again among all permutations (Tippett's minimum by permutation), which corrects for the two tests.
    """
    by_code: list[Tensor] = []
    by_norm: list[Tensor] = []
    carried = symbols.carried()
    n_owners = symbols.n_seeds * symbols.n_nodes
    for block in labels.split(max(1, _BLOCK_CELLS // max(1, len(symbols.owner)))):
        if monitor.cancelled():
            raise Cancelled
        # The first half of the stage; the edges are the second.
        done = sum(map(len, by_code))
        monitor.report(StageProgress(stage="scores", done=50 * done // len(labels), total=100))
        side = block.float()
        weight = side / side.sum(dim=1, keepdim=True) - (1 - side) / (1 - side).sum(dim=1, keepdim=True)
        sums = torch.zeros(len(block), n_owners).index_add_(1, symbols.owner, (weight @ carried).abs_())
        by_code.append(sums.view(len(block), symbols.n_seeds, symbols.n_nodes).mean(dim=1))
        by_norm.append((weight @ output_norm).abs_())
    apart = torch.cat(by_norm)
    apart /= apart.amax(dim=0).clamp(min=1e-12)
    rarer = torch.minimum(_share_as_high(torch.cat(by_code)), _share_as_high(apart))
    return (rarer <= rarer[0] + _SAME).float().mean(dim=0)


def q_values(p: Float[Tensor, " node"]) -> Float[Tensor, " node"]:
    """Return the Benjamini-Hochberg q-values: the false discovery rate at which each head is rejected (1995, eq. 1)."""
    n = len(p)
    order = p.argsort(stable=True)
    scaled = p[order] * n / torch.arange(1, n + 1)
    monotone = scaled.flip(0).cummin(dim=0).values.flip(0).clamp(max=1.0)
    q = torch.empty_like(p)
    q[order] = monotone
    return q


def _unpaired(positive: Bool[Tensor, " example"], pairs: Int[Tensor, "pair side"]) -> Int[Tensor, " alone"]:
    """Return the examples that are in no pair."""
    alone = torch.ones(len(positive), dtype=torch.bool)
    alone[pairs.reshape(-1)] = False
    return alone.nonzero()[:, 0]


def _clusters(pairs: Int[Tensor, "pair side"], clusters: Sequence[int] | None) -> Int[Tensor, " pair"]:
    return torch.arange(len(pairs)) if clusters is None else torch.tensor(clusters, dtype=torch.int64)


def _n_clusters(cluster: Int[Tensor, " pair"]) -> int:
    return int(cluster.max()) + 1 if len(cluster) else 0


def _swap_sides(
    positive: Bool[Tensor, " example"], pairs: Int[Tensor, "pair side"], swapped: Bool[Tensor, "labelling pair"]
) -> Bool[Tensor, "labelling example"]:
    labels = positive.repeat(len(swapped), 1)
    first, second = positive[pairs[:, 0]], positive[pairs[:, 1]]
    labels[:, pairs[:, 0]] = torch.where(swapped, second, first)
    labels[:, pairs[:, 1]] = torch.where(swapped, first, second)
    return labels


def _share_as_high(values: Float[Tensor, "labelling node"]) -> Float[Tensor, "labelling node"]:
    """Return for every labelling the share of all labellings with a value at least as high."""
    columns = values.T.contiguous()
    below = torch.searchsorted(columns.sort(dim=1).values, columns - _SAME)
    return 1 - below.T.float() / len(values)
