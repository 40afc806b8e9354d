"""The socket's folder, who may use it, and which host serves a store."""

import fcntl
import os
import socket
import stat
import struct
from pathlib import Path

import msgspec

from engine.errors import Failure
from engine.places import Places
from sessions.errors import HostError


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says to whoever started it, once, over the pipe it was given."""

    pid: int
    already: bool = False
    """Another host serves this store already, and this one leaves."""
    failure: Failure | None = None


def make_private(folder: Path) -> None:
    """Returns when the folder is there and only this user can enter it.

    Raises HostError otherwise: in a shared temporary directory somebody else may have made it first.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise HostError(
            f"The socket's folder {folder} cannot be made: {error.strerror}.", hint="HEADCODE_HOME sets another place."
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise HostError(f"{folder} is not a folder.", hint="Move it away.")
    if found.st_uid != os.getuid():
        raise HostError(
            f"{folder} belongs to user {found.st_uid}, not to you ({os.getuid()}).",
            hint="Set XDG_RUNTIME_DIR or HEADCODE_HOME to a folder of your own.",
        )
    if found.st_mode & 0o077:
        raise HostError(
            f"{folder} can be entered by others (mode {stat.S_IMODE(found.st_mode):o}).", hint=f"chmod 700 {folder}"
        )


def peer(connection: socket.socket) -> tuple[int, int]:
    """(user id, process id) of the other end; the process id is 0 where the system does not tell."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", raw)
        return uid, pid
    raw = connection.getsockopt(0, 1, 76)  # macOS: SOL_LOCAL, LOCAL_PEERCRED, struct xucred
    return struct.unpack_from("II", raw)[1], 0


def lock_file(places: Places) -> Path:
    """Locked by a host for as long as it lives; holds its process id."""
    return places.socket.with_suffix(".lock")


def start_file(places: Places) -> Path:
    """Locked by whoever is starting a host, so that two who start at once start one."""
    return places.socket.with_suffix(".start")


class FileLock:
    """An exclusive lock on a file, given back when the process ends however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self) -> bool:
        """Whether the lock is ours now. Never waits."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def write(self, text: str) -> None:
        assert self._fd is not None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def holder(places: Places) -> int | None:
    """The process id of the host that serves this store; None where none does."""
    lock = FileLock(lock_file(places))
    try:
        if lock.take():
            lock.release()
            return None
        text = lock_file(places).read_text()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def bind(path: Path) -> socket.socket:
    """A listening socket at `path`, in the place of one that a dead host left. The caller holds the host's lock."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise HostError(
            f"The socket {path} cannot be made: {error.strerror or error}.", hint="HEADCODE_HOME sets another place."
        ) from error
    finally:
        os.umask(before)
    listening.listen(128)
    listening.setblocking(False)
    return listening
