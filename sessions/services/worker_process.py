"""Hold the state of one worker process, send it messages and end it."""

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
        """Why the host ended it, if it did."""
        self.kills = kills()
        """OOM-kill count when this worker started."""
        self.held: int | None = None
        """Last known memory use in bytes."""


def send(worker: WorkerProcess, order: AnyWorkerRequest) -> None:
    """Send the worker an order; ignored if it no longer reads."""
    stdin = worker.process.stdin
    if stdin is not None and not stdin.is_closing():
        stdin.write(msgspec.json.encode(order) + b"\n")


def kill(process: asyncio.subprocess.Process) -> None:
    """Kill the worker and the processes that it started: it leads a process group."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
