"""Start a worker process, hold its state, send it messages and end it."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import Failure
from engine.machine import child_processes
from engine.machine.memory import oom_kills
from engine.protocol import AnyWorkerRequest

log = logging.getLogger("headcode.worker")

_DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")


class WorkerProcess:
    """One process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self.model: str | None = None
        self.host_failure: Failure | None = None
        """Why the host ended it, if it did."""
        self.kills = oom_kills()
        """OOM-kill count when this worker started."""
        self.memory_bytes: int | None = None
        """Last known memory use in bytes."""


async def start_worker(command: Sequence[str]) -> WorkerProcess | None:
    """Start a worker that ends with this process; None if it cannot be started."""
    tied = [child_processes.PYTHON, "-I", "-S", str(_DIE_WITH_PARENT), str(os.getpid()), *command]
    try:
        process = await child_processes.start_async(
            tied,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError:
        log.exception("worker did not start: %s", command)
        return None
    log.info("worker %d started", process.pid)
    return WorkerProcess(process)


def send(worker: WorkerProcess, request: AnyWorkerRequest) -> None:
    """Send the worker a request; ignored if it no longer reads."""
    stdin = worker.process.stdin
    if stdin is not None and not stdin.is_closing():
        stdin.write(msgspec.json.encode(request) + b"\n")


def kill(process: asyncio.subprocess.Process) -> None:
    """Kill the worker and the processes that it started: it leads a process group."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
