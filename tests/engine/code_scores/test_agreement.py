"""Agreement of nodes by their codes: kappa and sorting by hand, groups, and chance."""

from collections import Counter
from math import comb

import numpy as np
import pytest

from engine.code_scores.agreement import ALIKE, agreement, alike_groups, same_codes, same_sorting
from engine.results import NO_CODE


def random_codes(rng: np.random.Generator, n_examples: int = 60, n_nodes: int = 5, n_codes: int = 6) -> np.ndarray:
    return rng.integers(NO_CODE, n_codes, (2, n_examples, n_nodes))


def kappa(one: np.ndarray, other: np.ndarray) -> float:
    """Cohen's kappa from its definition."""
    n, counts = len(one), (Counter(one.tolist()), Counter(other.tolist()))
    expected = sum(counts[0][code] * counts[1][code] for code in counts[0]) / n**2
    return float(((one == other).mean() - expected) / (1 - expected))


def rand_index(one: np.ndarray, other: np.ndarray) -> float:
    """The adjusted Rand index from its table of counts."""
    table = Counter(zip(one.tolist(), other.tolist(), strict=True))
    rows, columns = Counter(one.tolist()), Counter(other.tolist())
    both, first, second = (sum(comb(n, 2) for n in each.values()) for each in (table, rows, columns))
    expected = first * second / comb(len(one), 2)
    return (both - expected) / ((first + second) / 2 - expected)


def test_same_codes_is_kappa_and_sorting_the_adjusted_rand_index() -> None:
    rng = np.random.default_rng(0)
    codes = random_codes(rng)
    codes[:, :40, 1] = codes[:, :40, 0]
    found = same_codes(codes)
    for a in range(5):
        for b in range(5):
            wanted = np.mean([kappa(each[:, a], each[:, b]) for each in codes])
            assert found[a, b] == pytest.approx(wanted)
    # Across two seeds whose codes have other numbers, a node sorts the prompts as before.
    codes[1] = (codes[0] + 1) * 3 % 20
    codes[1, :6, 2] = 100
    found = same_sorting(codes)

    def index(a: int, b: int) -> float:
        return rand_index(codes[0][:, a], codes[1][:, b])

    for a in range(5):
        for b in range(5):
            wanted = (index(a, b) + index(b, a)) / 2 / (index(a, a) * index(b, b)) ** 0.5
            assert found[a, b] == pytest.approx(min(wanted, 1.0), abs=1e-6)
    assert found[0, 0] == pytest.approx(1.0)
    assert found[0, 1] > 0.3 > found[3, 4]


def test_nodes_that_say_the_same_thing_everywhere_agree_with_nothing() -> None:
    codes = np.zeros((3, 20, 3), dtype=np.int64)
    codes[:, :, 1] = NO_CODE
    codes[:, :, 2] = np.arange(20)
    assert not agreement(codes, np.zeros(3))[:2].any()
    assert same_sorting(codes)[2, 2] == 0, "a code of its own for every prompt sorts nothing"
    assert same_codes(codes)[2, 2] == 1
    assert not agreement(codes[:, :0], np.zeros(3)).any()
    assert not same_sorting(codes[:1]).any(), "nothing repeats with one seed"


def test_numbers_of_codes_count_within_a_dictionary_only() -> None:
    rng = np.random.default_rng(1)
    codes = random_codes(rng, n_codes=40)
    codes[:, :, 1] = codes[:, :, 0]
    assert agreement(codes, np.array([0, 0, 0, 0, 0]))[0, 1] == 1
    assert agreement(codes, np.array([0, 1, 1, 1, 1]))[0, 1] < ALIKE, "random sorting does not repeat between seeds"


def test_unrelated_nodes_are_in_no_group() -> None:
    rng = np.random.default_rng(2)
    # Codes that repeat from seed to seed, on prompts in an order of each node's own.
    alone = np.stack([rng.permutation(np.repeat(np.arange(10), 6)) for _ in range(30)], axis=1)
    codes = np.stack([alone, alone + 100])
    assert alike_groups(agreement(codes, np.zeros(30))) == []
    codes[:, :, 7] = codes[:, :, 3] + 5
    codes[:, :, 9] = codes[:, ::-1, 3]
    assert alike_groups(agreement(codes, np.zeros(30))) == [(3, 7)]


def test_every_two_of_a_group_agree_and_the_largest_comes_first() -> None:
    agreed = np.eye(6)
    for a, b, value in ((0, 1, 0.9), (1, 2, 0.8), (0, 2, 0.3), (3, 4, 0.5), (4, 5, 0.6), (3, 5, 0.45)):
        agreed[a, b] = agreed[b, a] = value
    assert alike_groups(agreed) == [(3, 4, 5), (0, 1)]
    assert alike_groups(agreed, least=0.7) == [(0, 1)]
    assert alike_groups(np.zeros((0, 0))) == []
