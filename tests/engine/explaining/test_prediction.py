"""Precision and recall by their definitions, the rules of one token, and the threshold."""

import math

import pytest

from engine.explaining.prediction import best_threshold, frequent_token, judge, quality, telling_token


def test_precision_and_recall_by_hand() -> None:
    found = judge([True, True, True, False, False], [True, True, False, True, False])
    assert (found.precision, found.recall) == (round(2 / 3, 4), round(2 / 3, 4))
    assert (found.said, found.right, found.with_code, found.prompts) == (3, 2, 3, 5)
    nothing = judge([False, False], [True, False])
    assert (nothing.precision, nothing.recall, quality(nothing)) == (None, 0.0, 0.0)
    assert judge([True], [False]).recall is None
    # F with beta 1/2: (1 + 1/4) P R / (P / 4 + R)
    assert quality(found) == pytest.approx(2 / 3)
    assert quality(judge([True, False, False], [True, True, False])) == pytest.approx(1.25 * 0.5 / (0.25 + 0.5))


def test_the_threshold_lies_between_those_with_and_those_without() -> None:
    threshold, found = best_threshold([0.9, 0.7, 0.3, -math.inf], [True, True, False, False], -1.0)
    assert (threshold, found) == (pytest.approx(0.5), 1.0)
    assert best_threshold([0.1, 0.2], [False, False], -1.0) == (math.inf, 0.0)
    assert best_threshold([-2.0], [True], -1.0) == (math.inf, 0.0)


def test_the_most_frequent_token_need_not_tell_anything() -> None:
    prompts = [[1, 2, 7], [1, 3, 7], [1, 4], [1, 5]]
    truth = [True, True, False, False]
    assert frequent_token(prompts, truth) == 7  # as frequent as 1, which all have
    assert frequent_token([[1, 2], [1, 7], [1]], [True, True, False]) == 1
    assert telling_token([[1, 2], [1, 2], [1]], [True, True, False]) == 2
    assert frequent_token(prompts, [False] * 4) is None
