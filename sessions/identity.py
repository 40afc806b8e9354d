"""Whether an open store's file is still the one that its path names: what is written into a file that is gone is lost.

DuckDB opens the file once, but finds its journal by name, again and again: after the file was replaced it would put a
journal beside the stranger's file, and remove that file's own.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

_HEADER_BYTES = 12_288
"""DuckDB's three headers: every checkpoint writes one of them anew."""
_FDS = Path("/dev/fd")

Kind = Literal["removed", "replaced", "overwritten", "journal", "moved"]


class Change(NamedTuple):
    """What somebody else did to the files of an open store."""

    kind: Kind
    path: Path
    """The store's path; for "journal" that of the journal."""
    now: Path | None = None
    """Where the files lie now, all of them; None where they do not lie anywhere, or nobody can tell."""

    @property
    def words(self) -> str:
        match self.kind:
            case "moved":
                return f"The store {self.path} was moved to {self.now} while it was open."
            case "removed":
                return f"The store {self.path} was removed by another program while it was open."
            case "replaced":
                return f"The store {self.path} was replaced by another file while it was open."
            case "overwritten":
                return f"The store {self.path} was written into by another program while it was open."
            case "journal":
                return f"The store's journal {self.path} was removed or replaced by another program while it was open."


class _File(NamedTuple):
    dev: int
    ino: int


class Identity:
    """Of a store that is open: compared before a write is acknowledged, and every second."""

    def __init__(self, path: Path) -> None:
        """To be made as soon as the store is open. Raises OSError where it is gone already."""
        self._path = path
        self._wal = path.with_name(path.name + ".wal")
        found = path.stat()
        self._file = _File(found.st_dev, found.st_ino)
        self._journal: _File | None = None
        self._written = (0, 0)
        self._header = b""
        self.note()

    def note(self) -> None:
        """Our own writes are over: what the files are like now is how they have to be found before the next one."""
        self._note_journal()
        with suppress(OSError):
            found = self._path.stat()
            if _File(found.st_dev, found.st_ino) == self._file:
                written = (found.st_mtime_ns, found.st_size)
                if written != self._written:
                    self._written, self._header = written, self._read_header()

    def change(self, *, writing: bool = False) -> Change | None:
        """What somebody else did to the files since; None where they are ours still.

        writing: in the middle of a write of ours, DuckDB may have written into the file.
        """
        try:
            found = self._path.stat()
        except OSError:
            return self._gone("removed")
        if _File(found.st_dev, found.st_ino) != self._file:
            return self._gone("replaced")
        if not writing and (found.st_mtime_ns, found.st_size) != self._written:
            if self._header and self._read_header() != self._header:
                return Change("overwritten", self._path)
            self._written = (found.st_mtime_ns, found.st_size)  # touched, no more
        if self._journal is not None and not writing and _at(self._wal) != self._journal:
            return Change("journal", self._wal)
        return None

    def own_journal(self) -> Path | None:
        """The path of the journal where what lies there is ours."""
        return self._wal if self._journal is not None and _at(self._wal) == self._journal else None

    def _gone(self, kind: Kind) -> Change:
        now = self._where()
        journal = now.with_name(now.name + ".wal") if now is not None else None
        whole = now is not None and (self._journal is None or (journal is not None and _at(journal) == self._journal))
        return Change("moved", self._path, now) if whole else Change(kind, self._path)

    def _where(self) -> Path | None:
        """The path that the open file has now, as far as the system tells."""
        fd = _own_fd(self._file)
        if fd is None:
            return None
        try:
            now = Path(f"/proc/self/fd/{fd}").readlink()
        except OSError:
            return None
        return now if _at(now) == self._file else None

    def _note_journal(self) -> None:
        found = _at(self._wal)
        if found != self._journal and (found is None or _own_fd(found) is not None):
            self._journal = found

    def _read_header(self) -> bytes:
        """Through DuckDB's own descriptor: opening and closing the file would drop its lock."""
        fd = _own_fd(self._file)
        if fd is not None:
            with suppress(OSError):
                return os.pread(fd, _HEADER_BYTES, 0)
        return b""


def _at(path: Path) -> _File | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _File(found.st_dev, found.st_ino)


def _own_fd(file: _File) -> int | None:
    """The descriptor of this process that has the file open."""
    try:
        numbers = [path.name for path in _FDS.iterdir()]
    except OSError:
        return None
    for name in numbers:
        with suppress(OSError, ValueError):
            found = os.fstat(int(name))
            if _File(found.st_dev, found.st_ino) == file:
                return int(name)
    return None
