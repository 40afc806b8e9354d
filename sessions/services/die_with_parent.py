"""Run as `python -I -S leash.py PARENT COMMAND...`: becomes COMMAND, which then cannot outlive the host.

A file of its own instead of a preexec_fn: that would run Python between fork and exec of a process with threads.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        # The kernel ends this process when the thread that started it ends: for the host that is its only loop.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(1)
        # When memory runs out, the engine goes first, not the host or the person's editor.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123  # no imports
            file.write("500")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
