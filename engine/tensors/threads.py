"""How many threads a piece of work is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORTH_SHARING = 4e8
"""Floating-point operations between two waits for each other. Below it one thread is quicker even on an idle machine;
on a busy one, threads that wait for a descheduled sibling are tens of times slower (docs/lab: 27 s for 1 s)."""


@contextmanager
def threads_for(operations: float) -> Iterator[None]:
    """All of torch's threads inside, or one where the work between two waits is too small to share.

    The choice depends on the size of the work alone, so the same run on the same machine rounds the same way.
    """
    before = torch.get_num_threads()
    if operations < _WORTH_SHARING:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
