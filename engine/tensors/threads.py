"""Choose the number of threads for a piece of work."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORTH_SHARING = 4e8
"""Floating-point operations between two synchronisations below which one thread is faster even on an idle machine.

On a busy machine, threads that wait for a descheduled sibling are tens of times slower (docs/lab: 27 s for 1 s).
"""


@contextmanager
def threads_for(operations: float) -> Iterator[None]:
    """Within the context, use all of torch's threads, or one if the work between synchronisations is too small.

    The choice depends only on the size of the work, so the same run on the same machine rounds the same way.
    """
    before = torch.get_num_threads()
    if operations < _WORTH_SHARING:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
