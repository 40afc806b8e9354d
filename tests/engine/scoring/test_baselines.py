"""The ridge baseline: what it finds, and that the number of threads does not matter to it."""

import pytest
import torch

from engine.scoring.baselines import linear_probe
from engine.tensors.generators import generator


def some_heads(n: int, width: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """[n, 3, width]: a head that separates the sides, one that half separates them, one of noise; and the sides."""
    positive = torch.arange(n) % 2 == 0
    noise = torch.randn(n, 3, width, generator=generator(1, "test"))
    signs = positive.float() * 2 - 1
    noise[:, 0, 0] += 4 * signs
    noise[:, 1, 0] += signs
    return noise, positive


def test_it_tells_speaking_heads_from_noise() -> None:
    clear, some, none = linear_probe(*some_heads(120)).tolist()
    assert clear > 0.98
    assert 0.6 < some < clear
    assert 0.3 < none < 0.65


@pytest.mark.parametrize("width", [16, 40], ids=["more examples than width", "fewer"])
def test_it_leaves_every_example_out(width: int) -> None:
    """Compare with the definition: a ridge fitted again without each example, with the same penalty."""
    x, positive = some_heads(30, width)
    x = x.double()
    labels = positive.double()
    centred = x[:, 0] - x[:, 0].mean(dim=0)
    ridge = (centred @ centred.T).diagonal().mean()
    augmented = torch.cat([centred, torch.ones(30, 1, dtype=torch.float64)], dim=1)
    # The intercept bears no penalty, as in the closed form, which centres instead.
    penalty = ridge * torch.diag(torch.tensor([1.0] * width + [0.0], dtype=torch.float64))
    predicted = []
    for row in range(30):
        kept = torch.arange(30) != row
        a, b = augmented[kept], labels[kept]
        weights = torch.linalg.lstsq(a.T @ a + penalty, (a.T @ b)[:, None]).solution[:, 0]
        predicted.append(float(augmented[row] @ weights))
    wins = [
        (one > other) + 0.5 * (one == other)
        for one, is_one in zip(predicted, positive.tolist(), strict=True)
        if is_one
        for other, is_other in zip(predicted, positive.tolist(), strict=True)
        if not is_other
    ]
    assert abs(linear_probe(x.float(), positive)[0].item() - sum(wins) / len(wins)) < 1e-6


def test_more_threads_and_more_rows_find_the_same() -> None:
    """MKL's general solver fell over at 200 rows with two threads."""
    x, positive = some_heads(260)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = linear_probe(x, positive)
        torch.set_num_threads(2)
        two = linear_probe(x, positive)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(one, two, atol=1e-4)
