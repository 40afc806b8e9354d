"""Test each measure against its definition, written out over lists of codes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.code_scores.code_measures import CODE_MEASURES, code_measures, count_codes, paired_flips
from engine.measures import MEASURES
from engine.results import NO_CODE
from engine.scoring.code_occurrences import CodeOccurrences


@st.composite
def coded(draw: st.DrawFn) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Codes [seed, example, head] and labels with both sides."""
    n_seeds, n, n_nodes = draw(st.integers(1, 2)), draw(st.integers(2, 9)), draw(st.sampled_from([4, 6]))
    flat = draw(st.lists(st.integers(-1, 3), min_size=n_seeds * n * n_nodes, max_size=n_seeds * n * n_nodes))
    labels = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda x: any(x) and not all(x)))
    return np.array(flat, dtype=np.int32).reshape(n_seeds, n, n_nodes), np.array(labels)


def sides(codes: NDArray[np.int32], positive: NDArray[np.bool_], seed: int, node: int) -> tuple[list[int], list[int]]:
    column = codes[seed, :, node]
    return column[positive].tolist(), column[~positive].tolist()


@given(coded())
@settings(deadline=None, max_examples=60)
def test_every_measure_follows_its_definition(case: tuple[NDArray[np.int32], NDArray[np.bool_]]) -> None:
    codes, positive = case
    measures = code_measures(count_codes(codes, positive))
    for seed in range(codes.shape[0]):
        for node in range(codes.shape[2]):
            on_positive, on_negative = sides(codes, positive, seed, node)
            p, q = set(on_positive) - {NO_CODE}, set(on_negative) - {NO_CODE}
            expected = {
                "unique_positive": len(p - q),
                "unique_negative": len(q - p),
                "unique_normalised": len(p - q) / len(p | q) if p | q else 0.0,
                "overlap": len(p & q) / len(p | q) if p | q else 1.0,
                "unique_share": sum(code in p - q for code in on_positive) / len(on_positive),
                "silent": (on_positive + on_negative).count(NO_CODE) / codes.shape[1],
                "total_variation": 0.5
                * sum(
                    abs(on_positive.count(code) / len(on_positive) - on_negative.count(code) / len(on_negative))
                    for code in {*on_positive, *on_negative}
                ),
                "mutual_information": information(on_positive, on_negative),
                "code_accuracy": accuracy(on_positive, on_negative),
            }
            assert expected.keys() == CODE_MEASURES.keys()
            for name, value in expected.items():
                assert math.isclose(measures[name][seed, node], value, abs_tol=1e-9), name


def information(on_positive: list[int], on_negative: list[int]) -> float:
    n = len(on_positive) + len(on_negative)
    bits = 0.0
    for side in (on_positive, on_negative):
        for code in set(side):
            joint = side.count(code) / n
            bits += joint * math.log2(joint / ((on_positive + on_negative).count(code) / n * len(side) / n))
    return bits - (len({*on_positive, *on_negative}) - 1) / (2 * n * math.log(2))


def accuracy(on_positive: list[int], on_negative: list[int]) -> float:
    """Leave out each example in turn and guess its side from the codes of the others."""
    shares = []
    for own, other in ((on_positive, on_negative), (on_negative, on_positive)):
        right = 0.0
        for left_out, code in enumerate(own):
            rest = own[:left_out] + own[left_out + 1 :]
            here, there = rest.count(code) * len(other), other.count(code) * max(1, len(rest))
            right += 1.0 if here > there else 0.5 if here == there else 0.0
        shares.append(right / len(own))
    return sum(shares) / 2


@given(coded())
@settings(deadline=None, max_examples=30)
def test_counts_from_tensors_are_those_from_arrays(case: tuple[NDArray[np.int32], NDArray[np.bool_]]) -> None:
    codes, positive = case
    from_tensors = CodeOccurrences(torch.from_numpy(codes)).per_side(torch.from_numpy(positive))
    from_arrays = count_codes(codes, positive)
    assert from_tensors.shape == from_arrays.shape
    for name in ("on_positive", "on_negative", "active", "owner"):
        assert getattr(from_tensors, name).tolist() == getattr(from_arrays, name).tolist(), name


def test_measures_that_need_only_codes_have_a_row_in_the_table() -> None:
    assert set(CODE_MEASURES) - {"silent"} <= {measure.id for measure in MEASURES}


def test_codes_that_occur_once_say_nothing_about_other_examples() -> None:
    # Head 0 has a new code on every example, head 1 one code for each side, head 2 the same code everywhere.
    codes = np.array([[[0, 1, 5], [1, 1, 5], [2, 0, 5], [3, 0, 5]]])
    measures = code_measures(count_codes(codes, np.array([True, True, False, False])))
    assert measures["total_variation"].tolist() == [[1.0, 1.0, 0.0]]
    assert measures["code_accuracy"].tolist() == [[0.5, 1.0, 0.5]]


def test_labels_are_not_read_from_row_order() -> None:
    codes, positive = np.array([[[7], [5], [7], [5]]]), np.array([True, False, True, False])
    order = [1, 3, 0, 2]
    shuffled = code_measures(count_codes(codes[:, order], positive[order]))
    straight = code_measures(count_codes(codes, positive))
    assert straight["unique_positive"].tolist() == shuffled["unique_positive"].tolist() == [[1.0]]


def test_flips_need_pairs() -> None:
    codes = np.array([[[1, 1], [1, 2], [3, 3], [3, 3]]])
    assert paired_flips(codes, np.array([[0, 1], [2, 3]])) == pytest.approx(np.array([[0.0, 0.5]]))
    assert paired_flips(codes, np.zeros((0, 2), dtype=np.int64)) is None
