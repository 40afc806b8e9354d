"""One bundled model in memory for all engine tests of a process, and a monitor that keeps what it hears."""

from collections.abc import Callable

import pytest

from engine.events import Event
from engine.shelf import Shelf


class Recorder:
    """A Monitor that keeps every event, and stops when told to."""

    def __init__(self, stop: Callable[[Event], bool] = lambda _: False) -> None:
        self.events: list[Event] = []
        self._stop_at = stop
        self._stopped = False

    def report(self, event: Event, /) -> None:
        self.events.append(event)
        self._stopped = self._stopped or self._stop_at(event)

    def cancelled(self) -> bool:
        return self._stopped

    def last(self, kind: type[Event]) -> Event:
        return [event for event in self.events if isinstance(event, kind)][-1]


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture(scope="session")
def shelf() -> Shelf:
    return Shelf()
