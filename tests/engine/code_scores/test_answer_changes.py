"""Nodes that tell answers apart in one run and not in another."""

import math

import numpy as np
import pytest

from engine.code_scores.answer_changes import answer_changes, answer_labels
from engine.examples import Example
from engine.nodes import NodeId

NODES = [NodeId(layer, head) for layer in range(4) for head in range(5)]


def bits(codes: np.ndarray, answers: np.ndarray) -> float:
    """Mutual information, pair by pair of values."""
    found = 0.0
    for code in set(codes.tolist()):
        for answer in set(answers.tolist()):
            both = float(((codes == code) & (answers == answer)).mean())
            if both:
                found += both * math.log2(both / float((codes == code).mean()) / float((answers == answer).mean()))
    return found


def test_the_node_that_no_longer_tells_the_answers_apart_is_found_alone() -> None:
    source = np.random.default_rng(2)
    answers = np.array([0, 1] * 8 + [-1] * 16)
    a = source.integers(0, 3, (3, 32, len(NODES)))
    b = a.copy()
    a[:, :16, 7] = answers[:16] + 5  # told apart completely in A
    b[:, :16, 3] = answers[:16]  # and by another node in B
    found = {(each.layer, each.head): each for each in answer_changes(a, b, answers, NODES)}
    assert set(found) == {NODES[7], NODES[3]}
    lost = found[NODES[7]]
    # One bit less what shuffled answers give.
    shuffles = [bits(a[0, :16, 7], source.permutation(answers[:16])) for _ in range(400)]
    assert lost.a == pytest.approx(1 - np.mean(shuffles), abs=0.02)
    expected = np.mean([bits(codes[:16, 7], answers[:16]) for codes in b])
    chance = np.mean([bits(codes[:16, 7], source.permutation(answers[:16])) for codes in b for _ in range(200)])
    assert lost.b == pytest.approx(expected - chance, abs=0.03)
    assert found[NODES[3]].b > found[NODES[3]].a
    assert answer_changes(a, a, answers, NODES) == ()
    assert answer_changes(a, b, np.full(32, -1), NODES) == ()


def test_answers_are_those_of_positives_that_come_often_enough() -> None:
    def example(answer: str, *, positive: bool = True) -> Example:
        return Example(prompt="x", polarity="positive" if positive else "negative", expected=(answer,))

    examples = [example(" he"), example(" she"), example(" he", positive=False), example(" it")] * 3
    examples = [*examples[:-1], example(" he")]
    assert answer_labels(examples).tolist() == [0, 1, -1, -1] * 2 + [0, 1, -1, 0]
    assert set(answer_labels(examples[:7]).tolist()) == {-1}
