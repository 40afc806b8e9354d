"""Fetches what a screen shows of the inside of nodes, in the background."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from textual.screen import Screen

from engine.errors import Failure
from sessions.protocol import AnyRequest
from tui.state.node_parts import NodeParts

FetchPart = Callable[[AnyRequest, type[Any]], Awaitable[Any | Failure]]
"""Returns the answer, or why there is none."""
Wanted = Sequence[tuple[AnyRequest | None, type[Any]]]
"""Requests in the order in which they are wanted, with the class of their answer; None: nothing."""
_TICK_S = 0.25


class PartsLoader:
    """Asks for one thing after another, always for the first that is wanted then and not here, and redraws."""

    def __init__(
        self,
        screen: Screen[Any],
        parts: NodeParts,
        fetch: FetchPart,
        wanted: Callable[[], Wanted],
        paint: Callable[[], None],
    ) -> None:
        self._screen, self._parts, self._fetch = screen, parts, fetch
        self._wanted, self._paint = wanted, paint
        self._busy = False

    def start(self) -> None:
        """Ask for what is wanted, unless that is under way."""
        if not self._busy and self._next() is not None:
            self._busy = True
            self._screen.run_worker(self._ask_all(), group="parts", exit_on_error=True)

    def _next(self) -> tuple[AnyRequest, type[Any]] | None:
        for request, kind in self._wanted():
            if request is not None and request not in self._parts.answers:
                return request, kind
        return None

    async def _ask_all(self) -> None:
        timer = self._screen.set_interval(_TICK_S, self._paint)
        try:
            while (found := self._next()) is not None:
                request, kind = found
                self._parts.begin(request)
                self._paint()
                self._parts.end(request, await self._fetch(request, kind))
                self._paint()
        finally:
            self._parts.asking, self._busy = None, False
            timer.stop()
