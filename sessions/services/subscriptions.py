"""Send committed log entries to subscribed clients and track how far each has read."""

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
    """A client's subscription to one session's log."""

    def __init__(self, listener: Listener, number: int, session_id: str, run_id: str | None, after_seq: int) -> None:
        self.listener = listener
        self.number = number
        self.session_id = session_id
        self.run_id = run_id
        self.sent = after_seq
        """All entries up to here were sent or filtered out."""
        self.goal = after_seq
        """The last entry that is known to be missing."""
        self.live = False
        """Whether it has caught up, so that new entries are sent as they are committed."""

    def wants(self, run_id: str | None) -> bool:
        return self.run_id is None or run_id is None or run_id == self.run_id


class Subscriptions:
    """Sends committed entries to all subscribers: old ones from the store, then new ones as they are committed."""

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
        """Send committed entries to the subscribers that have received everything before them."""
        by_session: dict[str, list[RecordedEntry]] = {}
        for each in recorded:
            by_session.setdefault(each.entry.session_id, []).append(each)
        for session_id, entries in by_session.items():
            for subscription in tuple(self._subscriptions.get(session_id, ())):
                subscription.goal = entries[-1].entry.seq
                if subscription.live and subscription.listener.is_lagging():
                    # The client reads slowly: it gets the rest from the store later, at its own pace.
                    subscription.live = False
                    subscription.listener.catch_up(subscription, entries[-1].entry.seq)
                elif subscription.live:
                    fresh = [each for each in entries if each.entry.seq > subscription.sent]
                    lines = [each.line for each in fresh if subscription.wants(each.entry.run_id)]
                    subscription.sent = entries[-1].entry.seq
                    if lines:
                        subscription.listener.push(subscription.number, lines)

    def fail(self, session_id: str, failure: Failure) -> None:
        """End the session's subscriptions, since its events can no longer be recorded."""
        for subscription in self._subscriptions.pop(session_id, []):
            subscription.listener.end(subscription.number, failure)

    async def catch_up(self, subscription: Subscription, writer: StoreWriter, last_seq: int) -> None:
        """Send the entries in the store at the client's pace until the subscription is live."""
        session_id = subscription.session_id
        # Everything committed before the subscription was added is in the store by now; later entries move its goal or
        # are sent directly.
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
    """Split the lines into groups of about a megabyte."""
    parts: list[list[bytes]] = []
    size = _CHUNK_BYTES
    for line in lines:
        if size >= _CHUNK_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(line)
        size += len(line)
    return parts
