"""Write, move and copy private files of the data folder: complete or not at all after a kill or power cut."""

import contextlib
import errno
import filecmp
import os
import shlex
import shutil
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until the file or folder is on the disk; some file systems cannot do that for folders."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def move(path: Path, goal: Path) -> None:
    """Rename a file durably. Raises FileExistsError if the name is taken: nothing is replaced."""
    if os.path.lexists(goal):
        raise FileExistsError(errno.EEXIST, "Another file has the name", str(goal))
    path.rename(goal)
    sync(goal.parent)


def move_command(path: Path, goal: Path) -> str:
    """Return the shell command that renames a file, whatever characters are in its name."""
    return shlex.join(["mv", str(path), str(goal)])


def free_name(path: Path) -> Path:
    """Return the path, or the first of NAME-2, NAME-3 ... that is free."""
    goal, number = path, 1
    while os.path.lexists(goal):
        number += 1
        goal = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return goal


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user can read, complete or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync(path.parent)


def copy_private(path: Path, goal: Path) -> Path:
    """Copy a file with its mode and times, complete or not at all; return the path of the copy.

    Another file with that name stays, and the copy gets another name. An existing equal copy is returned.
    """
    if goal.is_file() and filecmp.cmp(path, goal, shallow=False):
        return goal
    part = goal.with_name(f"{goal.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    try:
        shutil.copyfile(path, part)
        keep_mode(path, part)
        shutil.copystat(path, part)
        sync(part)
        goal = free_name(goal)
        part.rename(goal)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(goal.parent)
    return goal


def keep_mode(old: Path, new: Path) -> None:
    """Give `new` the mode of `old` and, if this user may, its owner."""
    about = old.stat()
    if about.st_uid != os.geteuid() or about.st_gid != os.getegid():
        with contextlib.suppress(OSError):
            os.chown(new, about.st_uid, about.st_gid)
    new.chmod(about.st_mode & 0o777)
