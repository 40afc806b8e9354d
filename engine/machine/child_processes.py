"""Start all of Headcode's processes, so that nothing in the current folder is executed.

Users type `headcode models import .` inside an untrusted model folder. A Python started there without precautions
imports `torch.py` from it; an empty entry of PATH or of LD_LIBRARY_PATH means that folder, too.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio.subprocess

PYTHON = os.path.abspath(sys.executable) if sys.executable else "python3"  # noqa: PTH100  # links stay: a venv is one
"""This Python, as shown to users and used for child processes."""

_SEARCHED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""Lists of folders in which an empty or relative entry means the current folder."""
_LOADED = ("LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES")
"""Lists of libraries, by name or by path."""
_FOLDERS = (
    "HEADCODE_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
)
"""Folders that we read and write: a relative one is resolved as for this process."""
_PYTHON_KEPT = frozenset(
    [
        "PYTHONCOERCECLOCALE",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONFAULTHANDLER",
        "PYTHONHASHSEED",
        "PYTHONIOENCODING",
        "PYTHONMALLOC",
        "PYTHONNOUSERSITE",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "PYTHONUTF8",
    ]
)
_PYTHON_KEPT_ABSOLUTE = frozenset(["PYTHONHOME", "PYTHONPYCACHEPREFIX", "PYTHONUSERBASE"])
"""Folders that Python reads code from."""


def python_command(*words: str) -> list[str]:
    """Return a command for this Python with those arguments, without the current folder on its import path.

    Not -I: packages of the user's own site, and folders that `module load` adds to PYTHONPATH, must still be found.
    """
    return [PYTHON, "-P", *words]


def environment(given: Mapping[str, str] | None = None, **added: str) -> dict[str, str]:
    """Return the environment for a child: `given` (None: this process's), without what makes it run other files.

    Absolute entries of lists of folders stay. Of Python's own variables those stay that set its text, its memory and
    its user's folder; removed are those that run or import something (PYTHONSTARTUP, PYTHONINSPECT, PYTHONBREAKPOINT,
    PYTHONWARNINGS and whatever a later Python may add).
    """
    kept: dict[str, str] = {}
    for name, value in (os.environ if given is None else given).items():
        if name in _SEARCHED:
            value = absolute_only(value)
            if not value:
                continue  # an empty list also means the current folder
        elif name in _LOADED:
            value = os.pathsep.join(part for part in value.replace(" ", os.pathsep).split(os.pathsep) if _loads(part))
        elif name in _FOLDERS and value:
            value = os.path.abspath(os.path.expanduser(value))  # noqa: PTH100, PTH111  # links stay as they were named
        elif name.startswith("PYTHON") and not _harmless(name, value):
            continue
        kept[name] = value
    # Processes started by our libraries are protected in the same way.
    return kept | {"PYTHONSAFEPATH": "1"} | added


def absolute_only(folders: str) -> str:
    """Return a list of folders as in PATH, without the entries that mean the current folder."""
    return os.pathsep.join(folder for folder in folders.split(os.pathsep) if os.path.isabs(folder))  # noqa: PTH117


def find_program(name: str) -> str | None:
    """Return the path of a program, searched in the absolute folders of PATH; None if there is none."""
    from shutil import which

    return which(name, path=absolute_only(os.environ.get("PATH", os.defpath)))


def start(command: Sequence[str], *, env: Mapping[str, str] | None = None, **options: Any) -> "subprocess.Popen[bytes]":
    """Start a process outside of the current folder: paths in the command must be absolute."""
    _check(command)
    process: subprocess.Popen[bytes] = subprocess.Popen(list(command), env=environment(env), cwd="/", **options)
    return process


def run(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.CompletedProcess[Any]":
    """Start a process as `start` does, wait for it, and return the result. Raises what subprocess.run raises."""
    _check(command)
    return subprocess.run(list(command), env=environment(env), cwd="/", check=False, **options)


async def start_async(command: Sequence[str], **options: Any) -> "asyncio.subprocess.Process":
    """Start a process as `start` does, in an event loop."""
    import asyncio  # most commands need none

    _check(command)
    return await asyncio.create_subprocess_exec(*command, env=environment(), cwd="/", **options)


def become(command: Sequence[str], env: Mapping[str, str]) -> None:
    """Replace this process, which is already a fork of ours, by that program."""
    _check(command)
    os.chdir("/")
    os.execve(command[0], list(command), environment(env))


def _harmless(name: str, value: str) -> bool:
    return name in _PYTHON_KEPT or (name in _PYTHON_KEPT_ABSOLUTE and os.path.isabs(value))  # noqa: PTH117


def _check(command: Sequence[str]) -> None:
    """Refuse a bare name, which would be searched along PATH. Raises FileNotFoundError."""
    if not os.path.isabs(command[0]):  # noqa: PTH117
        raise FileNotFoundError(f"{command[0]} is not an absolute path of a program")


def _loads(library: str) -> bool:
    """Return True for a library that is not in the current folder: a bare name, or an absolute path."""
    return bool(library) and (os.path.isabs(library) or os.sep not in library)  # noqa: PTH117
