"""Find nodes whose codes tell the expected answers apart in one run and not in another, on the same prompts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.code_families import AnswerChange
from engine.examples import Example
from engine.nodes import NodeId

SHUFFLES = 200
_LEAST = 3
"""Prompts of an answer."""
_DIGITS = 4


def answer_labels(examples: Sequence[Example]) -> NDArray[np.intp]:
    """Return a number for the first expected token of each positive; -1 for other prompts and rare answers."""
    answers = [each.expected[0] if each.positive and each.expected else None for each in examples]
    known = sorted({each for each in answers if each is not None and answers.count(each) >= _LEAST})
    if len(known) < 2:
        return np.full(len(answers), -1)
    return np.array([known.index(each) if each in known else -1 for each in answers])


def answer_changes(
    a: NDArray[np.integer], b: NDArray[np.integer], labels: NDArray[np.intp], nodes: Sequence[NodeId]
) -> tuple[AnswerChange, ...]:
    """Return the nodes whose information about the answers changed by more than any node's under shuffled answers.

    `a` and `b` are [seed, example, node]. The largest change first; none where no two answers are known.
    """
    rows = labels >= 0
    if not rows.any():
        return ()
    source = np.random.default_rng(0)
    shuffled = np.stack([labels[rows], *(source.permutation(labels[rows]) for _ in range(SHUFFLES))])
    bits = [np.mean([_bits(each[rows], shuffled) for each in run], axis=0) for run in (a, b)]
    above = [each - each[1:].mean(axis=0) for each in bits]
    change = above[1] - above[0]
    largest = np.abs(change[1:]).max()
    order = sorted(range(len(nodes)), key=lambda place: (-abs(change[0, place]), place))
    return tuple(
        AnswerChange(
            layer=nodes[place].layer,
            head=nodes[place].head,
            a=round(float(above[0][0, place]), _DIGITS),
            b=round(float(above[1][0, place]), _DIGITS),
        )
        for place in order
        if abs(change[0, place]) > largest
    )


def _bits(codes: NDArray[np.integer], labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mutual information in bits of each node's codes, [example, node], with each row of labels."""
    of_labels, n_labels = _entropies(labels), labels.max() + 1
    found = []
    for column in codes.T:
        _, code = np.unique(column, return_inverse=True)
        found.append(_entropies(code[None]) + of_labels - _entropies(code * n_labels + labels))
    return np.stack(found, axis=1)


def _entropies(values: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the entropy in bits of every row of values, by the lengths of runs of equal ones once they are sorted."""
    rows, n = values.shape
    ordered = np.sort(values, axis=1)
    begins = np.ones((rows, n), dtype=bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    starts = np.flatnonzero(begins)
    counts = np.diff(starts, append=rows * n)
    return np.log2(n) - np.bincount(starts // n, counts * np.log2(counts), rows) / n
