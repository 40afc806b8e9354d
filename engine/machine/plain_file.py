"""Open only regular files: a pipe or a device of the same name would block forever."""

import errno
import io
import os
import stat
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class NotRegularFile(OSError):
    """The path is a pipe, a socket or a device."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def open_plain(path: Path) -> io.BufferedReader:
    """Open the file for reading. Raises NotRegularFile, or another OSError."""
    return open(_checked(path, os.O_RDONLY), "rb")  # the caller closes it


def append_plain(path: Path) -> io.BufferedWriter:
    """Open the file for appending, creating it if needed. Raises NotRegularFile, or another OSError."""
    return open(_checked(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")


def read_plain(path: Path) -> bytes:
    """Return the file's content. Raises NotRegularFile, or another OSError."""
    with open_plain(path) as file:
        return file.read()


def read_json(path: Path, kind: type[T]) -> T:
    """Return the file's JSON as a value of that type.

    Raises OSError, or msgspec.DecodeError, also for JSON that is nested too deeply.
    """
    content = read_plain(path)
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError as error:
        raise msgspec.DecodeError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("it is not UTF-8 text") from error


def _checked(path: Path, flags: int) -> int:
    # Non-blocking: opening a pipe waits for its other end. Checked before as well: opening a device may have effects.
    if path.exists() and not _plain(path.stat()):
        raise NotRegularFile(path)
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        if not _plain(os.fstat(fd)):
            raise NotRegularFile(path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _plain(found: os.stat_result) -> bool:
    """Return True for a regular file. Raises IsADirectoryError for a folder."""
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return stat.S_ISREG(found.st_mode)
