"""A disk that takes nothing more: which it is, what a person can do, and a reserve of room to do it in."""

import os
from contextlib import suppress
from pathlib import Path

from engine.machine.memory import size
from sessions.errors import NO_ROOM, StoreError, StoreFull

RESERVE_BYTES = 4 << 20
"""What removing things from the store takes at most beforehand: the journal of it, and the pages of a checkpoint."""
_PLENTY = 16
"""A reserve is put aside where so many of its kind would fit."""


def full_disk(path: Path) -> StoreFull:
    """The error for a write at `path` that found no room: which disk, how full, and what frees room there."""
    return StoreFull(
        f"The disk that holds {path} is full{_figures(path)}.",
        hint="Free some room on it: headcode gc shows what Headcode can do without there, headcode sessions empty "
        "removes what is in the trash. Nothing that was recorded is lost.",
    )


def describe_os_error(error: OSError, path: Path | None = None) -> StoreError:
    """What the system refused, in words. `path`: what was to be written, where the error does not name it."""
    named = Path(os.fsdecode(error.filename)) if error.filename is not None else path
    if error.errno in NO_ROOM[:2] and named is not None:
        return full_disk(named)
    what = f" ({named})" if named is not None else ""
    return StoreError(
        f"The system refused: {error.strerror or error}{what}.",
        hint="Check free space and permissions: headcode doctor",
    )


def mount_of(path: Path) -> Path:
    """Where the disk that holds the path begins; of a path that is not there yet, its nearest folder's disk."""
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    with suppress(OSError):
        device = place.stat().st_dev
        while place != place.parent and place.parent.stat().st_dev == device:
            place = place.parent
    return place


def staging_for(spool: Path, goal: Path) -> Path:
    """Where a file for `goal` is put together: the spool, or beside the goal where the spool's disk is all but full."""
    with suppress(OSError):
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = os.statvfs(spool)
        if about.f_bavail * about.f_frsize >= _PLENTY * RESERVE_BYTES:
            return spool
    return goal.parent


class SpaceReserve:
    """A file that takes room while there is plenty, so that what frees room can be done when there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self) -> None:
        """Puts the room aside where there is plenty. Never fails."""
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
        """Whether there was one, and its room is free now."""
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
    return f" ({mount}: {size(free)} of {size(total)} are free)"
