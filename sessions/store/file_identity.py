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
_DATABASE_HEADERS = (4096, 8192)
"""The two that are written in turn; before them stands one that stays."""
_TAIL_BYTES = 64
_FDS = Path("/dev/fd")

Kind = Literal["removed", "replaced", "overwritten", "journal", "written journal", "moved"]


class FileChange(NamedTuple):
    """What somebody else did to the files of an open store."""

    kind: Kind
    path: Path
    """The store's path; of a change of the journal, the journal's."""
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
            case "written journal":
                return f"The store's journal {self.path} was written into by another program while it was open."


class _File(NamedTuple):
    dev: int
    ino: int


class FileIdentity:
    """Of a store that is open: compared before a write is acknowledged, and every second.

    What is written over in its place is told by what stays of it when we write ourselves: a checkpoint writes one
    header, with a higher number; a commit leaves what the journal held before.
    """

    def __init__(self, path: Path) -> None:
        """To be made as soon as the store is open. Raises OSError where it is gone already."""
        self._path = path
        self._wal = path.with_name(path.name + ".wal")
        found = path.stat()
        self._file = _File(found.st_dev, found.st_ino)
        self._fd: int | None = None
        self._broken: FileChange | None = None
        self._header = self._read_header()
        self._journal = _JournalIdentity()
        self._journal.adopt(self._wal)

    def note(self) -> None:
        """Our own writes are over: what the files are like now is how they have to be found before the next one."""
        if self._broken is not None or _at(self._path) != self._file:
            return
        header = self._read_header()
        if not _follows(header, self._header):
            self._broken = FileChange("overwritten", self._path)
        elif header != self._header or self._journal.file is None:
            self._header = header
            self._journal.adopt(self._wal)
        elif not self._journal.grew():
            self._broken = FileChange("written journal", self._wal)
        elif _at(self._wal) == self._journal.file:  # else `change` says so
            self._journal.note()

    def settle(self) -> None:
        """A write of ours found the disk full, and DuckDB undid what it could: the files are taken as they are."""
        if self._broken is None and _at(self._path) == self._file:
            self._header = self._read_header()
            self._journal.adopt(self._wal)

    def change(self, *, writing: bool = False) -> FileChange | None:
        """What somebody else did to the files since; None where they are ours still.

        writing: in the middle of a write of ours, DuckDB may have written into them.
        """
        try:
            found = self._path.stat()
        except OSError:
            return self._gone("removed")
        if _File(found.st_dev, found.st_ino) != self._file:
            return self._gone("replaced")
        if self._broken is not None:
            return self._broken
        header = self._read_header()
        if not (_follows(header, self._header) if writing else header == self._header):
            return FileChange("overwritten", self._path)
        if self._journal.file is not None and not writing:
            if _at(self._wal) != self._journal.file:
                return FileChange("journal", self._wal)
            if not self._journal.same():
                return FileChange("written journal", self._wal)
        return None

    def close(self) -> None:
        self._journal.close()

    def own_journal(self) -> Path | None:
        """The path of the journal where what lies there is ours."""
        return self._wal if self._journal.file is not None and _at(self._wal) == self._journal.file else None

    def _gone(self, kind: Kind) -> FileChange:
        now = self._where()
        journal = now.with_name(now.name + ".wal") if now is not None else None
        own = self._journal.file
        whole = now is not None and (own is None or (journal is not None and _at(journal) == own))
        return FileChange("moved", self._path, now) if whole else FileChange(kind, self._path)

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

    def _read_header(self) -> bytes | None:
        """Through DuckDB's own descriptor: opening and closing the file would drop its lock. None: nobody can tell."""
        for _ in range(2):
            with suppress(OSError):
                if self._fd is not None and _held(self._fd) == self._file:
                    return os.pread(self._fd, _HEADER_BYTES, 0)
            self._fd = _own_fd(self._file)
        return None


class _JournalIdentity:
    """The journal of an open store: which file it is, how long, and its end."""

    def __init__(self) -> None:
        self.file: _File | None = None
        """None: there is none."""
        self._reader: int | None = None
        """Our own, as DuckDB's is for writing only. Open as long as the journal is: closing it drops DuckDB's lock."""
        self._size = 0
        self._tail = b""

    def adopt(self, path: Path) -> None:
        """What DuckDB has for a journal now; a file that it has not open is none."""
        found = _at(path)
        if found != self.file or found is None:
            own = found is not None and _own_fd(found) is not None
            self.close()
            if own:
                with suppress(OSError):
                    self._reader = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                    self.file = _held(self._reader)
        self.note()

    def note(self) -> None:
        if self._reader is not None:
            with suppress(OSError):
                self._size = self._length()
                self._tail = self._read_tail()

    def grew(self) -> bool:
        """Whether it holds what it held, and perhaps more."""
        return self._reader is None or (
            os.fstat(self._reader).st_size >= self._size and self._read_tail() == self._tail
        )

    def same(self) -> bool:
        return self._reader is None or (
            os.fstat(self._reader).st_size == self._size and self._read_tail() == self._tail
        )

    def close(self) -> None:
        if self._reader is not None:
            with suppress(OSError):
                os.close(self._reader)
        self.file, self._reader, self._size, self._tail = None, None, 0, b""

    def _length(self) -> int:
        return 0 if self._reader is None else os.fstat(self._reader).st_size

    def _read_tail(self) -> bytes:
        if self._reader is None:
            return b""
        start = max(0, self._size - _TAIL_BYTES)
        return os.pread(self._reader, self._size - start, start)


def _follows(header: bytes | None, before: bytes | None) -> bool:
    """Whether checkpoints of ours may have made the one of the other; so, too, where nobody can tell."""
    if header is None or before is None or header == before:
        return True
    if len(header) != len(before) or header[: _DATABASE_HEADERS[0]] != before[: _DATABASE_HEADERS[0]]:
        return False
    newest = max(_iteration(before, at) for at in _DATABASE_HEADERS)
    return all(
        header[at : at + 4096] == before[at : at + 4096] or _iteration(header, at) > newest for at in _DATABASE_HEADERS
    )


def _iteration(header: bytes, at: int) -> int:
    """The number of the checkpoint that wrote this header, which stands behind its checksum."""
    return int.from_bytes(header[at + 8 : at + 16], "little")


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
            if _held(int(name)) == file:
                return int(name)
    return None


def _held(fd: int) -> _File:
    found = os.fstat(fd)
    return _File(found.st_dev, found.st_ino)
