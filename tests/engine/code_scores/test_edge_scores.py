"""Test edge scores against their definition, and how ties are ordered and counted."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.code_scores.edge_scores import RankedEdges, score_edges
from engine.nodes import NodeLayout
from engine.results import NO_CODE, n_edges_reported

ONE_EACH = NodeLayout(n_layers=2, n_heads=1)


def of_two(n_nodes: int) -> NodeLayout:
    return NodeLayout(n_layers=n_nodes // 2, n_heads=2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 2), st.integers(2, 9), st.sampled_from([4, 6]))
def test_edges_count_code_pairs_on_positives_only(draw: int, n_seeds: int, n: int, n_nodes: int) -> None:
    random = np.random.default_rng(draw)
    codes = random.integers(NO_CODE, 4, (n_seeds, n, n_nodes))
    positive = random.permutation([True, False, *random.integers(0, 2, n - 2).astype(bool)])
    edges = score_edges(codes, positive, of_two(n_nodes))
    for source, target, score in zip(edges.source.tolist(), edges.target.tolist(), edges.score.tolist(), strict=True):
        assert source // 2 < target // 2
        total = 0
        for seed in range(n_seeds):
            both = list(zip(codes[seed, :, source].tolist(), codes[seed, :, target].tolist(), strict=True))
            p = {pair for pair, label in zip(both, positive.tolist(), strict=True) if label and NO_CODE not in pair}
            q = {pair for pair, label in zip(both, positive.tolist(), strict=True) if not label}
            total += len(p - q)
        assert math.isclose(score, total / n_seeds, abs_tol=1e-9)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_edges_of_heads_and_mlps_follow_the_forward_pass(draw: int, parallel: bool) -> None:
    layout = NodeLayout(n_layers=2, n_heads=2, choice="all", parallel=parallel)
    random = np.random.default_rng(draw)
    codes, positive = random.integers(NO_CODE, 3, (1, 6, layout.n_nodes)), np.array([True, False] * 3)
    edges = score_edges(codes, positive, layout)
    pairs = set(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    assert pairs == {
        (one, other)
        for one in range(layout.n_nodes)
        for other in range(layout.n_nodes)
        if layout.order[one] < layout.order[other]
    }
    for source, target, score in zip(edges.source.tolist(), edges.target.tolist(), edges.score.tolist(), strict=True):
        both = list(zip(codes[0, :, source].tolist(), codes[0, :, target].tolist(), strict=True))
        p = {pair for pair, label in zip(both, positive, strict=True) if label and NO_CODE not in pair}
        assert score == len(p - {pair for pair, label in zip(both, positive, strict=True) if not label})


def test_edges_of_more_examples_than_one_mask_word_holds() -> None:
    codes = np.arange(200)[None, :, None].repeat(2, axis=2)
    positive = np.arange(200) < 150
    assert score_edges(codes, positive, ONE_EACH).score.tolist() == [150.0]
    assert score_edges(codes // 200, positive, ONE_EACH).score.tolist() == [0.0]


def test_the_share_done_is_reported_between_blocks_and_may_stop_the_work() -> None:
    codes, positive = np.zeros((2, 4, 6), dtype=np.int64), np.array([True, True, False, False])
    shares: list[float] = []
    score_edges(codes, positive, of_two(6), on_progress=shares.append)
    assert shares == pytest.approx([0.0, 1 / 6, 1 / 2, 2 / 3])

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_edges(codes, positive, of_two(6), on_progress=stop)


def test_one_layer_has_no_edges() -> None:
    edges = score_edges(np.zeros((1, 2, 4), dtype=np.int64), np.array([True, False]), NodeLayout(n_layers=1, n_heads=4))
    assert edges.best() == ()
    assert edges.per_node().tolist() == [0.0] * 4


def test_tied_pairs_count_in_part_for_heads_from_edges() -> None:
    edges = score_edges(np.zeros((1, 2, 4), dtype=np.int64), np.array([True, False]), of_two(4))
    assert edges.per_node().tolist() == [1.0, 1.0, 1.0, 1.0]


def test_all_edges_of_a_small_model_are_reported_and_the_best_of_a_large_one() -> None:
    assert n_edges_reported(8 * 8 * 28) == 1_792  # eight layers of eight heads
    assert n_edges_reported(9 * 9 * 435) == 200
    score = np.arange(500.0)
    edges = RankedEdges(NodeLayout(n_layers=125, n_heads=8), np.arange(500), np.arange(500) + 500, score, np.ones(1000))
    assert [each.score for each in edges.best()] == score[::-1].tolist()
    assert len(edges.best(3)) == 3


def test_edges_of_equal_score_are_ordered_by_what_their_heads_write() -> None:
    source, target = np.array([0, 0, 1, 1]), np.array([2, 3, 2, 3])
    lengths = np.array([1.0, 3.0, 0.5, 2.0])
    edges = RankedEdges(of_two(4), source, target, np.array([4.0, 4.0, 4.0, 5.0]), lengths)
    assert [(each.source, each.target) for each in edges.best()] == [
        ((0, 1), (1, 1)),  # the only 5
        ((0, 0), (1, 1)),  # 1 x 2
        ((0, 1), (1, 0)),  # 3 x .5
        ((0, 0), (1, 0)),  # 1 x .5
    ]
    # The first half of four pairs: the two on top.
    assert edges.per_node().tolist() == [1.0, 1.0, 0.0, 2.0]
    # Where scores and lengths tie at the half's end, each tied pair counts in part.
    even = RankedEdges(of_two(4), source, target, np.array([4.0, 4.0, 4.0, 5.0]), np.ones(4))
    assert even.per_node().tolist() == pytest.approx([2 / 3, 4 / 3, 2 / 3, 4 / 3])
