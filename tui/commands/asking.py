"""Short questions to the host: connect, ask, close."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from engine.places import find_places
from sessions.client import HostClient
from tui.output import narrate

Answer = TypeVar("Answer")


def with_host(question: Callable[[HostClient], Awaitable[Answer]]) -> Answer:
    """What the question finds out; the host is started where none runs."""

    async def go() -> Answer:
        async with await HostClient.connect(find_places()) as client:
            if client.welcome.notice:
                narrate(f"note: {client.welcome.notice}")
            return await question(client)

    return asyncio.run(go())
