"""Chance: what node scores would be if the labels meant nothing (METHOD 6)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.errors import Cancelled
from engine.events import Monitor
from engine.randomness import generator
from engine.score import Symbols, unique_codes

_BLOCK_CELLS = 1 << 24
"""Shuffles times symbols held at once: 64 MB a table."""


def shuffle_labels(
    positive: Bool[Tensor, " example"], pairs: Int[Tensor, "pair side"], n_shuffles: int, seed: int
) -> Bool[Tensor, "shuffle example"]:
    """Polarity shuffled: pairs are kept together and exchange sides by the flip of a coin; what is in no pair is
    permuted among itself, so both sides keep their numbers."""
    source = generator(seed, "shuffle")
    labels = positive.repeat(n_shuffles, 1)
    if len(pairs):
        swapped = torch.rand(n_shuffles, len(pairs), generator=source) < 0.5
        first, second = positive[pairs[:, 0]], positive[pairs[:, 1]]
        labels[:, pairs[:, 0]] = torch.where(swapped, second, first)
        labels[:, pairs[:, 1]] = torch.where(swapped, first, second)
    alone = torch.ones(len(positive), dtype=torch.bool)
    alone[pairs.reshape(-1)] = False
    rows = alone.nonzero()[:, 0]
    if len(rows):
        order = torch.rand(n_shuffles, len(rows), generator=source).argsort(dim=1)
        labels[:, rows] = positive[rows][order]
    return labels


def p_values(
    symbols: Symbols,
    positive: Bool[Tensor, " example"],
    pairs: Int[Tensor, "pair side"],
    *,
    n_shuffles: int,
    seed: int,
    monitor: Monitor,
) -> Float[Tensor, " node"]:
    """Per head, (1 + shuffles with a node score at least as high) / (1 + shuffles), scores averaged over seeds."""
    observed = unique_codes(symbols, positive).sum(dim=0)
    labels = shuffle_labels(positive, pairs, n_shuffles, seed).float()
    carried = symbols.carried()
    said = carried.sum(dim=0)
    # Symbols are sorted by owner, so a head's sum is a difference of running sums.
    ends = torch.searchsorted(symbols.owner, torch.arange(symbols.n_seeds * symbols.n_nodes), right=True)
    as_high = torch.zeros(symbols.n_nodes)
    for block in labels.split(max(1, _BLOCK_CELLS // max(1, len(said)))):
        if monitor.cancelled():
            raise Cancelled
        unique = ((block @ carried) == said) & symbols.speaks
        running = torch.nn.functional.pad(unique.to(torch.int32).cumsum(dim=1, dtype=torch.int32), (1, 0))
        sums = running[:, ends]
        sums[:, 1:] -= running[:, ends[:-1]]
        scores = sums.view(len(block), symbols.n_seeds, symbols.n_nodes).sum(dim=1)
        as_high += (scores >= observed).sum(dim=0)
    return (1 + as_high) / (1 + n_shuffles)


def q_values(p: Float[Tensor, " node"]) -> Float[Tensor, " node"]:
    """Benjamini-Hochberg: the false discovery rate at which each head would just be called (1995, eq. 1)."""
    n = len(p)
    order = p.argsort(stable=True)
    scaled = p[order] * n / torch.arange(1, n + 1)
    monotone = scaled.flip(0).cummin(dim=0).values.flip(0).clamp(max=1.0)
    q = torch.empty_like(p)
    q[order] = monotone
    return q
