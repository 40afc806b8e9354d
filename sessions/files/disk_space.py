"""Handle full disks: describe them, and reserve space in which space can be freed."""

import os
from contextlib import suppress
from pathlib import Path

from engine.machine.memory import format_bytes
from sessions.errors import NO_ROOM, StoreError, StoreFull

RESERVE_BYTES = 4 << 20
"""What deleting from the store needs at most before it frees space: the journal, and the pages of a checkpoint."""
_PLENTY = 16
"""A reserve is made if the free space is at least so many times its size."""


def full_disk(path: Path) -> StoreFull:
    """Return the error for a failed write at `path`: which disk is full, and how to free space on it."""
    return StoreFull(
        f"The disk that holds {path} is full{_figures(path)}.",
        hint="Free some space on it: headcode gc lists files that can be deleted there, headcode sessions empty "
        "deletes what is in the trash. Nothing that was recorded is lost.",
    )


def describe_os_error(error: OSError, path: Path | None = None) -> StoreError:
    """Return a StoreError that describes a system error.

    `path`: the file to write, if the error does not name it.
    """
    named = Path(os.fsdecode(error.filename)) if error.filename is not None else path
    if error.errno in NO_ROOM[:2] and named is not None:
        return full_disk(named)
    what = f" ({named})" if named is not None else ""
    return StoreError(
        f"The system refused: {error.strerror or error}{what}.",
        hint="Check free space and permissions: headcode doctor",
    )


def mount_of(path: Path) -> Path:
    """Return the mount point of the path; of a path that does not exist, that of its nearest folder."""
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    with suppress(OSError):
        device = place.stat().st_dev
        while place != place.parent and place.parent.stat().st_dev == device:
            place = place.parent
    return place


def staging_for(spool: Path, goal: Path) -> Path:
    """Return the folder in which to assemble a file for `goal`.

    That is the spool, or the goal's folder if the spool's disk is nearly full.
    """
    with suppress(OSError):
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = os.statvfs(spool)
        if about.f_bavail * about.f_frsize >= _PLENTY * RESERVE_BYTES:
            return spool
    return goal.parent


class SpaceReserve:
    """A file that reserves disk space, so that files can be deleted even when the disk is full."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self) -> None:
        """Reserve the space if there is plenty. Never fails."""
        with suppress(OSError):
            if self._path.exists():
                return
            about = os.statvfs(self._path.parent)
            if about.f_bavail * about.f_frsize < _PLENTY * RESERVE_BYTES:
                return
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
            except (OSError, AttributeError):  # macOS has no such call
                self._path.unlink()
            finally:
                os.close(fd)

    def release(self) -> bool:
        """Release the space; return whether any was reserved."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def _figures(path: Path) -> str:
    try:
        mount = mount_of(path)
        about = os.statvfs(mount)
    except OSError:
        return ""
    free, total = about.f_bavail * about.f_frsize, about.f_blocks * about.f_frsize
    return f" ({mount}: {format_bytes(free)} of {format_bytes(total)} are free)"
