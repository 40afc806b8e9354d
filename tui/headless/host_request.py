"""Short requests to the host: connect, ask, close."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from engine.errors import ConfigError
from engine.machine.folders import find_folders
from sessions.client.connection import HostClient
from tui.output.console import narrate
from tui.terminal.sanitize import clean

Answer = TypeVar("Answer")


def with_host(question: Callable[[HostClient], Awaitable[Answer]]) -> Answer:
    """Return the result of the requests; the host is started if none is running."""

    async def go() -> Answer:
        async with await HostClient.connect(find_folders()) as client:
            if client.welcome.notice:
                narrate(f"note: {client.welcome.notice}")
            return await question(client)

    return asyncio.run(go())


def confirm(question: str, *, yes: bool) -> bool:
    """Return whether the user agrees, by option or by answering on a terminal.

    Raises ConfigError if there is no terminal to ask on.
    """
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError(f"{question} There is no terminal to ask on.", hint="Confirm with --yes.")
    sys.stderr.write(f"{clean(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
