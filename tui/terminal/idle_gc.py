"""Run full garbage collections while no key is pressed.

With 10,000 examples a full collection takes 30 ms of CPU time, up to 120 ms on a busy machine: more than a frame. So
objects made at start are frozen, and full collections wait for a pause in typing, or happen after 400 generation-1
collections without one.
"""

import gc
import time
from collections.abc import Callable

_YOUNG, _MIDDLE = 700, 10
"""Python's defaults; the start has raised them (tui.start)."""
_EVERY_S = 5.0
_PAUSE_S = 1.0
"""Seconds without a key that count as a pause."""
_MIN_COLLECTIONS = 8
"""Generation-1 collections since the last full one that make another worthwhile."""
_MAX_COLLECTIONS = 400
"""Generation-1 collections after which Python runs a full one itself; its default is 10."""


class IdleCollector:
    """Delays full collections; call `touched` at every key."""

    def __init__(
        self, every: Callable[[float, Callable[[], None]], object], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._touched_at = clock()
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _MAX_COLLECTIONS)
        every(_EVERY_S, self.sweep)

    def touched(self) -> None:
        self._touched_at = self._clock()

    def sweep(self) -> None:
        if gc.get_count()[2] >= _MIN_COLLECTIONS and self._clock() - self._touched_at >= _PAUSE_S:
            gc.collect()
