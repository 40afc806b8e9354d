"""When Python's collector looks for garbage: while nobody presses a key, and only at what is new.

With 10,000 examples a full sweep takes 30 ms of the processor, up to 120 by the clock on a busy machine: more than
a frame, at a moment nobody chose. So what the start has made is left alone for good, full sweeps wait for a pause, and
only somebody who never pauses gets one in between.
"""

import gc
import time
from collections.abc import Callable

_EVERY_S = 5.0
_PAUSE_S = 1.0
"""Without a key for so long, nobody is in the middle of something."""
_WORTH_IT = 8
"""Collections of the middle generation since the last full one."""
_LATEST = 400
"""As many of them bring a full one by themselves: Python's own number is 10."""


class IdleCollector:
    """Ask `touched` at every key, `sweep` now and then."""

    def __init__(
        self, every: Callable[[float, Callable[[], None]], object], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._touched_at = clock()
        gc.freeze()
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, _LATEST)
        every(_EVERY_S, self.sweep)

    def touched(self) -> None:
        self._touched_at = self._clock()

    def sweep(self) -> None:
        if gc.get_count()[2] >= _WORTH_IT and self._clock() - self._touched_at >= _PAUSE_S:
            gc.collect()
