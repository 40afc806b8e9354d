"""Compare four qualities of a ranking with plain counting."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.ranking_metrics import quality

RANKINGS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=6)


def test_a_ranking_done_by_hand() -> None:
    found = quality([9, 8, 7, 6, 5], [True, False, True, False, False])
    assert found is not None
    assert found.auc == pytest.approx(5 / 6)
    assert found.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.precision_at_size == pytest.approx(1 / 2)
    assert found.f1 == pytest.approx(2 * 2 / (3 + 2))


def test_a_perfect_ranking_and_one_that_says_nothing() -> None:
    truth = [True, True, False, False, False, False]
    best = quality([2, 2, 1, 0, 0, 0], truth)
    assert best is not None
    assert (best.auc, best.average_precision, best.precision_at_size, best.f1) == (1, 1, 1, 1)
    level = quality([1.0] * 6, truth)
    assert level is not None
    assert level.auc == 0.5
    assert level.average_precision == level.precision_at_size == pytest.approx(1 / 3)
    assert level.f1 == pytest.approx(2 * 2 / (6 + 2))


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_without_both_kinds_there_is_no_quality(truth: list[bool]) -> None:
    assert quality([1, 2], truth) is None


@given(RANKINGS)
def test_ties_count_as_the_mean_over_all_their_orders(rows: list[tuple[int, bool]]) -> None:
    strengths, truth = [strength for strength, _ in rows], [true for _, true in rows]
    found = quality(strengths, truth)
    if found is None:
        assert len(set(truth)) == 1
        return
    size, n_false = sum(truth), len(truth) - sum(truth)
    at_size, outranked, orders = Fraction(0), Fraction(0), 0
    for order in itertools.permutations(range(len(rows))):
        if any(strengths[a] < strengths[b] for a, b in itertools.pairwise(order)):
            continue
        orders += 1
        at_size += Fraction(sum(truth[place] for place in order[:size]), size)
        better = sum(truth[a] and not truth[b] for a, b in itertools.combinations(order, 2))
        outranked += Fraction(better, size * n_false)
    assert found.precision_at_size == pytest.approx(float(at_size / orders))
    assert found.auc == pytest.approx(float(outranked / orders))


@given(st.lists(st.booleans(), min_size=2, max_size=30))
def test_without_ties_precision_and_f1_are_those_of_every_cut(truth: list[bool]) -> None:
    found = quality(list(range(len(truth), 0, -1)), truth)
    if found is None:
        return
    cuts = [(sum(truth[:n]) / n, sum(truth[:n]) / sum(truth), truth[n - 1]) for n in range(1, len(truth) + 1)]
    assert found.average_precision == pytest.approx(sum(p for p, _, hit in cuts if hit) / sum(truth))
    assert found.f1 == pytest.approx(max(2 * p * r / (p + r) if p + r else 0.0 for p, r, _ in cuts))
