"""Run as `python -I -S die_with_parent.py PARENT COMMAND...`: becomes COMMAND, which ends with the host.

It is a separate program, not a preexec_fn, which would run Python between fork and exec of a process with threads.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Replace this process by the command, tied to the life of the parent."""
    if sys.platform == "linux":
        # The kernel ends this process when the thread that started it ends: in the host, that is the event loop's
        # thread.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before prctl
            sys.exit(1)
        # When memory runs out, the engine is killed first, not the host or the user's editor.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123  # no imports
            file.write("500")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
