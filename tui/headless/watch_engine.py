"""Reports what a waiting command waits for, and work that has reported nothing for long."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from engine.errors import HeadcodeError
from sessions.protocol import FollowEngine, StatusAnswer
from tui.state.engine_status import format_silent_time, format_work

if TYPE_CHECKING:
    from sessions.client.connection import HostClient

_FIRST_S = 2.0
"""Nothing is reported before this; most runs begin at once."""
_BETWEEN_S = 0.5


@contextlib.asynccontextmanager
async def watch_engine(client: "HostClient", run_id: str, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Inside the block, call `say` with what the run waits for, and if the run itself is silent."""
    watch = asyncio.create_task(_watch(client, run_id, say))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _watch(client: "HostClient", run_id: str, say: Callable[[str], None]) -> None:
    await asyncio.sleep(_FIRST_S)
    asked, reported = FollowEngine(), ("", False)
    while True:
        try:
            status = (await client.ask(asked, StatusAnswer)).status
        except (HeadcodeError, OSError, EOFError):
            return  # the waiting command gets the same error
        work, now_us = status.at_work, int(time.time() * 1e6)
        asked = FollowEngine(
            seen=status.worker_state, job=work.job if work else "", silent=work.silent if work else False
        )
        if work is not None and (work.job, work.silent) != reported:
            if work.run_id != run_id:
                say(f"waiting for {format_work(work, now_us)}")
            elif work.silent:
                silent_time, stage = format_silent_time(work, now_us), work.stage or "the engine starts"
                say(f"no report for {silent_time} ({stage}); Ctrl+C ends it")
            reported = (work.job, work.silent)
        await asyncio.sleep(_BETWEEN_S)
