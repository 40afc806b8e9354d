"""A worker's process: what is known of it, a word to it, its end."""

import asyncio
import os
import signal
from contextlib import suppress

import msgspec

from engine.errors import Failure
from engine.machine.memory import kills
from engine.protocol import AnyWorkerRequest


class WorkerProcess:
    """One process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self.model: str | None = None
        self.distrusted: Failure | None = None
        """Why we ended it ourselves, where we did."""
        self.kills = kills()
        """How often the kernel had ended somebody for want of memory when this one began."""
        self.held: int | None = None
        """Bytes of memory it was last seen with."""


def send(worker: WorkerProcess, order: AnyWorkerRequest) -> None:
    """Hands it an order, as long as it listens."""
    stdin = worker.process.stdin
    if stdin is not None and not stdin.is_closing():
        stdin.write(msgspec.json.encode(order) + b"\n")


def kill(process: asyncio.subprocess.Process) -> None:
    """Ends the worker and what it started: it leads a process group of its own."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
