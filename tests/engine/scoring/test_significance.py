import pytest
import torch

from engine.code_scores.code_measures import total_variation
from engine.errors import Cancelled
from engine.events import Event
from engine.scoring.code_occurrences import CodeOccurrences
from engine.scoring.significance import label_permutations, p_values, q_values, shuffle_labels

NO_PAIRS = torch.zeros(0, 2, dtype=torch.int64)


class Listener:
    def __init__(self, *, stop: bool = False) -> None:
        self.stop = stop

    def report(self, event: Event, /) -> None: ...

    def cancelled(self) -> bool:
        return self.stop


def random_codes(seed: int, n: int = 20, n_nodes: int = 40) -> torch.Tensor:
    return torch.randint(-1, 6, (2, n, n_nodes), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)


def test_pairs_exchange_sides_and_the_rest_keeps_its_numbers() -> None:
    positive = torch.tensor([True, False, True, False, True, True, False])
    pairs = torch.tensor([[0, 1], [2, 3]])
    labels = shuffle_labels(positive, pairs, 500, seed=0)
    assert (labels[:, 0] != labels[:, 1]).all()
    assert (labels[:, 2] != labels[:, 3]).all()
    assert (labels[:, 4:].sum(dim=1) == 2).all()
    assert 0.4 < labels[:, 0].float().mean() < 0.6


def random_norms(seed: int, n: int = 20, n_nodes: int = 40) -> torch.Tensor:
    return torch.rand(n, n_nodes, generator=torch.Generator().manual_seed(1000 + seed))


def test_few_pairs_are_exchanged_in_every_way_and_more_at_random() -> None:
    positive = torch.tensor([True, False] * 4)
    pairs = torch.arange(8).view(-1, 2)
    every = label_permutations(positive, pairs, 8, seed=0)
    assert every[0].tolist() == positive.tolist()
    assert len({tuple(row) for row in every.tolist()}) == len(every) == 8
    assert (every[:, 0] != every[:, 1]).all()
    drawn = label_permutations(positive, pairs, 7, seed=0)
    assert len(drawn) == 8
    assert drawn[0].tolist() == positive.tolist()
    assert len(label_permutations(positive, NO_PAIRS, 50, seed=0)) == 51


def test_p_values_are_those_of_counting_one_by_one() -> None:
    codes, output_norm = random_codes(3, n_nodes=6), random_norms(3, n_nodes=6)
    labels = label_permutations(torch.arange(20) < 8, NO_PAIRS, 60, seed=7)
    by_code = [total_variation(CodeOccurrences(codes).per_side(row)).mean(axis=0).tolist() for row in labels]
    apart = [(output_norm[row].mean(dim=0) - output_norm[~row].mean(dim=0)).abs().tolist() for row in labels]

    def rank(table: list[list[float]], row: int, node: int) -> float:
        return sum(each[node] >= table[row][node] - 1e-6 for each in table) / len(table)

    rarer = [[min(rank(by_code, row, n), rank(apart, row, n)) for n in range(6)] for row in range(len(labels))]
    slow = [sum(row[n] <= rarer[0][n] + 1e-6 for row in rarer) / len(rarer) for n in range(6)]
    assert p_values(CodeOccurrences(codes), output_norm, labels, Listener()).tolist() == pytest.approx(slow)


def test_shuffled_labels_seldom_call_any_head() -> None:
    called = 0
    for draw in range(60):
        truth = torch.arange(20)[torch.randperm(20, generator=torch.Generator().manual_seed(draw))] < 10
        labels = label_permutations(truth, NO_PAIRS, 300, seed=draw)
        p = p_values(CodeOccurrences(random_codes(draw)), random_norms(draw), labels, Listener())
        called += bool((q_values(p) < 0.05).any())
    assert called <= 6  # 5 % of 60 is 3; 7 or more has a chance of 3 %


def test_a_planted_head_is_called_by_its_codes_and_by_its_loudness() -> None:
    codes, output_norm, positive = random_codes(5), random_norms(5), torch.arange(20) < 10
    codes[:, positive, 0] = torch.randint(0, 3, (10,), dtype=torch.int32)
    codes[:, ~positive, 0] = torch.randint(3, 6, (10,), dtype=torch.int32)
    output_norm[positive, 7] += 2.0
    labels = label_permutations(positive, NO_PAIRS, 1000, seed=0)
    q = q_values(p_values(CodeOccurrences(codes), output_norm, labels, Listener()))
    assert (q < 0.05).nonzero()[:, 0].tolist() == [0, 7]


def test_codes_of_the_pairs_own_are_no_evidence_but_the_same_in_every_pair_are() -> None:
    """Under contrast every pair may get codes of its own: many unique codes, and nothing that labels decide."""
    n = 12
    positive, pairs = torch.tensor([True, False] * n), torch.arange(2 * n).view(-1, 2)
    codes = torch.empty(1, 2 * n, 2, dtype=torch.int32)
    codes[0, :, 0] = torch.arange(2 * n)
    codes[0, :, 1] = torch.arange(2 * n) % 2
    labels = label_permutations(positive, pairs, 1000, seed=0)
    p = p_values(CodeOccurrences(codes), torch.ones(2 * n, 2), labels, Listener())
    assert p[0] == 1.0
    assert p[1] < 0.002


def test_q_values_are_benjamini_and_hochbergs() -> None:
    # Their 1995 paper's example: fifteen p-values, four called at .05.
    p = torch.tensor(
        [
            0.0001,
            0.0004,
            0.0019,
            0.0095,
            0.0201,
            0.0278,
            0.0298,
            0.0344,
            0.0459,
            0.3240,
            0.4262,
            0.5719,
            0.6528,
            0.7590,
            1,
        ]
    )
    assert int((q_values(p) <= 0.05).sum()) == 4
    assert torch.allclose(q_values(p.flip(0)).flip(0), q_values(p))


def test_shuffling_can_be_stopped() -> None:
    labels = label_permutations(torch.arange(20) < 10, NO_PAIRS, 10, seed=0)
    with pytest.raises(Cancelled):
        p_values(CodeOccurrences(random_codes(1)), random_norms(1), labels, Listener(stop=True))
