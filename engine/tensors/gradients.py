"""Gradients that do not depend on the number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from engine.tensors.threads import threads_for

_SOFTMAX = frozenset({torch.nn.functional.softmax, torch.softmax, Tensor.softmax})


@contextmanager
def recording_gradients() -> Iterator[None]:
    """Record gradients within the context.

    On a CPU the backward pass of torch's softmax gives other last digits with two threads than with one, also for a few
    rows; its forward pass and all else that models are made of do not (seen in 2.13.0; findings/softmax-threads.sh). So
    that pass, a small part of the whole, takes one thread.
    """
    with torch.enable_grad(), _SoftmaxMode():
        yield


class _SoftmaxMode(TorchFunctionMode):
    """Takes the place of softmax, whoever calls it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        scores: Any = args[0] if args else named.get("input")
        dim = args[1] if len(args) > 1 else named.get("dim")
        if func not in _SOFTMAX or dim is None or len(args) > 2 or scores.device.type != "cpu":
            return func(*args, **named)
        scores = scores if named.get("dtype") is None else scores.to(named["dtype"])
        return _Softmax.apply(scores, dim)  # type: ignore[no-untyped-call]  # torch gives it no types


class _Softmax(torch.autograd.Function):
    """Softmax whose backward pass takes one thread."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, dim: int) -> Tensor:
        shares = scores.softmax(dim)
        ctx.save_for_backward(shares)
        ctx.dim = dim
        return shares

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (shares,) = ctx.saved_tensors
        with threads_for(0):
            return torch.ops.aten._softmax_backward_data(gradient, shares, ctx.dim, shares.dtype), None
