"""Write a file beside its goal and rename it, so that it is complete or absent.

Light to import: the command line uses it, too.
"""

import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.machine.plain_file import read_plain
from sessions.errors import NO_ROOM, CannotWrite
from sessions.files.disk_space import full_disk


def check_goal(goal: Path, *, force: bool) -> None:
    """Raise CannotWrite if a file must not or cannot be written there."""
    if not goal.is_absolute():
        raise CannotWrite(
            f"{goal} is not an absolute path.", hint="The host has another working directory: give the absolute path."
        )
    if goal.is_dir():
        raise CannotWrite(f"{goal} is a folder.", hint="Give a file name, for example mine.headcode.")
    if goal.exists() and not goal.is_file():
        raise CannotWrite(f"{goal} is not a plain file.", hint="Give another name.")
    if goal.exists() and not force:
        raise CannotWrite(f"{goal} exists already.", hint="--force replaces it, or give another name.")
    if not goal.parent.is_dir():
        raise CannotWrite(f"There is no folder {goal.parent}.", hint="Create it first, or give another path.")


def write_atomically(
    goal: Path, write: Callable[[Path], None], *, force: bool, marks: Path | None = None
) -> tuple[str, int]:
    """Let `write` fill a file beside the goal and rename it to the goal; return its sha256 and size in bytes.

    After a kill the partial file remains: `marks` is the folder in which its path is recorded until it is gone. On
    any error, a file at the goal is unchanged. Raises CannotWrite.
    """
    check_goal(goal, force=force)
    part = mark = None
    try:
        part = partial_path(goal)
        mark = _note(part, marks)
        _make(part)
        write(part)
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        n_bytes = part.stat().st_size
        if force:
            part.replace(goal)
        else:
            _take_place(part, goal)
    except FileExistsError as error:
        raise CannotWrite(f"{goal} exists already.", hint="--force replaces it, or give another name.") from error
    except OSError as error:
        raise cannot_write(goal, error) from error
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink(missing_ok=True)
                if mark is not None:
                    mark.unlink(missing_ok=True)
    return digest, n_bytes


def cannot_write(goal: Path, error: OSError) -> CannotWrite:
    """Return a CannotWrite that describes the error."""
    if error.errno in NO_ROOM[:2]:
        full = full_disk(goal.parent)
        return CannotWrite(f"{goal} cannot be written. {full.message}", hint=full.hint)
    return CannotWrite(f"{goal} cannot be written: {error.strerror}.", hint="Check free space and permissions.")


def apply_umask(path: Path) -> None:
    """Give a file that the host wrote the mode of this process's own files: the host's are private."""
    mask = os.umask(0)
    os.umask(mask)
    with suppress(OSError):
        path.chmod(0o666 & ~mask)


def partial_path(goal: Path) -> Path:
    """Return a new name for a partial file beside the goal."""
    return goal.with_name(f".{goal.name[:80]}.{secrets.token_hex(4)}.part")


def marked_partials(marks: Path) -> list[tuple[Path, Path]]:
    """Return abandoned partial files, each with its mark; marks without a file are removed."""
    found = []
    with suppress(OSError):
        for mark in sorted(marks.iterdir()):
            with suppress(OSError):
                part = Path(os.fsdecode(read_plain(mark)))
                valid = part.is_absolute() and part.name.startswith(".") and part.name.endswith(f".{mark.name}.part")
                if valid and part.is_file() and not part.is_symlink():
                    found.append((part, mark))
                elif not valid or part.parent.is_dir():
                    mark.unlink()
    return found


def _note(part: Path, marks: Path | None) -> Path | None:
    """Record the partial file; return the mark, or None if it cannot be written, which is not an error."""
    if marks is None:
        return None
    mark = marks / part.name.split(".")[-2]
    try:
        marks.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark.write_bytes(os.fsencode(part))
    except OSError:
        return None
    return mark


def _make(part: Path) -> None:
    """Create an empty file with this process's default mode."""
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o666))


def _take_place(part: Path, goal: Path) -> None:
    """Rename the file, unless the name has been taken meanwhile. Raises FileExistsError."""
    try:
        os.link(part, goal)  # unlike a rename, it never replaces an existing file
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if goal.exists():
            raise FileExistsError from None
        part.rename(goal)
