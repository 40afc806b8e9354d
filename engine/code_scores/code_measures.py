"""Measures of heads from their codes on both sides (docs/method.md 5): one function each, listed in CODE_MEASURES.

To add one: a function of CodeCounts here with its line in CODE_MEASURES, and a row in engine.measures.
"""

import math
from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.results import NO_CODE

Counts = NDArray[np.float64]
"""[symbol]"""
Scores = NDArray[np.float64]
"""[seed, head]"""


class CodeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """On how many positives and negatives each symbol occurs. A symbol is a (seed, head, code); silence is a code."""

    on_positive: Counts
    on_negative: Counts
    active: NDArray[np.bool_]
    """[symbol]; False for NO_CODE."""
    owner: NDArray[np.int64]
    """[symbol]; seed * n_heads + head, heads of all layers."""
    shape: tuple[int, int]
    """Number of seeds and of heads."""
    n_positive: int
    n_negative: int

    @property
    def n_examples(self) -> int:
        return self.n_positive + self.n_negative

    @property
    def occurrences(self) -> Counts:
        return self.on_positive + self.on_negative

    @property
    def unique(self) -> NDArray[np.bool_]:
        """Codes that occur on positives and on no negative; [symbol]."""
        return self.active & (self.on_positive > 0) & (self.on_negative == 0)

    @property
    def unique_negative(self) -> NDArray[np.bool_]:
        """Codes that occur on negatives and on no positive; [symbol]."""
        return self.active & (self.on_negative > 0) & (self.on_positive == 0)

    def per_head(self, values: NDArray[np.generic]) -> Scores:
        """Return sums over each head's symbols; [seed, head]."""
        n_seeds, n_heads = self.shape
        total = np.zeros(n_seeds * n_heads)
        np.add.at(total, self.owner, values.astype(np.float64))
        return total.reshape(self.shape)


def count_codes(codes: NDArray[np.integer], positive: NDArray[np.bool_]) -> CodeCounts:
    """Return the counts of codes [seed, example, head]; `positive` [example] is True for positive examples."""
    n_seeds, _, n_heads = codes.shape
    width = int(codes.max()) - NO_CODE + 1
    owner = np.arange(n_seeds)[:, None, None] * n_heads + np.arange(n_heads)
    symbols, which = np.unique(owner * width + (codes.astype(np.int64) - NO_CODE), return_inverse=True)
    which = which.reshape(codes.shape)
    on_positive, on_negative = (
        np.bincount(which[:, rows].reshape(-1), minlength=len(symbols)).astype(np.float64)
        for rows in (positive, ~positive)
    )
    return CodeCounts(
        on_positive=on_positive,
        on_negative=on_negative,
        active=symbols % width != 0,
        owner=symbols // width,
        shape=(n_seeds, n_heads),
        n_positive=int(positive.sum()),
        n_negative=int((~positive).sum()),
    )


def unique_positive(counts: CodeCounts) -> Scores:
    """Return the node score: how many codes each head has on positives and on no negative."""
    return counts.per_head(counts.unique)


def unique_negative(counts: CodeCounts) -> Scores:
    """Return how many codes each head has on negatives and on no positive."""
    return counts.per_head(counts.unique_negative)


def unique_normalised(counts: CodeCounts) -> Scores:
    """Return the node score over the number of codes on either side; 0 for a silent head."""
    return unique_positive(counts) / np.maximum(counts.per_head(counts.active), 1.0)


def overlap(counts: CodeCounts) -> Scores:
    """Return the Jaccard index of both sides' codes; 1 for a silent head, which is the same on both sides."""
    either = counts.per_head(counts.active)
    both = counts.per_head(counts.active & (counts.on_positive > 0) & (counts.on_negative > 0))
    return np.where(either > 0, both / np.maximum(either, 1.0), 1.0)


def mutual_information(counts: CodeCounts) -> Scores:
    """Return I(code; polarity) in bits, less the Miller-Madow bias (Kc - 1)(2 - 1) / (2 N ln 2)."""
    n, occurrences = counts.n_examples, counts.occurrences
    information = np.zeros(counts.shape)
    for found, n_side in ((counts.on_positive, counts.n_positive), (counts.on_negative, counts.n_negative)):
        ratio = np.where(found > 0, found * n / np.maximum(occurrences * n_side, 1.0), 1.0)
        information += counts.per_head(found / n * np.log2(ratio))
    n_symbols = counts.per_head(np.ones_like(occurrences))
    return information - (n_symbols - 1) / (2 * n * math.log(2))


def total_variation(counts: CodeCounts) -> Scores:
    """Return half the summed difference of code frequencies; silence counts as a code. 0 alike, 1 nothing shared."""
    return 0.5 * counts.per_head(abs(counts.on_positive / counts.n_positive - counts.on_negative / counts.n_negative))


def unique_share(counts: CodeCounts) -> Scores:
    """Return the share of positives with a unique code."""
    return counts.per_head(np.where(counts.unique, counts.on_positive, 0.0)) / counts.n_positive


def code_accuracy(counts: CodeCounts) -> Scores:
    """Return the balanced leave-one-out accuracy of guessing an example's side from its code.

    The guess is the side on which the code is more frequent among the other examples; equal frequencies count half.
    Unlike total variation it gives no credit for codes that occur once. 0.5 is chance.
    """
    sides = (
        (counts.on_positive, counts.n_positive, counts.on_negative, counts.n_negative),
        (counts.on_negative, counts.n_negative, counts.on_positive, counts.n_positive),
    )
    total = np.zeros(counts.shape)
    for own, n_own, other, n_other in sides:
        # Products instead of frequencies: exact, so that equal frequencies compare equal.
        mine, theirs = np.maximum(own - 1, 0.0) * n_other, other * max(1, n_own - 1)
        total += counts.per_head(own * ((mine > theirs) + 0.5 * (mine == theirs))) / n_own
    return total / 2


def silent(counts: CodeCounts) -> Scores:
    """Return the share of examples without a code."""
    return counts.per_head(np.where(counts.active, 0.0, counts.occurrences)) / counts.n_examples


CODE_MEASURES: dict[str, Callable[[CodeCounts], Scores]] = {
    "unique_positive": unique_positive,
    "unique_negative": unique_negative,
    "unique_normalised": unique_normalised,
    "overlap": overlap,
    "mutual_information": mutual_information,
    "total_variation": total_variation,
    "unique_share": unique_share,
    "code_accuracy": code_accuracy,
    "silent": silent,
}
"""Every measure that needs only codes and polarity, by its id in engine.measures (`silent` has no row there)."""


def code_measures(counts: CodeCounts) -> dict[str, Scores]:
    """Return every measure of CODE_MEASURES, per seed and head."""
    return {name: measure(counts) for name, measure in CODE_MEASURES.items()}


def paired_flips(codes: NDArray[np.integer], pairs: NDArray[np.integer]) -> Scores | None:
    """Return the share of pairs whose two codes differ; None without pairs.

    `codes` is [seed, example, head]; `pairs` [pair, 2] holds example indices.
    """
    if not len(pairs):
        return None
    share: Scores = (codes[:, pairs[:, 0]] != codes[:, pairs[:, 1]]).mean(axis=1)
    return share
