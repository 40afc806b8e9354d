import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import Event
from engine.results import NO_CODE, n_edges_reported
from engine.scoring.edge_scores import RankedEdges, score_edges
from engine.scoring.node_scores import CodeOccurrences, code_measures, paired_flips, unique_codes


class Silent:
    def report(self, event: Event, /) -> None: ...

    def cancelled(self) -> bool:
        return False


@st.composite
def coded(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes [seed, example, node] and labels with both sides."""
    n_seeds, n, n_nodes = draw(st.integers(1, 2)), draw(st.integers(2, 9)), draw(st.sampled_from([4, 6]))
    flat = draw(st.lists(st.integers(-1, 3), min_size=n_seeds * n * n_nodes, max_size=n_seeds * n * n_nodes))
    labels = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda x: any(x) and not all(x)))
    return torch.tensor(flat, dtype=torch.int32).view(n_seeds, n, n_nodes), torch.tensor(labels)


def sides(codes: torch.Tensor, positive: torch.Tensor, seed: int, node: int) -> tuple[list[int], list[int]]:
    column = codes[seed, :, node]
    return column[positive].tolist(), column[~positive].tolist()


@given(coded())
@settings(deadline=None, max_examples=60)
def test_counts_are_those_of_the_definitions(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    codes, positive = case
    measures = code_measures(CodeOccurrences(codes), positive)
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
            }
            for name, value in expected.items():
                assert math.isclose(measures[name][seed, node].item(), value, abs_tol=1e-5), name


def information(on_positive: list[int], on_negative: list[int]) -> float:
    n = len(on_positive) + len(on_negative)
    bits = 0.0
    for side in (on_positive, on_negative):
        for code in set(side):
            joint = side.count(code) / n
            bits += joint * math.log2(joint / ((on_positive + on_negative).count(code) / n * len(side) / n))
    return bits - (len({*on_positive, *on_negative}) - 1) / (2 * n * math.log(2))


@given(coded())
@settings(deadline=None, max_examples=60)
def test_edges_count_code_pairs_heard_on_positives_alone(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    codes, positive = case
    edges = score_edges(codes, positive, 2, Silent())
    for source, target, score in zip(edges.source.tolist(), edges.target.tolist(), edges.score.tolist(), strict=True):
        assert source // 2 < target // 2
        total = 0
        for seed in range(codes.shape[0]):
            said = list(zip(codes[seed, :, source].tolist(), codes[seed, :, target].tolist(), strict=True))
            p = {pair for pair, label in zip(said, positive.tolist(), strict=True) if label and NO_CODE not in pair}
            q = {pair for pair, label in zip(said, positive.tolist(), strict=True) if not label}
            total += len(p - q)
        assert math.isclose(score, total / codes.shape[0], abs_tol=1e-5)


def test_edges_of_more_examples_than_one_mask_word_holds() -> None:
    codes = torch.arange(200, dtype=torch.int32).view(1, 200, 1).repeat(1, 1, 2)
    positive = torch.arange(200) < 150
    edges = score_edges(codes, positive, 1, Silent())
    assert edges.score.tolist() == [150.0]
    assert score_edges(codes // 200, positive, 1, Silent()).score.tolist() == [0.0]


def test_labels_are_not_read_from_row_order() -> None:
    codes, positive = torch.tensor([[[7], [5], [7], [5]]]), torch.tensor([True, False, True, False])
    order = torch.tensor([1, 3, 0, 2])
    shuffled = unique_codes(CodeOccurrences(codes[:, order]), positive[order])
    assert unique_codes(CodeOccurrences(codes), positive).tolist() == shuffled.tolist() == [[1.0]]


def test_tied_pairs_count_in_part_for_heads_from_edges() -> None:
    codes = torch.zeros(1, 2, 4, dtype=torch.int32)
    edges = score_edges(codes, torch.tensor([True, False]), 2, Silent())
    assert edges.heads(4).tolist() == [1.0, 1.0, 1.0, 1.0]


def test_flips_need_pairs() -> None:
    codes = torch.tensor([[[1, 1], [1, 2], [3, 3], [3, 3]]])
    assert paired_flips(codes, torch.tensor([[0, 1], [2, 3]])).tolist() == [[0.0, 0.5]]  # type: ignore[union-attr]
    assert paired_flips(codes, torch.zeros(0, 2, dtype=torch.int64)) is None


def test_a_small_models_edges_are_all_told_and_of_a_large_ones_the_best() -> None:
    assert n_edges_reported(8 * 8 * 28) == 1_792  # eight layers of eight heads
    assert n_edges_reported(9 * 9 * 435) == 200
    score = torch.arange(500.0)
    edges = RankedEdges(torch.arange(500), torch.arange(500) + 500, score, 8, torch.ones(1000))
    assert [each.score for each in edges.best()] == score.flip(0).tolist()
    assert len(edges.best(3)) == 3


def test_edges_of_equal_score_are_ordered_by_what_their_heads_write() -> None:
    source, target = torch.tensor([0, 0, 1, 1]), torch.tensor([2, 3, 2, 3])
    lengths = torch.tensor([1.0, 3.0, 0.5, 2.0])
    edges = RankedEdges(source, target, torch.tensor([4.0, 4.0, 4.0, 5.0]), 2, lengths)
    assert [(each.source, each.target) for each in edges.best()] == [
        ((0, 1), (1, 1)),  # the only 5
        ((0, 0), (1, 1)),  # 1 x 2
        ((0, 1), (1, 0)),  # 3 x .5
        ((0, 0), (1, 0)),  # 1 x .5
    ]
    # The first half of four pairs: the two on top.
    assert edges.heads(4).tolist() == [1.0, 1.0, 0.0, 2.0]
    # Where scores and lengths tie at the half's end, each tied pair counts in part.
    even = RankedEdges(source, target, torch.tensor([4.0, 4.0, 4.0, 5.0]), 2, torch.ones(4))
    assert even.heads(4).tolist() == pytest.approx([2 / 3, 4 / 3, 2 / 3, 4 / 3])
