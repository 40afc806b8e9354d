"""Use the disk reserve for requests that free space: on a full disk they have to be recorded, too."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from sessions.errors import StoreError, StoreFull, StoreUncertain
from sessions.handlers.context import HandlerContext
from sessions.protocol import AnyAnswer
from sessions.store.database import Store

Answering = Callable[[HandlerContext, Any], Awaitable[AnyAnswer]]


def with_reserve(answer: Answering) -> Answering:
    """Wrap a handler: on a full disk, release the reserve, retry, and fill the reserve again."""

    async def answer_all_the_same(host: HandlerContext, request: object) -> AnyAnswer:
        try:
            return await answer(host, request)
        except StoreError as error:
            full = isinstance(error, StoreFull) or (isinstance(error, StoreUncertain) and error.full)
            if not full or not await asyncio.to_thread(host.reserve.release):
                raise
        try:
            return await answer(host, request)
        finally:
            with suppress(StoreError):
                await host.writer.read(Store.checkpoint)
            await asyncio.to_thread(host.reserve.fill)

    return answer_all_the_same
