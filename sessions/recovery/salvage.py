"""Read what can be read from a damaged store. The damaged files are never written."""

import shutil
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from sessions.errors import StoreDamaged, StoreError
from sessions.files.journal import first_entry, header_for, identifiers, journals_of, read_journal
from sessions.store.connection import connect
from sessions.store.database import SAFE
from sessions.store.file_check import examine, explain

Row = tuple[Any, ...]

_HEADERS = (4096, 8192)
"""Offsets of DuckDB's two headers: a checkpoint rewrites the older one, so each gives access to a state."""
_HEADER_BYTES = 4096
_GROUP = 122_880
"""Rows of a row group: DuckDB reads one without reading the others."""
_MIN_ROWS = 2_048
"""Rows that can only be read together: the vector, DuckDB's smallest unit."""
_FETCH = 10_000
_NAME_BYTES = 4
"""Maximum number of damaged bytes in the 16 of a journal's store identifier; beyond, it is another store's."""


class SalvageSource:
    """A store opened for reading, possibly as a repaired copy."""

    def __init__(self, con: duckdb.DuckDBPyConnection, words: Sequence[str] = (), harmless: Sequence[str] = ()) -> None:
        self.con = con
        self.words = list(words)
        """Describes what had to be left out to open it."""
        self.harmless = list(harmless)
        """Describes damage that affects no rows."""

    def tables(self) -> list[str]:
        found = self.con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal ORDER BY 1").fetchall()
        return [str(name) for (name,) in found]

    def columns(self, table: str) -> list[str]:
        found = self.con.execute(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = $name ORDER BY column_index", {"name": table}
        ).fetchall()
        return [str(name) for (name,) in found]

    def count(self, table: str) -> int | None:
        """Return the row count in the table's metadata, without reading rows; None if it cannot be read."""
        try:
            return int(self.con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608  # ours
        except duckdb.Error:
            return None

    def look(self, table: str, deadline: float) -> tuple[int, str]:
        """Return the rows fully read until the deadline (time.monotonic), and DuckDB's error, if any."""
        read = 0
        for begin in range(0, self._last_rowid(table) + 1, _GROUP):
            if time.monotonic() > deadline:
                break
            sql = f"SELECT count(*), bit_xor(hash(t)) FROM {table} AS t WHERE rowid >= {begin} "  # noqa: S608  # ours
            try:
                read += int(self.con.execute(f"{sql} AND rowid < {begin + _GROUP}").fetchall()[0][0])
            except duckdb.Error as error:
                return read, str(error).strip().split("\n")[0]
        return read, ""

    def read(self, table: str, columns: Sequence[str], keep: Callable[[list[Row]], None]) -> int:
        """Pass the readable rows to `keep` in batches; return their number."""
        last = self._last_rowid(table)
        return sum(self._span(table, columns, begin, begin + _GROUP, keep) for begin in range(0, last + 1, _GROUP))

    def close(self) -> None:
        self.con.close()

    def _last_rowid(self, table: str) -> int:
        try:
            found = self.con.execute(f"SELECT max(rowid) FROM {table}").fetchall()[0][0]  # noqa: S608  # ours
        except duckdb.Error:
            return 2 * (self.count(table) or 0)
        return -1 if found is None else int(found)

    def _span(self, table: str, columns: Sequence[str], begin: int, end: int, keep: Callable[[list[Row]], None]) -> int:
        """Read a range of rows; if that fails, its halves, down to the rows that can only be read together."""
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE rowid >= {begin} AND rowid < {end}"  # noqa: S608  # ours
        try:
            rows: list[Row] = self.con.execute(sql).fetchall()
        except duckdb.Error:
            if end - begin <= _MIN_ROWS:
                return 0
            middle = begin + max(_MIN_ROWS, (end - begin) // 2 // _MIN_ROWS * _MIN_ROWS)
            return self._span(table, columns, begin, middle, keep) + self._span(table, columns, middle, end, keep)
        for first in range(0, len(rows), _FETCH):
            keep(rows[first : first + _FETCH])
        return len(rows)


def open_as_it_is(path: Path) -> SalvageSource:
    """Open the store read-only, journal included. Raises StoreError."""
    header = examine(path)
    if header is None:
        raise StoreError(f"There is no store at {path} yet.", hint="The first run creates one.")
    try:
        return SalvageSource(connect(path, SAFE, read_only=True))
    except duckdb.Error as error:
        raise explain(path, error, header) from error


def open_damaged(path: Path, work: Path) -> SalvageSource:
    """Open the store as it is, or else the first copy in `work`, without the damaged parts, that opens.

    Raises the error of the store as it is if no copy opens.
    """
    try:
        return open_as_it_is(path)
    except StoreDamaged as error:
        if path.stat().st_size < sum(_HEADERS):
            raise
        shut = error
    copy = work / "copy.duckdb"
    words: list[str] = []
    harmless: list[str] = []
    for mend in (_cut_journal, _older_header, _older_header_alone, _borrowed_start):
        _fresh(path, copy)
        words.clear()
        harmless.clear()
        if mend(path, copy, words, harmless):
            try:
                return SalvageSource(connect(copy, SAFE, read_only=True), words, harmless)
            except duckdb.Error:
                continue
    raise shut


def _fresh(path: Path, copy: Path) -> None:
    shutil.copyfile(path, copy)
    for journal in journals_of(copy):
        journal.unlink()
    for journal in journals_of(path):
        shutil.copyfile(journal, copy.with_name(copy.name + journal.name.removeprefix(path.name)))


def _cut_journal(path: Path, copy: Path, words: list[str], harmless: list[str]) -> bool:
    """Cut the journals at their first damaged entries; leave out those that cannot be read at all."""
    found = journals_of(copy)
    if not found:
        return False
    for journal in found:
        name = path.name + journal.name.removeprefix(copy.name)
        if journal.name.endswith(".recovery") or not journal.stat().st_size:
            journal.unlink()
        elif not _repair_journal(journal, copy, name, words, harmless):
            words.append(f"{name} cannot be read: what its {journal.stat().st_size} bytes held is lost.")
            journal.unlink()
    wal = _wal(copy)
    if not wal.exists():
        for journal in journals_of(copy):
            words.append(f"{path.name + journal.name.removeprefix(copy.name)} was left out: {wal.name} does not exist.")
            journal.unlink()
        return True
    try:
        connect(copy, SAFE, read_only=True).close()
    except duckdb.Error:
        words.append(f"{_wal(path).name} cannot be read: what its {_wal(path).stat().st_size} bytes held is lost.")
        wal.unlink()
    return True


def _repair_journal(journal: Path, copy: Path, name: str, words: list[str], harmless: list[str]) -> bool:
    """Make a copied journal readable; return whether it holds anything."""
    size = journal.stat().st_size
    found = read_journal(journal, sums=True)
    if not found.header or _is_nearly_of(copy, journal):
        header = header_for(copy)
        content = journal.read_bytes()
        begin = first_entry(content)
        if header is None or begin is None:
            return False
        journal.write_bytes(header + content[begin:])
        if not found.header or content[:begin] != header:
            harmless.append(f"The first bytes of {name} are damaged; they hold no rows.")
        shift, found = begin - len(header), read_journal(journal, sums=True)
    else:
        shift = 0
    if found.verdict == "damaged":
        with journal.open("r+b") as file:
            file.truncate(found.end)
        behind = f" ({found.hidden:,} writes)" if found.hidden else ""
        words.append(
            f"{name} is damaged at byte {found.stopped + shift} of {size}: what was written after that is lost{behind}."
        )
    return True


def _is_nearly_of(copy: Path, journal: Path) -> bool:
    """Return whether the journal names this store, apart from a few damaged bytes."""
    own, known = identifiers(copy, journal)
    return len(own) == len(known) and 0 < sum(a != b for a, b in zip(own, known, strict=True)) <= _NAME_BYTES


def _older_header(path: Path, copy: Path, words: list[str], _: list[str]) -> bool:
    """Replace the newest header by that of the checkpoint before."""
    with copy.open("r+b") as file:
        blocks = []
        for place in _HEADERS:
            file.seek(place)
            blocks.append(file.read(_HEADER_BYTES))
        newest = max((0, 1), key=lambda which: struct.unpack_from("<Q", blocks[which], 8))
        if _opens_with(copy, newest, blocks):
            return True
        other = 1 - newest
        file.seek(_HEADERS[newest])
        file.write(blocks[other])
    words.append(f"{path.name} was opened as of its last checkpoint but one: later changes are lost.")
    return True


def _opens_with(copy: Path, which: int, blocks: list[bytes]) -> bool:
    """Return whether the newest header alone opens the file: then only the older one is damaged.

    In that case nothing is lost.
    """
    with copy.open("r+b") as file:
        file.seek(_HEADERS[1 - which])
        file.write(blocks[which])
    try:
        connect(copy, SAFE, read_only=True).close()
    except duckdb.Error:
        with copy.open("r+b") as file:
            file.seek(_HEADERS[1 - which])
            file.write(blocks[1 - which])
        return False
    return True


def _older_header_alone(path: Path, copy: Path, words: list[str], _: list[str]) -> bool:
    """Use the older header without a journal, which belongs to a later state."""
    wal = _wal(copy)
    if not wal.exists():
        return False
    wal.unlink()
    words.append(f"{_wal(path).name} was left out.")
    return _older_header(path, copy, words, _)


def _borrowed_start(path: Path, copy: Path, _: list[str], harmless: list[str]) -> bool:
    """Replace the file's first block by that of a new store: it only identifies a DuckDB file."""
    lender = copy.with_name("lender.duckdb")
    lender.unlink(missing_ok=True)
    connect(lender, SAFE).close()
    with copy.open("r+b") as file:
        file.write(lender.read_bytes()[: _HEADERS[0]])
    harmless.append(f"The first block of {path.name} is damaged; it holds no data.")
    return True


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")
