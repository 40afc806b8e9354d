"""Gradients are the same to the last bit with any number of threads."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from engine.tensors.gradients import recording_gradients


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "functional": lambda scores: nn.functional.softmax(scores, dim=-1),
    "functional, in float32": lambda scores: nn.functional.softmax(scores, dim=-1, dtype=torch.float32),
    "torch": lambda scores: torch.softmax(scores, -1),
    "method": lambda scores: scores.softmax(3),
    "module": nn.Softmax(dim=-1),
}


def gradient(way: Callable[[Tensor], Tensor], scores: Tensor, slope: Tensor) -> Tensor:
    scores = scores.clone().requires_grad_(True)
    with recording_gradients():
        shares = way(scores)
    return torch.autograd.grad(shares, scores, slope.to(shares.dtype))[0]


@pytest.mark.parametrize("way", WAYS)
def test_attention_of_any_size_with_one_thread_and_with_two(way: str) -> None:
    made = torch.Generator().manual_seed(0)
    for rows in (1, 2, 6, 20, 40):
        for length in (5, 16, 17, 33):
            scores, slope = (torch.randn(rows, 9, length, length, generator=made) for _ in range(2))
            found = []
            for number in (1, 2):
                torch.set_num_threads(number)
                found.append(gradient(WAYS[way], scores, slope))
                assert torch.get_num_threads() == number
            assert torch.equal(*found), (rows, length)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_gradient_of_softmax(way: str, dtype: torch.dtype) -> None:
    made = torch.Generator().manual_seed(1)
    scores, slope = (torch.randn(3, 2, 7, 7, generator=made).to(dtype) for _ in range(2))
    found = gradient(WAYS[way], scores, slope)
    shares = scores.double().exp() / scores.double().exp().sum(-1, keepdim=True)
    right = shares * (slope.double() - (shares * slope.double()).sum(-1, keepdim=True))
    assert found.dtype == dtype
    assert torch.allclose(found.double(), right, atol=1e-6 if dtype == torch.float32 else 1e-2)


def test_softmax_without_a_gradient_is_what_it_was() -> None:
    scores = torch.randn(4, 5)
    with recording_gradients():
        assert torch.equal(scores.softmax(0), torch.softmax(scores, 0))
        assert not scores.softmax(0).requires_grad
