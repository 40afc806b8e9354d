"""Choose the number of threads by measuring what is faster now.

Threads that share a core with another program are many times slower than one thread: each product waits until the
system has run the slowest (docs/lab: 27 s for 1 s). So a small product is timed with one thread and with more, again
every few seconds. Results do not depend on the choice (tests/engine/tensors/test_threads.py): torch divides rows among
threads, not sums. On Intel processors MKL and oneDNN divide sums, too. MKL has a mode without that; oneDNN, used
in half precision, has none, so there the number of threads is not chosen.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from engine.machine.cpu import is_intel

_REPRODUCIBLE = {"AVX512": "AVX512,STRICT", "AVX2": "AVX2,STRICT"}
"""MKL's modes in which no sum depends on the number of threads, by torch's instruction set."""
if is_intel() and torch.backends.cpu.get_cpu_capability() in _REPRODUCIBLE:
    # MKL reads this before its first product in the process, so it is set on import.
    os.environ.setdefault("MKL_CBWR", _REPRODUCIBLE[torch.backends.cpu.get_cpu_capability()])

_WORTH_SHARING = 4e8
"""Floating-point operations between two synchronisations below which one thread is faster even on an idle machine."""
_EVERY_S = 5.0
"""Seconds after which the choice is made again."""
_ROUNDS = 3
_GAIN = 0.9
"""Share of one thread's time that more threads must stay below to be chosen."""
_TOO_LONG = 3.0
"""Multiple of one thread's time at which a number of threads is given up."""


class ThreadChoice:
    """The number of threads that was fastest when last measured."""

    def __init__(self, most: int) -> None:
        """`most`: never more than these, as torch or OMP_NUM_THREADS set them."""
        self.most = most
        self.chosen = most
        self._measured_at = float("-inf")

    def now(self) -> int:
        """Return the number of threads to use, measured at most some seconds ago."""
        if self.most > 1 and time.monotonic() - self._measured_at >= _EVERY_S:
            before = torch.get_num_threads()
            try:
                self.chosen = _fastest(self.most)
            finally:
                torch.set_num_threads(before)
            self._measured_at = time.monotonic()
        return self.chosen


_choice: ThreadChoice | None = None


def adapt_threads(operations: float = _WORTH_SHARING, *, half: bool = False) -> None:
    """Set the number of threads for the work that follows, which takes so many operations between synchronisations.

    half: it is done in half precision, where sums on Intel processors depend on the number: all threads are used.
    """
    global _choice  # torch's number of threads is global, too
    if _choice is None:
        _choice = ThreadChoice(torch.get_num_threads())
    wanted = 1 if operations < _WORTH_SHARING else _choice.most if half and is_intel() else _choice.now()
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


def limit_threads(most: int) -> None:
    """Never use more threads than these from now on."""
    global _choice
    _choice = ThreadChoice(most)
    torch.set_num_threads(most)


def most_threads() -> int:
    """Return the largest number of threads that may be chosen."""
    return torch.get_num_threads() if _choice is None else _choice.most


@contextmanager
def threads_for(operations: float, *, half: bool = False) -> Iterator[None]:
    """Within the context, use the number of threads that adapt_threads sets."""
    before = torch.get_num_threads()
    adapt_threads(operations, half=half)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fastest(most: int) -> int:
    """Return 1, or the number of threads (most, half of it, ...) that is clearly faster now."""
    left, right = torch.ones(256, 576), torch.ones(576, 256)
    made = torch.empty(256, 256)
    alone = 0.0
    numbers = [most >> halvings for halvings in range(most.bit_length() - 1)]
    seconds = dict.fromkeys(numbers, 0.0)
    for _ in range(_ROUNDS):
        alone += _seconds(left, right, made, 1)
        for number in numbers:
            if seconds[number] < _TOO_LONG * alone:
                seconds[number] += _seconds(left, right, made, number)
    taken, number = min((taken, number) for number, taken in seconds.items())
    return number if taken < _GAIN * alone else 1


def _seconds(left: torch.Tensor, right: torch.Tensor, made: torch.Tensor, threads: int) -> float:
    """Return the seconds of one product with so many threads."""
    torch.set_num_threads(threads)
    begun = time.perf_counter()
    torch.mm(left, right, out=made)
    return time.perf_counter() - begun
