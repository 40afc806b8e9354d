"""Run work in a child that is killed: at a system call (by strace), or at a call of `os` (without it)."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[], object]

CALLS = [
    "openat",
    "creat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "truncate",
    "ftruncate",
    "fallocate",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "sendfile",
    "copy_file_range",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "utimensat",
]
"""System calls that change a name or a file."""
POINTS = (
    "open",
    "rename",
    "replace",
    "unlink",
    "fsync",
    "chmod",
    "chown",
    "mkdir",
    "rmdir",
    "link",
    "utime",
    "truncate",
)
"""The functions of `os` that do."""


def in_child(work: Work) -> Any:
    """Return the result of the work, done in a separate process: DuckDB's threads would not survive a fork."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            found = json.dumps(work()).encode()
            with os.fdopen(write, "wb") as pipe:
                pipe.write(found)
            code = 0
        except BaseException:  # noqa: BLE001  # to be told, whatever it is
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        found = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"the child ended with {os.waitstatus_to_exitcode(status)}")
    return json.loads(found)


def _begin(work: Work) -> tuple[int, int]:
    """Start a child that waits for a byte before it works; return its pid, and where the byte goes."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(write)
            os.read(read, 1)
            work()
            code = 0
        except BaseException:  # noqa: BLE001  # to be told, whatever it is
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(read)
    return pid, write


def _strace(work: Work, *words: str) -> int:
    """Return the exit status of the work, done under strace."""
    pid, go = _begin(work)
    command = ["strace", "-f", *words, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as tracer:
        assert tracer.stderr is not None
        first = tracer.stderr.readline()
        if b"attached" not in first:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise RuntimeError(f"strace cannot watch: {first.decode('utf-8', 'replace').strip()}")
        os.write(go, b"g")
        os.close(go)
        _, status = os.waitpid(pid, 0)
        tracer.stderr.read()
    return status


def counted(work: Work) -> Counter[str]:
    """Count the work's system calls of each kind, at most those of one thread: strace counts by thread."""
    with tempfile.NamedTemporaryFile() as output:
        status = _strace(work, "-e", f"trace={','.join(CALLS)}", "-o", output.name)
        if status:
            raise RuntimeError(f"the work ended with {os.waitstatus_to_exitcode(status)}")
        by_thread: Counter[tuple[str, str]] = Counter()
        for line in Path(output.name).read_text("utf-8", "replace").splitlines():
            thread, _, call = line.partition(" ")
            name = call.strip().split("(")[0]
            if name in CALLS:
                by_thread[thread, name] += 1
    found: Counter[str] = Counter()
    for (_, name), times in by_thread.items():
        found[name] = max(found[name], times)
    return found


def killed_at(work: Work, call: str, number: int) -> bool:
    """Return whether the work was killed before the nth call of that kind (otherwise it was completed)."""
    status = _strace(work, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}", "-o", os.devnull)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the work ended with {code}")
    return code == -signal.SIGKILL


def stopped_at(work: Work, number: int) -> str | None:
    """Return the function of `os` before whose nth call the work ended; None: it was completed.

    This is what a kill leaves, without strace; it does not reach what DuckDB does by itself.
    """
    read, write = os.pipe()

    def counting() -> None:
        left = number

        def watch(name: str, real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **named: object) -> object:
                nonlocal left
                left -= 1
                if not left:
                    os.write(write, name.encode())
                    os._exit(9)
                return real(*args, **named)

            return call

        for name in POINTS:
            setattr(os, name, watch(name, getattr(os, name)))
        work()

    pid, go = _begin(counting)
    os.close(write)
    os.close(go)
    with os.fdopen(read, "rb") as pipe:
        name = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 9):
        raise RuntimeError(f"the work ended with {code}")
    return name or None
