"""Start a host: detached, or as a child process of this command."""

import asyncio
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from engine.machine import child_processes
from engine.machine.folders import AppFolders
from engine.machine.plain_file import append_plain
from sessions.errors import HostError, error_from
from sessions.transport.socket_folder import FileLock, StartReport, private_folder

HOST = tuple(child_processes.python_command("-m", "sessions.host"))


class StartLock:
    """A lock held while a host is started, so that concurrent commands start only one."""

    def __init__(self, places: AppFolders) -> None:
        self._lock = FileLock(private_folder(places) / places.socket.with_suffix(".start").name)

    async def take(self, deadline: float) -> None:
        """Take the lock. Raises HostError if it is not free by the deadline (time.monotonic)."""
        while not self._lock.take():
            if time.monotonic() > deadline:
                raise HostError("Another command is still starting the host.", hint="Try again; see: headcode host log")
            await asyncio.sleep(0.02)

    def release(self) -> None:
        self._lock.release()


async def start_detached(places: AppFolders, command: Sequence[str] | None, deadline: float) -> None:
    """Start a host that outlives this process; return when it answers. Raises the host's own error."""
    process, pipe = _spawn(places, command, ["--detach"], stdin=subprocess.DEVNULL)
    try:
        # The started process only forks the host and exits, so no child of ours remains.
        await asyncio.to_thread(process.wait)
        started = await _read_start_report(places, pipe, deadline)
    finally:
        pipe.close()
    if started.failure is not None and not started.already:
        raise error_from(started.failure)


async def start_foreground(
    places: AppFolders, command: Sequence[str] | None, deadline: float
) -> "subprocess.Popen[bytes]":
    """Start a host that ends when this process closes its stdin, in any way. Raises HostRunning if there is one."""
    process, pipe = _spawn(places, command, ["--foreground"], stdin=subprocess.PIPE)
    try:
        started = await _read_start_report(places, pipe, deadline)
        if started.failure is not None:
            raise error_from(started.failure)
    except BaseException:
        await asyncio.to_thread(end_foreground, process, 1.0)
        raise
    finally:
        pipe.close()
    return process


def end_foreground(process: "subprocess.Popen[bytes]", timeout_s: float = 10.0) -> None:
    """End a foreground host and wait for it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _spawn(
    places: AppFolders, command: Sequence[str] | None, extra: Sequence[str], stdin: int
) -> "tuple[subprocess.Popen[bytes], IO[bytes]]":
    folders = [f"--{name}={getattr(places, name)}" for name in AppFolders.__struct_fields__]
    read_end, write_end = os.pipe()
    try:
        with _open_log(places) as log:
            process = child_processes.start(
                [*(command or HOST), *extra, f"--ready-fd={write_end}", *folders],
                stdin=stdin,
                stdout=log,
                stderr=log,
                pass_fds=(write_end,),
                start_new_session=True,
            )
    except OSError as error:
        os.close(read_end)
        raise HostError(f"The host cannot be started: {error}.", hint="headcode doctor checks the folders.") from error
    finally:
        os.close(write_end)
    return process, os.fdopen(read_end, "rb", buffering=0)


def _open_log(places: AppFolders) -> IO[bytes]:
    """Open the file for the host's stderr; /dev/null if the disk is full."""
    try:
        places.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        return append_plain(places.logs / "host.log")
    except OSError:
        return Path(os.devnull).open("ab")


async def _read_start_report(places: AppFolders, pipe: IO[bytes], deadline: float) -> StartReport:
    """Return the host's report of its start. Raises HostError if the host dies or the time is over before that."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    text = b""
    os.set_blocking(pipe.fileno(), False)

    def read() -> None:
        nonlocal text
        chunk = pipe.read(65_536)
        text += chunk or b""
        if (not chunk or text.endswith(b"\n")) and not readable.done():
            readable.set_result(None)

    loop.add_reader(pipe.fileno(), read)
    log = places.logs / "host.log"
    try:
        async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
            await readable
    except TimeoutError as error:
        raise HostError(
            "The host was started but did not answer in time.", hint=f"Try again; its messages are in {log}"
        ) from error
    finally:
        loop.remove_reader(pipe.fileno())
    try:
        return msgspec.json.decode(text, type=StartReport)
    except msgspec.MsgspecError as error:
        raise HostError("The host ended during its start.", hint=f"Its messages are in {log}") from error
