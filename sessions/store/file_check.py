"""Explain what is wrong with a store's file, before it is opened and when opening failed."""

import os
import re
import struct
from pathlib import Path

import duckdb

from engine.machine.plain_file import open_plain
from sessions.errors import StoreBusy, StoreDamaged, StoreError, StoreTooNew
from sessions.files.disk_space import full_disk
from sessions.files.journal import journals_of, read_journal
from sessions.files.store_exchange import check_no_remains

READABLE_STORAGE = 69
"""The storage version of duckdb 2.0, the oldest supported one."""
_MOVE = "Move it away (Headcode then starts a new store) or put a copy of yours in its place."
_SAVE_JOURNAL = "headcode doctor --repair saves what is intact into a new store and changes neither file."
_SAVE = "headcode doctor --repair saves table by table what can be read into a new store; this one is not changed."
_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


class FileHeader:
    """The first 12 KB of a store, read before it is opened: later, closing the file would drop DuckDB's lock."""

    def __init__(self, path: Path) -> None:
        with open_plain(path) as file:
            self.head = file.read(12_288)

    @property
    def is_duckdb(self) -> bool:
        return self.head[8:12] == b"DUCK"

    @property
    def storage(self) -> int:
        """Return the storage version of the writer; 0 if the file is too short."""
        if len(self.head) < 12_288:
            return 0
        (version,) = struct.unpack_from("<Q", self.head, 12)
        if version == 999:  # since 2.0 the true number is in both database headers
            version = max(
                struct.unpack_from("<Q", self.head, 4096 + 56) + struct.unpack_from("<Q", self.head, 8192 + 56)
            )
        return int(version)

    @property
    def writer(self) -> str:
        return self.head[52:84].split(b"\0")[0].decode("ascii", "replace")


def examine(path: Path) -> FileHeader | None:
    """Return the header of a file that may be opened; None if there is no store yet.

    Raises StoreError or StoreDamaged for problems that show without opening the file.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder, not a store.", hint=_MOVE)
    if not path.exists():
        check_no_remains(path)
        return None
    for each in (path, path.with_name(path.name + ".wal")):
        if each.exists() and not each.is_file():
            raise StoreError(f"{each} is not a file.", hint=_MOVE)
    if path.stat().st_size == 0:
        raise StoreDamaged(f"{path} is empty (0 bytes).", hint=_MOVE)
    _check_access(path)
    header = FileHeader(path)
    if header.head.startswith(b"SQLite format 3\0"):
        raise StoreDamaged(f"{path} is an SQLite database, not a Headcode store.", hint=_MOVE)
    if not header.is_duckdb:
        raise StoreDamaged(f"{path} is not a Headcode store: its first bytes are {header.head[:8]!r}.", hint=_MOVE)
    if header.storage <= READABLE_STORAGE:  # a later DuckDB's journals may have another format
        _check_journals(path)
    return header


def explain(path: Path, error: duckdb.Error, header: FileHeader | None = None) -> StoreError:
    """Return a StoreError that explains DuckDB's error."""
    text = str(error)
    wal = f"{path.name}.wal"
    if "Conflicting lock" in text:
        holder = _HOLDER.search(text)
        who = f"{Path(holder['program']).name} (PID {holder['pid']})" if holder else "another program"
        return StoreBusy(
            f"The store {path} is open in {who}.",
            hint="Close it there; if that is a Headcode host: headcode host stop.",
        )
    if is_full(error):
        return full_disk(path)
    if header is not None and header.storage > READABLE_STORAGE:
        return StoreTooNew(
            f"{path} was written by DuckDB {header.writer or 'of a later version'} (storage {header.storage}); "
            f"this is DuckDB {duckdb.__version__}.",
            hint="Upgrade Headcode, or set HEADCODE_HOME to use another store.",
        )
    if "replaying" in text or "WAL does not match" in text or "This WAL was created" in text:
        return StoreDamaged(f"The store's journal {path.with_name(wal)} is damaged: {_brief(text)}", hint=_SAVE_JOURNAL)
    if "Could not read enough bytes" in text:
        return StoreDamaged(f"{path} is cut short ({path.stat().st_size} bytes): {_brief(text)}", hint=_SAVE)
    if "checksum" in text or "Corrupt" in text:
        return StoreDamaged(
            f"{path} is damaged: {_brief(text)}",
            hint=_SAVE,
        )
    if "Permission denied" in text or "read-only" in text.lower():
        return _read_only(path)
    return StoreError(f"The store {path} does not work: {_brief(text)}", hint="See: headcode host log")


def is_full(error: duckdb.Error) -> bool:
    """Return whether the error means that the disk is full."""
    text = str(error)
    return any(words in text for words in ("No space left", "File too large", "Disk quota exceeded"))


def is_fatal(error: duckdb.Error) -> bool:
    """Return whether every further call fails until the database is reopened."""
    return isinstance(error, duckdb.FatalException) or "has been invalidated" in str(error)


def _check_journals(path: Path) -> None:
    """Raise StoreDamaged for a journal that DuckDB would misread as empty or shorter, and then remove."""
    found = journals_of(path)
    for journal in found:
        if journal.name.endswith(".recovery"):
            continue  # an unfinished merge of the two others: DuckDB makes it again
        read = read_journal(journal)
        if read.verdict == "damaged":
            if read.header:
                behind = f", and {read.hidden:,} writes lie behind" if read.hidden else ""
                words = f"nothing can be read at byte {read.stopped:,} of {read.n_bytes:,}{behind}"
            else:
                with journal.open("rb") as file:
                    words = f"its first bytes are {file.read(8)!r}, not those of a journal"
            raise StoreDamaged(f"The store's journal {journal} is damaged: {words}.", hint=_SAVE_JOURNAL)
    if found and not found[0].name.endswith(".wal"):
        raise StoreDamaged(f"{found[0]} exists, but the earlier journal {path.name}.wal does not.", hint=_SAVE_JOURNAL)


def _check_access(path: Path) -> None:
    wal = path.with_name(path.name + ".wal")
    if not os.access(path, os.R_OK):
        raise StoreError(f"{path} may not be read by this user.", hint="Check its owner: ls -l.")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise _read_only(path)
    if wal.exists() and not os.access(wal, os.R_OK | os.W_OK):
        raise _read_only(wal)


def _read_only(path: Path) -> StoreError:
    return StoreError(
        f"{path} is read-only, and a session must be recorded.",
        hint="Make it and its folder writable, or set HEADCODE_HOME to use another folder.",
    )


def _brief(text: str) -> str:
    first = text.strip().split("\n")[0]
    return (first if len(first) <= 240 else first[:237] + "...").rstrip(".") + "."
