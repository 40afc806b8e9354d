"""Manage the socket, its private folder, and locks that need no disk space."""

import fcntl
import os
import shlex
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import Failure
from engine.machine.folders import AppFolders, private_temporary
from sessions.errors import NO_ROOM, HostError


class StartReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a new host reports once, through a pipe, to the process that started it."""

    pid: int
    already: bool = False
    """Another host already serves this store, and this one exits."""
    failure: Failure | None = None


def make_private(folder: Path) -> None:
    """Create the folder so that only this user can enter it.

    Raises HostError otherwise: in a shared temporary directory another user may have created it first.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"The socket's folder {folder} cannot be made: {error.strerror}.", hint="HEADCODE_HOME sets another folder."
        ) from error
    check_private(folder)


def check_private(folder: Path) -> None:
    """Raise HostError if the folder exists and others can enter it."""
    try:
        found = folder.lstat()
    except OSError:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise HostError(f"{folder} is not a folder.", hint="Move it away.")
    if found.st_uid != os.getuid():
        raise HostError(
            f"{folder} belongs to user {found.st_uid}, not to you ({os.getuid()}).",
            hint="Set XDG_RUNTIME_DIR or HEADCODE_HOME to a folder of your own.",
        )
    if found.st_mode & 0o077:
        raise HostError(
            f"{folder} can be entered by others (mode {stat.S_IMODE(found.st_mode):o}).",
            hint=f"chmod 700 {shlex.quote(str(folder))}",
        )


def private_folder(places: AppFolders) -> Path:
    """Create and return the socket's folder, or the fallback if that fails, as on a full disk. Raises HostError."""
    try:
        make_private(places.runtime)
    except HostError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        make_private(private_temporary())
        return private_temporary()
    return places.runtime


def peer_process(connection: socket.socket) -> tuple[int, int]:
    """Return (user id, process id) of the other end; the process id is 0 if the system does not tell."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", raw)
        return uid, pid
    raw = connection.getsockopt(0, 1, 76)  # macOS: SOL_LOCAL, LOCAL_PEERCRED, struct xucred
    return struct.unpack_from("II", raw)[1], 0


class ExclusiveLock:
    """An exclusive lock that the system releases when the process ends."""

    def __init__(self) -> None:
        self._fd: int | None = None

    def take(self) -> bool:
        """Try to take the lock without waiting; return whether that worked.

        Raises OSError if there is nothing to lock.
        """
        raise NotImplementedError

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _lock(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        return True


class FileLock(ExclusiveLock):
    """A lock on a file, created if needed; on its folder if the disk is full."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def take(self) -> bool:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._lock(fd)


class FolderLock(ExclusiveLock):
    """A lock on a folder, which needs no disk space and no file that could be deleted while the lock is held."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def take(self) -> bool:
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return self._lock(fd)
        except OSError:  # NFS only locks files that are open for writing
            return self._lock(os.open(self._folder / "host.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


class HostSocket:
    """The host's socket; it is bound again if its file is removed."""

    def __init__(self, places: AppFolders) -> None:
        self._places = places
        self._bound: tuple[int, int] | None = None
        self.place = places.socket

    def open(self) -> socket.socket:
        """Return a listening socket, in place of one left by a dead host; the caller holds the host's lock.

        If the default folder cannot be used, the socket is in the fallback folder. Raises HostError.
        """
        name = self._places.socket.name
        try:
            self.place = private_folder(self._places) / name
            listening = _bind(self.place)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise HostError(
                    f"The socket {self.place} cannot be made: {error.strerror or error}.",
                    hint="HEADCODE_HOME sets another folder.",
                ) from error
            make_private(private_temporary())
            self.place = private_temporary() / name
            listening = _bind(self.place)
        self._bound = inode(self.place)
        return listening

    def gone(self) -> bool:
        """Return whether the socket's path was removed or names something else now."""
        return inode(self.place) != self._bound

    def remove(self) -> None:
        if not self.gone():
            with suppress(OSError):
                self.place.unlink()


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    listening.listen(128)
    listening.setblocking(False)
    return listening


def inode(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of the path; None if it does not exist."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
