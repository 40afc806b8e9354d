import pytest
import torch

from engine.chance import p_values, q_values, shuffle_labels
from engine.errors import Cancelled
from engine.events import Event
from engine.score import Symbols, unique_codes

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


def test_p_values_are_those_of_shuffling_one_by_one() -> None:
    codes, positive = random_codes(3), torch.arange(20) < 8
    symbols = Symbols(codes)
    labels = shuffle_labels(positive, NO_PAIRS, 50, seed=7)
    observed = unique_codes(symbols, positive).sum(dim=0)
    as_high = sum((unique_codes(symbols, row).sum(dim=0) >= observed).float() for row in labels)
    fast = p_values(symbols, positive, NO_PAIRS, n_shuffles=50, seed=7, monitor=Listener())
    assert torch.allclose(fast, (1 + as_high) / 51)


def test_shuffled_labels_seldom_call_any_head() -> None:
    called = 0
    for draw in range(60):
        labels = torch.arange(20)[torch.randperm(20, generator=torch.Generator().manual_seed(draw))] < 10
        p = p_values(Symbols(random_codes(draw)), labels, NO_PAIRS, n_shuffles=300, seed=draw, monitor=Listener())
        called += bool((q_values(p) < 0.05).any())
    assert called <= 6  # 5 % of 60 is 3; 7 or more has a chance of 3 %


def test_a_planted_head_is_called() -> None:
    codes, positive = random_codes(5), torch.arange(20) < 10
    codes[:, positive, 0] = torch.arange(10, 20, dtype=torch.int32)
    codes[:, ~positive, 0] = 1
    p = p_values(Symbols(codes), positive, NO_PAIRS, n_shuffles=1000, seed=0, monitor=Listener())
    assert q_values(p)[0] < 0.05


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
    with pytest.raises(Cancelled):
        p_values(
            Symbols(random_codes(1)),
            torch.arange(20) < 10,
            NO_PAIRS,
            n_shuffles=10,
            seed=0,
            monitor=Listener(stop=True),
        )
