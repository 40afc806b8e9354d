"""Open the store: a DuckDB database in which everything that a store does not need is locked.

Used from one thread.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import duckdb

from sessions.errors import StoreDamaged, StoreError, StoreFull, StoreLost, StoreTooNew, StoreUncertain
from sessions.files.journal import holds_commits, journals_of
from sessions.files.placing import copy_private, sync
from sessions.files.store_exchange import finish_exchange
from sessions.store.audit import hash_columns, refuse_foreign_objects
from sessions.store.connection import connect
from sessions.store.file_check import FileHeader, examine, explain, is_fatal, is_full
from sessions.store.file_identity import FileChange, FileIdentity
from sessions.store.memory_growth import MemoryGrowth, give_back_memory
from sessions.store.migrations import META, MIGRATIONS, SCHEMA_VERSION, VIEWS
from sessions.version import version

log = logging.getLogger("headcode.store")

STORAGE = "v2.0.0"
"""Pinned: by default a later DuckDB would write a format that this one cannot read."""
SAFE: dict[str, str] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
    "storage_compatibility_version": STORAGE,
    "max_temp_directory_size": "4GB",  # spill limit of a query; the default is most of the disk
}
"""Settings for every store, including untrusted ones: no access to files, extensions or settings from inside."""

_COMMIT_BYTES = 500
"""Approximate journal size of a small commit."""
_VIEWS = "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY view_name"

Row = tuple[Any, ...]
OnLost = Callable[["Store", FileChange, FileIdentity], StoreLost]


class Store:
    """One connection to one file. It reopens itself after a fatal error."""

    def __init__(self, path: Path, *, memory: str = "512MB", threads: int = 2) -> None:
        self.path = path
        self._config = SAFE | {"memory_limit": memory.replace(" ", ""), "threads": str(threads)}
        self._con: duckdb.DuckDBPyConnection | None = None
        self.memory_growth = MemoryGrowth()
        self.commits = 0
        """Commits since the last checkpoint: reading one back after a kill takes 0.5 ms."""
        self._identity: FileIdentity | None = None
        self.on_lost: OnLost = _report_loss
        """Makes the error; in a host it first saves what the open store still holds."""
        self.lost: StoreLost | None = None
        """Set once another program has removed, replaced or moved the file; the store is read-only from then on."""

    @classmethod
    def open(cls, path: Path, *, memory: str = "512MB", threads: int = 2) -> Self:
        """Open the store at `path`; create it if there is none, migrate it if it is older.

        Raises StoreError, StoreDamaged or StoreTooNew, which describe the problem of this file.
        """
        store = cls(path, memory=memory, threads=threads)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if done := finish_exchange(path):
                log.warning("an exchange of stores was interrupted: %s", done)
            header = examine(path)
            if header is None:
                store._create()
                header = examine(path)
        except FileExistsError as error:
            raise StoreError(
                f"The store {path} cannot be made: {path.parent} is not a folder.", hint="Move that file away."
            ) from error
        except OSError as error:
            why = f"The store {path} cannot be used: {error.strerror}."
            raise StoreError(why, hint="HEADCODE_HOME sets another folder.") from error
        with suppress(OSError):
            # Opening the store reads the journal of a killed host but does not write it into the file.
            store.commits = store._wal.stat().st_size // _COMMIT_BYTES
        store._connect(header)
        try:
            store._prepare(header)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def blank(cls, path: Path, schema: int) -> Self:
        """Create an empty store of that schema, to be filled from an old one."""
        store = cls(path)
        store._connect(None)
        store.migrate(0, schema)
        return store

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run a block in one transaction.

        Raises StoreUncertain if DuckDB failed so late that the write may have been stored, StoreLost if the
        file is no longer there.
        """
        self.check_place()
        con = self.connection()
        try:
            con.begin()
            yield con
            # Inside an aborted transaction, DuckDB's COMMIT reports success and rolls back; this statement detects
            # that.
            con.execute("SELECT 1").fetchall()
            self.check_place(writing=True)
            con.commit()
            self._check_after_write()
            self.commits += 1
        except duckdb.Error as error:
            self._rollback(con)
            if is_full(error) and self._identity is not None:
                self._identity.accept_files()
            if is_fatal(error):
                self._reopen()
                meant = explain(self.path, error)
                uncertain = StoreUncertain(meant.message, hint=meant.hint)
                uncertain.full = isinstance(meant, StoreFull)
                raise uncertain from error
            raise explain(self.path, error) from error
        except BaseException:
            self._rollback(con)
            raise

    def rows(self, sql: str, parameters: dict[str, object] | None = None) -> list[Row]:
        """Return all rows of one query. Raises StoreError."""
        con = self.connection()
        self.memory_growth.asked += 1
        try:
            return con.execute(sql, parameters or {}).fetchall()
        except duckdb.Error as error:
            if is_full(error) and self._identity is not None:
                self._identity.accept_files()
            if is_fatal(error):
                self._reopen()
            raise explain(self.path, error) from error

    def one(self, sql: str, parameters: dict[str, object] | None = None) -> Row | None:
        """Return the first row, or None. Reads the whole result: an unfinished one would block the connection."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def tables(self) -> list[str]:
        return [
            str(name) for (name,) in self.rows("SELECT table_name FROM duckdb_tables() WHERE NOT internal ORDER BY 1")
        ]

    def columns(self, table: str) -> list[str]:
        sql = "SELECT column_name FROM duckdb_columns() WHERE table_name = $table ORDER BY column_index"
        return [str(name) for (name,) in self.rows(sql, {"table": table})]

    def connection(self) -> duckdb.DuckDBPyConnection:
        if self._con is None:
            self._connect(None)
        assert self._con is not None
        return self._con

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return another connection to the same database, for another thread; the caller closes and drops it."""
        return self.memory_growth.track_cursor(self.connection().cursor())

    def renew(self) -> None:
        """Reopen the database to free memory (see memory_growth), unless cursors are in use. Raises StoreError."""
        self.memory_growth.postpone()
        self.checkpoint()
        if not self.memory_growth.cursors:
            self._reopen()
            give_back_memory()

    def migrate(self, have: int, wanted: int | None = None) -> None:
        """Migrate from schema `have` to `wanted` (None: the newest), one transaction per step.

        A step that asks for a refold has it in the last one, when every column that is folded into exists.
        """
        steps = MIGRATIONS[have:wanted]
        for number, migration in enumerate(steps, start=have + 1):
            with self.transaction() as con:
                con.execute(META)
                for statement in migration.statements:
                    con.execute(statement)
                if migration.refold:
                    con.execute("INSERT OR REPLACE INTO meta VALUES ('refold', 'due')")
                if number == have + len(steps) and con.execute("SELECT 1 FROM meta WHERE key = 'refold'").fetchall():
                    from sessions.store.refold import refold  # that module reads the log through this one

                    refold(con)
                    con.execute("DELETE FROM meta WHERE key = 'refold'")
                for key, value in (
                    ("schema", str(number)),
                    ("headcode", version()),
                    ("shape", hash_columns(self.rows)),
                ):
                    con.execute("INSERT OR REPLACE INTO meta VALUES ($key, $value)", {"key": key, "value": value})
        if wanted is None:
            self._make_views()

    def checkpoint(self) -> None:
        """Write the journal into the file. Raises StoreError on failure, which loses nothing."""
        self.check_place()
        self.commits = 0
        try:
            self.rows("CHECKPOINT")
        finally:
            self._check_after_write()

    def close(self) -> None:
        """Checkpoint and close. If the checkpoint fails, the data stays in the journal."""
        if self._con is not None:
            with suppress(duckdb.Error, StoreError):
                self.check_place()
                self._con.execute("CHECKPOINT")
            with suppress(duckdb.Error):
                self._con.close()
            self._con = None
            if self._identity is not None:
                self._identity.close()

    def check_place(self, *, writing: bool = False) -> None:
        """Raise StoreLost if the path no longer names the open file; nothing is written from then on.

        The content is first saved to another file, unless the files were only moved. writing: called during a
        write of our own.
        """
        if self.lost is not None:
            raise self.lost
        if self._identity is None or self._con is None:
            return
        change = self._identity.change(writing=writing)
        if change is not None:
            if writing:
                self._rollback(self._con)
            self.lost = self.on_lost(self, change, self._identity)
            raise self.lost

    def _check_after_write(self) -> None:
        """Check the file after a write of our own.

        Raises StoreLost if the write went into a file that was taken away.
        """
        if self._identity is not None:
            self._identity.note()
        self.check_place()

    def size(self) -> int:
        """Return the bytes on disk, journal included. Uses names only: opening the file would drop DuckDB's lock."""
        total = 0
        for path in (self.path, self._wal):
            with suppress(OSError):
                total += path.stat().st_size
        return total

    @property
    def _wal(self) -> Path:
        return self.path.with_name(self.path.name + ".wal")

    def _connect(self, header: FileHeader | None) -> None:
        if self._identity is not None and (change := self._identity.change(writing=True)) is not None:
            self.lost = self.lost or _report_loss(self, change, self._identity)
            raise self.lost
        try:
            # On exit DuckDB would checkpoint by name and remove that journal, even if the files are no longer ours;
            # `close` checks first.
            con = connect(self.path, self._config, checkpoint_on_close=False)
            self._identity = FileIdentity(self.path)
        except duckdb.Error as error:
            raise explain(self.path, error, header) from error
        except OSError as error:
            con.close()
            raise StoreError(f"The store {self.path} is gone: {error.strerror}.", hint="Try again.") from error
        self._con = con
        self.memory_growth.asked = 0

    def _reopen(self) -> None:
        self.close()
        with suppress(StoreError):
            self._connect(None)

    def _rollback(self, con: duckdb.DuckDBPyConnection) -> None:
        with suppress(duckdb.Error):
            con.rollback()

    def _create(self) -> None:
        """Create a store under another name and rename it: a kill in between leaves no store that cannot be opened."""
        new = self.path.with_name(f"{self.path.name}.new")
        if count_events(new):
            raise StoreDamaged(
                f"{self.path} is not there, but {new.name} is, and holds {count_events(new):,} events.",
                hint=f"If that is your store, rename it to {self.path.name}; else move it to another folder.",
            )
        for leftover in (*journals_of(new), new):
            leftover.unlink(missing_ok=True)
        made = Store(new)
        made._config = self._config
        made._connect(None)
        try:
            made.migrate(0)
        finally:
            made.close()
        new.chmod(0o600)
        new.replace(self.path)
        sync(self.path.parent)

    def _prepare(self, header: FileHeader | None) -> None:
        refuse_foreign_objects(self.path, self.rows)
        have = self._schema_version()
        if have > SCHEMA_VERSION:
            by = self._meta("headcode") or "a later Headcode"
            raise StoreTooNew(
                f"{self.path} has schema {have}, written by Headcode {by}; "
                f"this is Headcode {version()}, which knows schemas up to {SCHEMA_VERSION}.",
                hint="Upgrade Headcode, or set HEADCODE_HOME to use another store.",
            )
        if have < SCHEMA_VERSION:
            self.close()
            aside = self.path.with_name(f"{self.path.stem}.schema-{have}{self.path.suffix}")
            if holds_commits(self.path):
                why = f"The journal of {self.path} cannot be written into it before it is upgraded."
                raise StoreError(why, hint="Free some space there.")
            try:
                copy_private(self.path, aside)
            except OSError as error:
                why = f"The store cannot be copied to {aside} before it is upgraded: {error.strerror}."
                raise StoreError(why, hint="Free some space there.") from error
            self._connect(header)
            self.migrate(have)
        elif self._meta("shape") != hash_columns(self.rows):
            raise StoreDamaged(
                f"The tables in {self.path} are not those Headcode {self._meta('headcode')} made.",
                hint="Another program changed them. Put a copy of yours in its place, or move it away.",
            )
        self._make_views()

    def _make_views(self) -> None:
        wanted = hashlib.sha256(repr(sorted(VIEWS.items())).encode()).hexdigest()
        found = repr(self.rows(_VIEWS))
        if self._meta("views") == f"{wanted}:{hashlib.sha256(found.encode()).hexdigest()}":
            return
        with self.transaction() as con:
            for name, body in VIEWS.items():
                con.execute(f"CREATE OR REPLACE VIEW {name} AS {body}")
            found = repr(con.execute(_VIEWS).fetchall())
            mark = f"{wanted}:{hashlib.sha256(found.encode()).hexdigest()}"
            con.execute("INSERT OR REPLACE INTO meta VALUES ('views', $mark)", {"mark": mark})

    def _schema_version(self) -> int:
        text = self._meta("schema")
        if text is None:
            tables = self.rows("SELECT table_name FROM duckdb_tables() WHERE NOT internal ORDER BY table_name")
            names = ", ".join(str(name) for (name,) in tables[:3])
            raise StoreDamaged(
                f"{self.path} is a DuckDB database, but not a Headcode store (tables: {names or 'none'}).",
                hint="Move it away, or set HEADCODE_HOME to use another folder.",
            )
        if not text.isdecimal():
            raise StoreDamaged(f"{self.path} says its schema is {text!r}.", hint="Put a copy of yours in its place.")
        return int(text)

    def _meta(self, key: str) -> str | None:
        if not self.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'"):
            return None
        row = self.one("SELECT value FROM meta WHERE key = $key", {"key": key})
        return None if row is None else str(row[0])


def count_events(path: Path) -> int | None:
    """Return the number of events in a store, journal included; None if it cannot be opened."""
    try:
        if examine(path) is None:
            return None
        with connect(path, SAFE, read_only=True) as con:
            return int(con.execute("SELECT count(*) FROM event").fetchall()[0][0])
    except (StoreError, OSError, duckdb.Error):
        return None


def _report_loss(_: Store, change: FileChange, __: FileIdentity) -> StoreLost:
    return StoreLost(change.words, hint="Put it back, then: headcode host stop")


def append_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[object]]) -> None:
    """Add the rows, in the table's own order of columns (1.9 us a row; executemany takes 700)."""
    if rows:
        with con.appender(table) as appender:
            appender.append_rows(rows)
