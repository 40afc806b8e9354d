"""Share the store's time fairly: the client that used least of it recently is served next."""

import math
import time
from collections import deque
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")

_FORGET_S = 5.0
"""Seconds after which a client's use of the store is discounted to about a third."""


class QueueClient:
    """A client, or the host itself, and how much of the store's time it used recently."""

    def __init__(self) -> None:
        self._took_s = 0.0
        self._at = time.monotonic()

    def charge(self, seconds: float) -> None:
        self._took_s = self.load() + seconds
        self._at = time.monotonic()

    def load(self) -> float:
        """Return the recent use in seconds, discounted by age."""
        return self._took_s * math.exp((self._at - time.monotonic()) / _FORGET_S)


WRITER: ContextVar[QueueClient | None] = ContextVar("writer", default=None)
"""The client whose request is being answered; None: the host acts by itself."""


class FairQueue(Generic[T]):
    """Items of several clients, in order per client; the client with the lowest load is served first.

    A client that sends few requests does not wait for one that never stops. Nobody waits for ever, since the load
    of others grows.
    """

    def __init__(self) -> None:
        self._waiting: dict[QueueClient, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, client: QueueClient, item: T) -> None:
        self._waiting.setdefault(client, deque()).append(item)

    def put_back(self, client: QueueClient, item: T) -> None:
        """Put an item back at the front. Put several items of one client back in reverse order."""
        self._waiting.setdefault(client, deque()).appendleft(item)

    def turns(self) -> list[QueueClient]:
        """Return the clients that have items, in the order in which to serve them."""
        return sorted(self._waiting, key=QueueClient.load)

    def first(self, client: QueueClient) -> T | None:
        """Return the client's next item without taking it; None if there is none."""
        return self._waiting[client][0] if client in self._waiting else None

    def take(self, client: QueueClient) -> T:
        items = self._waiting[client]
        item = items.popleft()
        if not items:
            del self._waiting[client]
        return item
