"""Score edges: pairs of heads whose codes occur together on positives only (METHOD 5)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.errors import Cancelled
from engine.events import Monitor, StageProgress
from engine.results import NO_CODE, EdgeScore, n_edges_reported

_WORD = 63
"""Examples per word of a mask; the sign bit stays clear."""
_BLOCK_CELLS = 1 << 22


class RankedEdges:
    """All pairs of a head and a head of a later layer, ranked by score (mean over seeds).

    Edges of equal score are ordered by the product of their heads' contrast lengths, then by source and target.
    """

    def __init__(
        self,
        source: Int[Tensor, " pair"],
        target: Int[Tensor, " pair"],
        score: Float[Tensor, " pair"],
        n_heads: int,
        length: Float[Tensor, " node"],
    ) -> None:
        self.source, self.target, self.score, self.n_heads = source, target, score, n_heads
        self.length = length[source] * length[target]
        order = self.length.argsort(descending=True, stable=True)
        self._order = order[self.score[order].argsort(descending=True, stable=True)]

    def best(self, n: int | None = None) -> tuple[EdgeScore, ...]:
        """Return the best `n` edges; None: as many as a run reports."""
        n = n_edges_reported(len(self.score)) if n is None else n
        order = self._order[:n]
        columns = (self.source[order], self.target[order], self.score[order], self.length[order])
        return tuple(
            EdgeScore(
                source=divmod(source, self.n_heads),
                target=divmod(target, self.n_heads),
                score=score,
                length=round(length, 6),
            )
            for source, target, score, length in zip(*(column.tolist() for column in columns), strict=True)
        )

    def heads(self, n_nodes: int) -> Float[Tensor, " node"]:
        """Return each head's score from edges: how often it is in the better half of all pairs.

        Pairs that tie in score and length at the end of the half count in part, so that their order does not matter.
        """
        counts = torch.zeros(n_nodes)
        half = len(self.score) // 2
        if not half:
            return counts
        last = self._order[half - 1]
        level = (self.score == self.score[last]) & (self.length == self.length[last])
        longer = (self.score == self.score[last]) & (self.length > self.length[last])
        above = (self.score > self.score[last]) | longer
        weight = above.float() + level.float() * (half - int(above.sum())) / int(level.sum())
        return counts.index_add_(0, self.source, weight).index_add_(0, self.target, weight)


def score_edges(
    codes: Int[Tensor, "seed example node"],
    positive: Bool[Tensor, " example"],
    n_heads: int,
    monitor: Monitor,
    length: Float[Tensor, " node"] | None = None,
) -> RankedEdges:
    """Return for every pair how many code pairs occur together on a positive and on no negative.

    On each positive, a head's code is a bit mask of the examples with the same code, negatives and earlier positives
    only. Two masks that share a bit mean that the code pair occurred earlier or on a negative, so a score counts empty
    intersections and no table of codes by codes is built. `length`: of each head's contrast, which orders edges of
    equal score. Raises Cancelled between blocks.
    """
    n_seeds, _, n_nodes = codes.shape
    n_layers = n_nodes // n_heads
    length = torch.ones(n_nodes) if length is None else length
    pairs = [
        (source, target) for source in range(n_nodes) for target in range((source // n_heads + 1) * n_heads, n_nodes)
    ]
    if not pairs:
        nothing = torch.zeros(0, dtype=torch.int64)
        return RankedEdges(nothing, nothing, torch.zeros(0), n_heads, length)
    total = torch.zeros(n_nodes, n_nodes)
    for seed in range(n_seeds):
        masks, speaks = _masks(codes[seed], positive)
        for layer in range(n_layers - 1):
            share = (seed + layer / n_layers) / n_seeds
            monitor.report(StageProgress(stage="scores", done=50 + int(50 * share), total=100))
            later = (layer + 1) * n_heads
            at_once = max(1, _BLOCK_CELLS // max(1, masks[later:].numel()))
            for first in range(layer * n_heads, later, at_once):
                if monitor.cancelled():
                    raise Cancelled
                block = slice(first, min(first + at_once, later))
                heard = (masks[block, None] & masks[None, later:]).any(dim=-1)
                new = ~heard & speaks[block, None] & speaks[None, later:]
                total[block, later:] += new.sum(dim=-1)
    source, target = torch.tensor(pairs).T
    return RankedEdges(source, target, total[source, target] / n_seeds, n_heads, length)


def _masks(
    codes: Int[Tensor, "example node"], positive: Bool[Tensor, " example"]
) -> tuple[Int[Tensor, "node positive word"], Bool[Tensor, "node positive"]]:
    """Return per head and positive the negatives and earlier positives with the same code, and whether it is active."""
    rows = torch.cat([(~positive).nonzero()[:, 0], positive.nonzero()[:, 0]])
    n_negative, n = int((~positive).sum()), len(positive)
    ordered = codes[rows].T  # [node, example], negatives first
    mine = ordered[:, n_negative:]
    words = []
    before = torch.arange(n)[None, :] < torch.arange(n_negative, n)[:, None]  # negatives come before every positive
    for start in range(0, n, _WORD):
        stop = min(n, start + _WORD)
        same = (mine[:, :, None] == ordered[:, None, start:stop]) & before[None, :, start:stop]
        words.append((same.long() << torch.arange(stop - start)).sum(dim=-1))
    return torch.stack(words, dim=-1), mine != NO_CODE
