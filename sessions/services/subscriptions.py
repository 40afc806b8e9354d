"""Who wants to hear of which session, and how far each has heard."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from engine.errors import Failure
from sessions.services.writer import StoreWriter
from sessions.store.recorder import RecordedEntry, stored_lines

_FIRST_CHUNK = 256
_CHUNK_BYTES = 1 << 20


class Listener(Protocol):
    """The connection behind a subscription."""

    def push(self, subscription: int, lines: Sequence[bytes]) -> None: ...

    def is_lagging(self) -> bool: ...

    def catch_up(self, subscription: "Subscription", last_seq: int) -> None: ...

    async def drain(self) -> None: ...

    def end(self, subscription: int, failure: Failure) -> None: ...


class Subscription:
    """One client's wish to hear of one session."""

    def __init__(self, listener: Listener, number: int, session_id: str, run_id: str | None, after_seq: int) -> None:
        self.listener = listener
        self.number = number
        self.session_id = session_id
        self.run_id = run_id
        self.sent = after_seq
        """All entries up to here were sent, or are of no interest."""
        self.goal = after_seq
        """The last entry it is known to be behind of."""
        self.live = False
        """Whether it has caught up, so that new entries go to it as they are committed."""

    def wants(self, run_id: str | None) -> bool:
        return self.run_id is None or run_id is None or run_id == self.run_id


class Subscriptions:
    """Tells committed entries to everyone who subscribed: old ones from the store, then new ones as they come."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, list[Subscription]] = {}

    def add(self, subscription: Subscription) -> None:
        self._subscriptions.setdefault(subscription.session_id, []).append(subscription)

    def remove(self, subscription: Subscription) -> None:
        there = self._subscriptions.get(subscription.session_id, [])
        if subscription in there:
            there.remove(subscription)
        if not there:
            self._subscriptions.pop(subscription.session_id, None)

    def publish(self, recorded: Sequence[RecordedEntry]) -> None:
        """Sends entries that are committed to those who have heard everything before them."""
        by_session: dict[str, list[RecordedEntry]] = {}
        for each in recorded:
            by_session.setdefault(each.entry.session_id, []).append(each)
        for session_id, entries in by_session.items():
            for subscription in tuple(self._subscriptions.get(session_id, ())):
                subscription.goal = entries[-1].entry.seq
                if subscription.live and subscription.listener.is_lagging():
                    # What it cannot take now it reads from the store later, at its own pace.
                    subscription.live = False
                    subscription.listener.catch_up(subscription, entries[-1].entry.seq)
                elif subscription.live:
                    fresh = [each for each in entries if each.entry.seq > subscription.sent]
                    lines = [each.line for each in fresh if subscription.wants(each.entry.run_id)]
                    subscription.sent = entries[-1].entry.seq
                    if lines:
                        subscription.listener.push(subscription.number, lines)

    def fail(self, session_id: str, failure: Failure) -> None:
        """Ends the session's subscriptions: what happens in it can no longer be recorded, so it cannot be told."""
        for subscription in self._subscriptions.pop(session_id, []):
            subscription.listener.end(subscription.number, failure)

    async def catch_up(self, subscription: Subscription, writer: StoreWriter, last_seq: int) -> None:
        """Sends what the store holds, at the client's own pace, until the subscription is live."""
        session_id = subscription.session_id
        # Whatever was committed before the subscription was added is in the store by now; what comes later moves its
        # goal, or is sent to it.
        now = await writer.change(lambda recorder: (recorder.last_seq(session_id), []))
        subscription.goal = max(last_seq, now, subscription.goal)
        step = _FIRST_CHUNK
        while subscription.sent < subscription.goal:
            up_to = min(subscription.sent + step, subscription.goal)
            lines = await writer.read(
                lambda store, to=up_to: stored_lines(  # type: ignore[misc]
                    store,
                    session_id,
                    after_seq=subscription.sent,
                    up_to=to,
                    run_id=subscription.run_id,
                )
            )
            subscription.sent = up_to
            total = sum(map(len, lines))
            for part in _split_lines(lines):
                subscription.listener.push(subscription.number, part)
                await subscription.listener.drain()
            if total < _CHUNK_BYTES:
                step = min(2 * step, 16_384)
            elif total > 8 * _CHUNK_BYTES:
                step = max(step // 4, 1)
            await asyncio.sleep(0)
        subscription.live = True


def _split_lines(lines: Sequence[bytes]) -> list[list[bytes]]:
    """The lines in groups of about a megabyte."""
    parts: list[list[bytes]] = []
    size = _CHUNK_BYTES
    for line in lines:
        if size >= _CHUNK_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(line)
        size += len(line)
    return parts
