"""Short questions to the host: connect, ask, close."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sessions.client import HostClient

from engine.places import find_places

Answer = TypeVar("Answer")


def with_host(question: Callable[[HostClient], Awaitable[Answer]]) -> Answer:
    """What the question finds out; the host is started where none runs."""

    async def go() -> Answer:
        client = await HostClient.connect(find_places())
        try:
            return await question(client)
        finally:
            await client.close()

    return asyncio.run(go())
