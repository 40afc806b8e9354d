"""Compute the scores of one seed of a run from its stored codes (METHOD 5), with numpy instead of torch.

Codes are integers and the measures are counts, so the results equal the engine's;
`tests/sessions/store/test_comparison_sides.py` checks that.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.analysis.ranking import circuit_by_rank
from engine.results import NO_CODE, HeadScores

Codes = NDArray[np.int64]
"""[example, node]"""

_WORD = 63
"""Examples per word of a bit mask."""


def seed_nodes(
    codes: Codes, positive: Sequence[bool], pairs: Sequence[tuple[int, int]], run: Sequence[HeadScores], size: int
) -> tuple[HeadScores, ...]:
    """Return the scores of every head under one seed; baselines, which do not depend on seeds, are the run's.

    p and q are None: label permutations are not stored per seed. Stability is whether the head is among the `size`
    best of this seed. `pairs` holds (positive, negative) rows; `run` the run's scores, layer by layer.
    """
    n_heads = 1 + max(node.head for node in run)
    rows = np.asarray(positive, dtype=bool)
    columns = [_measures(codes[:, node], rows) for node in range(codes.shape[1])]
    flips = _flips(codes, pairs)
    edges = _from_edges(codes, rows, n_heads, [node.contrast_length or 0.0 for node in run])
    nodes = [
        HeadScores(
            layer=before.layer,
            head=before.head,
            **{name: round(value, 6) for name, value in columns[place].items()},
            paired_flips=None if flips is None else round(float(flips[place]), 6),
            from_edges=round(float(edges[place]), 6),
            p_value=None,
            q_value=None,
            stability=0.0,
            baseline_mean_difference=before.baseline_mean_difference,
            baseline_paired_difference=before.baseline_paired_difference,
            baseline_linear_probe=before.baseline_linear_probe,
            baseline_random=before.baseline_random,
            contrast_length=before.contrast_length,
        )
        for place, before in enumerate(run)
    ]
    best = set(circuit_by_rank(nodes, size))
    return tuple(_with_stability(node, node.id in best) for node in nodes)


def _with_stability(node: HeadScores, inside: bool) -> HeadScores:
    import msgspec

    return msgspec.structs.replace(node, stability=float(inside))


def _measures(codes: NDArray[np.int64], positive: NDArray[np.bool_]) -> dict[str, float]:
    """Compute engine.scoring.node_scores.code_measures for one head."""
    symbols, which = np.unique(codes, return_inverse=True)
    on_positive = np.bincount(which[positive], minlength=len(symbols)).astype(float)
    on_negative = np.bincount(which[~positive], minlength=len(symbols)).astype(float)
    active = symbols != NO_CODE
    n_positive, n_negative, n = positive.sum(), (~positive).sum(), len(codes)
    unique = active & (on_positive > 0) & (on_negative == 0)
    unique_negative = active & (on_negative > 0) & (on_positive == 0)
    either = float(active.sum())
    both = float((active & (on_positive > 0) & (on_negative > 0)).sum())
    frequencies = np.abs(on_positive / n_positive - on_negative / n_negative)
    information = 0.0
    occurrences = on_positive + on_negative
    for counts, total in ((on_positive, n_positive), (on_negative, n_negative)):
        there = counts > 0
        information += float((counts[there] / n * np.log2(counts[there] * n / (occurrences[there] * total))).sum())
    return {
        "unique_positive": float(unique.sum()),
        "unique_negative": float(unique_negative.sum()),
        "unique_normalised": float(unique.sum()) / either if either else 0.0,
        "overlap": both / either if either else 1.0,
        "mutual_information": information - (len(symbols) - 1) / (2 * n * float(np.log(2))),
        "total_variation": 0.5 * float(frequencies.sum()),
        "unique_share": float(on_positive[unique].sum() / n_positive),
        "silent": float(occurrences[~active].sum() / n),
    }


def _flips(codes: Codes, pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64] | None:
    if not pairs:
        return None
    rows = np.asarray(pairs)
    share: NDArray[np.float64] = (codes[rows[:, 0]] != codes[rows[:, 1]]).mean(axis=0)
    return share


def _from_edges(
    codes: Codes, positive: NDArray[np.bool_], n_heads: int, lengths: Sequence[float]
) -> NDArray[np.float64]:
    """Compute engine.scoring.edge_scores for one seed: the number of top-half edges that contain each head."""
    n_nodes = codes.shape[1]
    counts = np.zeros(n_nodes)
    masks, active = _masks(codes, positive)
    sources, targets, scores = [], [], []
    for source in range(n_nodes):
        later = (source // n_heads + 1) * n_heads
        if later >= n_nodes:
            break
        shared = (masks[source] & masks[later:]).any(axis=-1)
        new = ~shared & active[source] & active[later:]
        scores.append(new.sum(axis=-1))
        targets.append(np.arange(later, n_nodes))
        sources.append(np.full(n_nodes - later, source))
    if not scores:
        return counts
    score, source_of, target_of = np.concatenate(scores), np.concatenate(sources), np.concatenate(targets)
    half = len(score) // 2
    if not half:
        return counts
    length = np.asarray(lengths)[source_of] * np.asarray(lengths)[target_of]
    last = np.lexsort((-length, -score))[half - 1]
    level = (score == score[last]) & (length == length[last])
    above = (score > score[last]) | ((score == score[last]) & (length > length[last]))
    weight = above + level * ((half - above.sum()) / level.sum())
    np.add.at(counts, source_of, weight)
    np.add.at(counts, target_of, weight)
    return counts


def _masks(codes: Codes, positive: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return masks [node, positive, word] of negatives and earlier positives with the same code, and active heads."""
    order = np.concatenate([np.flatnonzero(~positive), np.flatnonzero(positive)])
    n_negative, n = int((~positive).sum()), len(positive)
    ordered = codes[order].T
    positives = ordered[:, n_negative:]
    before = np.arange(n)[None, :] < np.arange(n_negative, n)[:, None]
    words = []
    for start in range(0, n, _WORD):
        stop = min(n, start + _WORD)
        same = (positives[:, :, None] == ordered[:, None, start:stop]) & before[None, :, start:stop]
        words.append((same.astype(np.int64) << np.arange(stop - start)).sum(axis=-1))
    return np.stack(words, axis=-1), positives != NO_CODE
