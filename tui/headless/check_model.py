"""Runs `python -m engine.worker.check_model` for the command and for the screen, and raises its failure."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable

import msgspec

from engine.catalog.check_report import AnyCheckMessage, CheckDone, CheckFailed, CheckStarted
from engine.errors import Cancelled, EngineError
from engine.machine import child_processes
from sessions.errors import Refusal

_LINE = 1 << 24
"""Maximum bytes of a message; asyncio's own limit is 64 KiB."""


def run_check(name: str, dtype: str, device: str) -> CheckDone:
    """Check the model in a process of its own, saying on stderr what it is at, and return what was found.

    Raises Refusal with the failure, EngineError if the process died, Cancelled after Ctrl+C.
    """
    try:
        return asyncio.run(check_in_process(name, dtype, device, _say))
    except KeyboardInterrupt:
        raise Cancelled from None


async def check_in_process(name: str, dtype: str, device: str, started: Callable[[CheckStarted], None]) -> CheckDone:
    """Check the model as `run_check` does; `started` is called as each check begins. Cancelling ends the process."""
    words = ("--dtype", dtype, "--device", device, "--", name)
    command = child_processes.python_command("-m", "engine.worker.check_model", *words)
    last: CheckDone | CheckFailed | None = None
    decoder: msgspec.json.Decoder[AnyCheckMessage] = msgspec.json.Decoder(AnyCheckMessage)
    with tempfile.TemporaryFile() as stderr:  # a pipe that is not read would fill up and block the check
        process = await child_processes.start_async(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, limit=_LINE
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                word = decoder.decode(line)
                if isinstance(word, CheckStarted):
                    started(word)
                else:
                    last = word
            code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        stderr.seek(0)
        trace = stderr.read()
    if isinstance(last, CheckFailed):
        raise Refusal(last.failure)
    if last is None:
        end = trace.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        memory = code == -signal.SIGKILL
        raise EngineError(
            f"The check of {name} ended early ({how}): {end[0]}",
            hint="More free memory may be needed: it loads the model twice." if memory else "Nothing was stored.",
        )
    return last


def _say(word: CheckStarted) -> None:
    sys.stderr.write(f"{word.what}\n")
    sys.stderr.flush()
