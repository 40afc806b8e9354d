"""Ctrl+C during work of the host: once stops it, twice ends its worker, three times leaves."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from sessions.errors import HostError, Refusal

Stop = Callable[[bool], Awaitable[object]]
"""Asks the host to stop; with True, to end the worker."""


@contextmanager
def stop_on_interrupt(stop: Stop, say: Callable[[str], None]) -> Iterator[None]:
    """Turn Ctrl+C into stop requests inside the block; the third one cancels the task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked: list[asyncio.Future[None]] = []

    async def ask(force: bool) -> None:
        try:
            await stop(force)
        except (Refusal, HostError) as error:
            say(f"  note: {error.message}")  # it may have ended meanwhile

    def press() -> None:
        if len(asked) > 1:
            if task is not None:
                task.cancel()
            return
        say("Stopping; press Ctrl+C again to end the worker." if not asked else "Ending the worker.")
        asked.append(asyncio.ensure_future(ask(force=bool(asked))))

    loop.add_signal_handler(signal.SIGINT, press)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
