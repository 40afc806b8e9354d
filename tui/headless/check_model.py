"""Runs `python -m engine.worker.check_model`, saying on stderr what it is at, and raises its failure."""

import signal
import subprocess
import sys
import tempfile

import msgspec

from engine.catalog.check_report import AnyCheckMessage, CheckDone, CheckFailed, CheckStarted
from engine.errors import Cancelled, EngineError
from engine.machine import child_processes
from sessions.errors import Refusal


def run_check(name: str, dtype: str, device: str) -> CheckDone:
    """Check the model in a process of its own and return what was found.

    Raises Refusal with the failure, EngineError if the process died, Cancelled after Ctrl+C.
    """
    words = ("--dtype", dtype, "--device", device, "--", name)
    command = child_processes.python_command("-m", "engine.worker.check_model", *words)
    last: CheckDone | CheckFailed | None = None
    decoder: msgspec.json.Decoder[AnyCheckMessage] = msgspec.json.Decoder(AnyCheckMessage)
    with (
        tempfile.TemporaryFile() as stderr,  # a pipe that is not read would fill up and block the check
        child_processes.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                word = decoder.decode(line)
                if isinstance(word, CheckStarted):
                    sys.stderr.write(f"{word.what}\n")
                    sys.stderr.flush()
                else:
                    last = word
            process.wait()
        except KeyboardInterrupt:
            process.kill()
            raise Cancelled from None
        stderr.seek(0)
        trace = stderr.read()
    if isinstance(last, CheckFailed):
        raise Refusal(last.failure)
    if last is None:
        end = trace.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
        memory = process.returncode == -signal.SIGKILL
        raise EngineError(
            f"The check of {name} ended early ({how}): {end[0]}",
            hint="More free memory may be needed: it loads the model twice." if memory else "Nothing was stored.",
        )
    return last
