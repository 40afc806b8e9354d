"""Score edges: pairs of nodes whose codes occur together on positives only (docs/method.md 5)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.nodes import NodeLayout
from engine.results import NO_CODE, EdgeScore, n_edges_reported

_WORD = 63
"""Examples per word of a mask; the sign bit stays clear."""
_BLOCK_CELLS = 1 << 20


class RankedEdges:
    """All pairs of a node and one later in the forward pass, ranked by score (mean over seeds).

    Edges of equal score are ordered by the product of their nodes' contrast lengths, then by source and target.
    """

    def __init__(
        self,
        layout: NodeLayout,
        source: NDArray[np.int64],
        target: NDArray[np.int64],
        score: NDArray[np.float64],
        length: NDArray[np.floating],
    ) -> None:
        """`source`, `target` and `score` are [pair]; `length` is [node]."""
        self.layout, self.source, self.target, self.score = layout, source, target, score
        self.length = length[source] * length[target]
        self._order = np.lexsort((-self.length, -self.score))

    def best(self, n: int | None = None) -> tuple[EdgeScore, ...]:
        """Return the best `n` edges; None: as many as a run reports."""
        n = n_edges_reported(len(self.score)) if n is None else n
        order = self._order[:n]
        columns = (self.source[order], self.target[order], self.score[order], self.length[order])
        ids = self.layout.ids
        return tuple(
            EdgeScore(source=ids[source], target=ids[target], score=score, length=round(length, 6))
            for source, target, score, length in zip(*(column.tolist() for column in columns), strict=True)
        )

    def per_node(self) -> NDArray[np.float64]:
        """Return each node's score from edges: how often it is in the better half of all pairs; [node].

        Pairs that tie in score and length at the end of the half count in part, so that their order does not matter.
        """
        counts = np.zeros(self.layout.n_nodes)
        half = len(self.score) // 2
        if not half:
            return counts
        last = self._order[half - 1]
        level = (self.score == self.score[last]) & (self.length == self.length[last])
        longer = (self.score == self.score[last]) & (self.length > self.length[last])
        above = (self.score > self.score[last]) | longer
        weight = above + level * ((half - int(above.sum())) / int(level.sum()))
        np.add.at(counts, self.source, weight)
        np.add.at(counts, self.target, weight)
        return counts


def score_edges(
    codes: NDArray[np.integer],
    positive: NDArray[np.bool_],
    layout: NodeLayout,
    length: NDArray[np.floating] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> RankedEdges:
    """Return for every pair how many code pairs occur together on a positive and on no negative.

    On each positive, a node's code is a bit mask of the examples with the same code, negatives and earlier positives
    only. Two masks that share a bit mean that the code pair occurred earlier or on a negative, so a score counts empty
    intersections and no table of codes by codes is built.

    `codes` is [seed, example, node]; `positive` [example]; `length` [node] of each node's contrast, which orders edges
    of equal score. `on_progress` is called between blocks with the share done; it may raise to stop.
    """
    n_seeds, _, n_nodes = codes.shape
    length = np.ones(n_nodes) if length is None else length
    place = np.array(layout.order)
    source, target = np.nonzero(place[:, None] < place)
    # In the order of the forward pass, so that all targets of a node are the end of the array.
    forward = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[forward], place[forward], side="right")
    total = np.zeros((n_nodes, n_nodes), dtype=np.float32)
    for seed in range(n_seeds):
        masks, active = _masks(codes[seed][:, forward], positive)
        first = 0
        while first < n_nodes and ends[first] < n_nodes:
            later = int(ends[first])
            at_once = max(1, _BLOCK_CELLS // max(1, masks[later:].size))
            if on_progress is not None:
                on_progress((seed + first / n_nodes) / n_seeds)
            block = slice(first, min(first + at_once, later))
            shared = (masks[block, None] & masks[None, later:]).any(axis=-1)
            new = ~shared & active[block, None] & active[None, later:]
            total[np.ix_(forward[block], forward[later:])] += np.count_nonzero(new, axis=-1)
            first = block.stop
    return RankedEdges(layout, source, target, total[source, target].astype(np.float64) / n_seeds, length)


def _masks(codes: NDArray[np.integer], positive: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return per node and positive the negatives and earlier positives with the same code, and whether it is active.

    `codes` is [example, node]; the masks are [node, positive, word], the second array [node, positive].
    """
    ordered = codes[np.concatenate([np.flatnonzero(~positive), np.flatnonzero(positive)])].T
    n, n_negative = len(positive), int((~positive).sum())
    mine = ordered[:, n_negative:]
    before = np.arange(n)[None, :] < np.arange(n_negative, n)[:, None]  # negatives come before every positive
    words = []
    for start in range(0, n, _WORD):
        stop = min(n, start + _WORD)
        same = (mine[:, :, None] == ordered[:, None, start:stop]) & before[None, :, start:stop]
        words.append((same.astype(np.int64) << np.arange(stop - start)).sum(axis=-1))
    return np.stack(words, axis=-1), mine != NO_CODE
