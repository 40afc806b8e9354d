"""Detect that an open store's file was removed, replaced or changed by another program.

DuckDB opens the file once but finds its journal by name, again and again: after the file was replaced it would put a
journal beside the foreign file and remove that file's own journal.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

_HEADER_BYTES = 12_288
"""DuckDB's three headers; every checkpoint rewrites one of them."""
_DATABASE_HEADERS = (4096, 8192)
"""The two headers that are written in turn; the one before them never changes."""
_TAIL_BYTES = 64
_FDS = Path("/dev/fd")

Kind = Literal["removed", "replaced", "overwritten", "journal", "written journal", "moved"]


class FileChange(NamedTuple):
    """A change that another program made to the files of an open store."""

    kind: Kind
    path: Path
    """The store's path, or the journal's for a change of the journal."""
    now: Path | None = None
    """Where all the files are now; None if they are gone or cannot be found."""

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
    """The state of an open store's files, compared before a write is acknowledged and every second.

    An overwrite in place shows in what our own writes preserve: a checkpoint writes one header with a higher
    number; a commit keeps the earlier content of the journal.
    """

    def __init__(self, path: Path) -> None:
        """Create this as soon as the store is open. Raises OSError if the file is gone already."""
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
        """Record the state of the files after our own writes, as the expected state before the next one."""
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
        elif _at(self._wal) == self._journal.file:  # otherwise `change` reports it
            self._journal.note()

    def accept_files(self) -> None:
        """Accept the files as they are after a write of ours found the disk full and DuckDB rolled back."""
        if self._broken is None and _at(self._path) == self._file:
            self._header = self._read_header()
            self._journal.adopt(self._wal)

    def change(self, *, writing: bool = False) -> FileChange | None:
        """Return what another program did to the files since; None if they are unchanged.

        writing: called during a write of ours, when DuckDB may have written into them.
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
        """Return the path of the journal if the file there is ours."""
        return self._wal if self._journal.file is not None and _at(self._wal) == self._journal.file else None

    def _gone(self, kind: Kind) -> FileChange:
        now = self._where()
        journal = now.with_name(now.name + ".wal") if now is not None else None
        own = self._journal.file
        whole = now is not None and (own is None or (journal is not None and _at(journal) == own))
        return FileChange("moved", self._path, now) if whole else FileChange(kind, self._path)

    def _where(self) -> Path | None:
        """Return the current path of the open file, if the system tells."""
        fd = _own_fd(self._file)
        if fd is None:
            return None
        try:
            now = Path(f"/proc/self/fd/{fd}").readlink()
        except OSError:
            return None
        return now if _at(now) == self._file else None

    def _read_header(self) -> bytes | None:
        """Read the header through DuckDB's own descriptor; None if it cannot be found.

        Opening and closing the file would drop DuckDB's lock.
        """
        for _ in range(2):
            with suppress(OSError):
                if self._fd is not None and _held(self._fd) == self._file:
                    return os.pread(self._fd, _HEADER_BYTES, 0)
            self._fd = _own_fd(self._file)
        return None


class _JournalIdentity:
    """The journal of an open store: which file it is, its length and its end."""

    def __init__(self) -> None:
        self.file: _File | None = None
        """None: there is no journal."""
        self._reader: int | None = None
        """Our own descriptor, as DuckDB's is write-only.

        Open as long as the journal: closing it drops DuckDB's lock.
        """
        self._size = 0
        self._tail = b""

    def adopt(self, path: Path) -> None:
        """Record which file DuckDB has open as its journal; a file that it does not have open is ignored."""
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
        """Return whether it still begins with its earlier content."""
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
    """Return whether checkpoints of ours can have made one header from the other, or this cannot be told."""
    if header is None or before is None or header == before:
        return True
    if len(header) != len(before) or header[: _DATABASE_HEADERS[0]] != before[: _DATABASE_HEADERS[0]]:
        return False
    newest = max(_iteration(before, at) for at in _DATABASE_HEADERS)
    return all(
        header[at : at + 4096] == before[at : at + 4096] or _iteration(header, at) > newest for at in _DATABASE_HEADERS
    )


def _iteration(header: bytes, at: int) -> int:
    """Return the number of the checkpoint that wrote this header; it follows the checksum."""
    return int.from_bytes(header[at + 8 : at + 16], "little")


def _at(path: Path) -> _File | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _File(found.st_dev, found.st_ino)


def _own_fd(file: _File) -> int | None:
    """Return the descriptor with which this process has the file open."""
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
