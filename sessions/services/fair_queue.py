"""Whose change is next: that of whoever has taken the least of late."""

import math
import time
from collections import deque
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")

_FORGET_S = 5.0
"""Seconds after which two thirds of what somebody load are forgotten."""


class QueueClient:
    """A client, or the host itself, and how much of the store's time it load of late."""

    def __init__(self) -> None:
        self._took_s = 0.0
        self._at = time.monotonic()

    def charge(self, seconds: float) -> None:
        self._took_s = self.load() + seconds
        self._at = time.monotonic()

    def load(self) -> float:
        """Seconds, the older the less they count."""
        return self._took_s * math.exp((self._at - time.monotonic()) / _FORGET_S)


WRITER: ContextVar[QueueClient | None] = ContextVar("writer", default=None)
"""Whose request is being answered; None: the host does something of its own accord."""


class FairQueue(Generic[T]):
    """Items of several clients: in order for each of them, but somebody who seldom asks does not wait for those who
    never stop. Nobody waits for ever: what others take counts against them."""

    def __init__(self) -> None:
        self._waiting: dict[QueueClient, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, client: QueueClient, item: T) -> None:
        self._waiting.setdefault(client, deque()).append(item)

    def put_back(self, client: QueueClient, item: T) -> None:
        """As if it had not been taken. Several of one client are put back last first."""
        self._waiting.setdefault(client, deque()).appendleft(item)

    def turns(self) -> list[QueueClient]:
        """The clients for whom something waits, in the order in which they are to be served."""
        return sorted(self._waiting, key=QueueClient.load)

    def first(self, client: QueueClient) -> T | None:
        """The client's next item, which stays where it is."""
        return self._waiting[client][0] if client in self._waiting else None

    def take(self, client: QueueClient) -> T:
        items = self._waiting[client]
        item = items.popleft()
        if not items:
            del self._waiting[client]
        return item
