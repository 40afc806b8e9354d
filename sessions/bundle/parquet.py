"""Build a session's tables from its log alone in a scratch database, for the Parquet files of a bundle.

The store's own tables are never copied: they hold more than the exported log (when it was imported, under which name).
An import is tried out in such a database before the store sees any of it.
"""

import re
import secrets
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import duckdb

from sessions.errors import BadBundle
from sessions.events import EVENT_VERSION, LogEntry
from sessions.files.atomic_write import write_atomically
from sessions.protocol import TableColumn
from sessions.store.connection import connect
from sessions.store.database import append_rows
from sessions.store.migrations import MIGRATIONS
from sessions.store.projections import Projector
from sessions.store.views import PLACE_HEAD, PLACE_LAYER

TABLES: dict[str, str] = {
    "causes": """
        SELECT c.* FROM cause c JOIN run r ON r.run_id = c.run_id
        ORDER BY r.number, c.method, c.seq, c.layer, c.head""",
    "circuit_checks": "SELECT c.* FROM circuit_check c JOIN run r ON r.run_id = c.run_id ORDER BY r.number, c.name",
    "circuits": "SELECT * FROM circuit ORDER BY name",
    "codes": f"""
        SELECT c.run_id, c.seed, c.example, {PLACE_LAYER} AS layer, {PLACE_HEAD} AS head, c.code
        FROM (SELECT run_id, seed, example, unnest(codes) AS code, generate_subscripts(codes, 1) - 1 AS place
              FROM code) c
        JOIN run r ON r.run_id = c.run_id ORDER BY r.number, c.seed, c.example, c.place""",  # noqa: S608  # names of our own
    "edges": "SELECT e.* FROM edge_score e JOIN run r ON r.run_id = e.run_id ORDER BY r.number, e.place",
    "example_sets": "SELECT * FROM example_set ORDER BY version",
    "examples": "SELECT * FROM example ORDER BY content_hash, position",
    "grades": "SELECT g.* FROM grade g JOIN run r ON r.run_id = g.run_id ORDER BY r.number, g.example",
    "nodes": "SELECT n.* FROM node_score n JOIN run r ON r.run_id = n.run_id ORDER BY r.number, n.layer, n.head",
    "notes": "SELECT * FROM note ORDER BY note_id",
    "runs": "SELECT * FROM run ORDER BY number",
    "sessions": "SELECT * FROM session",
    "steps": "SELECT s.* FROM step s JOIN run r ON r.run_id = s.run_id ORDER BY r.number, s.step, s.seed",
    "tags": "SELECT * FROM tag ORDER BY tag",
}
"""One file each; every order is total, so that the same log gives the same bytes."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
_CONFIG = {
    "threads": "1",  # several threads would cut the row groups at random
    "memory_limit": "1GB",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}


class ScratchDatabase:
    """The tables of one session, in memory. `folder` is the only place that it writes to, for spilling."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self._folder = folder
        config = {**_CONFIG, "temp_directory": str(folder / "spill")}
        if not writes:
            config |= {"enable_external_access": "false", "lock_configuration": "true"}
        self._con = connect(":memory:", config)
        for migration in MIGRATIONS:
            for statement in migration.statements:
                self._con.execute(statement)
        self._projector = Projector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(duckdb.Error):
            self._con.close()

    def add(self, entries: Sequence[tuple[LogEntry, bytes]]) -> None:
        """Apply the next entries, with their stored events. Raises BadBundle for values that no table can hold."""
        rows = [event_row(entry, payload) for entry, payload in entries]
        try:
            self._con.begin()
            append_rows(self._con, "event", rows)
            self._projector.apply(self._con, [entry for entry, _ in entries])
            self._con.commit()
        except (duckdb.Error, OverflowError, ValueError, TypeError) as error:
            with suppress(duckdb.Error):
                self._con.rollback()
            first, last = entries[0][0].seq, entries[-1][0].seq
            raise BadBundle(
                f"events.jsonl, lines {first} to {last}, hold values that no session can: "
                f"{str(error).splitlines()[0][:200]}",
                hint="Ask for the file again: it was damaged on the way, or made by another program.",
            ) from error

    def add_codes(self, run_id: str, rows: Iterable[tuple[int, int, list[int]]]) -> None:
        """Add a run's codes as (seed, example, codes layer by layer)."""
        append_rows(self._con, "code", [(run_id, seed, example, codes) for seed, example, codes in rows])

    def summary(self) -> tuple[str, list[tuple[str, str]]]:
        """Return the session's name at the end of its log, and every run's id and state."""
        (name,) = self._con.execute("SELECT name FROM session").fetchall()[0]
        return str(name), self._con.execute("SELECT run_id, state FROM run ORDER BY number").fetchall()

    def write(self, folder: Path) -> list[tuple[str, Path]]:
        """Write every table that has rows as Parquet; return the names and the files."""
        written = []
        for name, question in TABLES.items():
            if not self._con.execute(f"SELECT 1 FROM ({question}) LIMIT 1").fetchall():  # noqa: S608  # ours
                continue
            path = folder / f"{name}.parquet"
            self._con.execute(
                f"COPY ({question}) TO '{quote_path(path)}' "  # ours
                "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100000)"
            ).fetchall()
            written.append((f"tables/{name}.parquet", path))
        return written


def write_parquet(
    columns: Sequence[TableColumn],
    rows: Sequence[Sequence[object]],
    goal: Path,
    staging: Path,
    *,
    force: bool,
    marks: Path | None = None,
) -> None:
    """Write a table as a Parquet file. Raises CannotWrite, or BadBundle for an invalid table."""
    names = [column.name for column in columns]
    if not names or len(set(names)) != len(names) or not all(_NAME.fullmatch(name) for name in names):
        raise BadBundle(f"{', '.join(names)[:200]!r} are not valid column names.", hint="Use letters, digits and _.")
    if any(len(row) != len(names) for row in rows):
        raise BadBundle(
            "A row of the table has another number of cells than there are columns.", hint="Check the columns."
        )
    kinds = {"whole": "BIGINT", "number": "DOUBLE", "yes": "BOOLEAN", "text": "VARCHAR"}
    shape = ", ".join(f'"{column.name}" {kinds[column.kind]}' for column in columns)  # some names are keywords
    staging.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(part: Path) -> None:
        made = staging / f"table-{secrets.token_hex(4)}.parquet"
        config = {**_CONFIG, "temp_directory": str(staging / "spill")}
        with connect(":memory:", config) as con:
            try:
                con.execute(f"CREATE TABLE exported ({shape})")
                append_rows(con, "exported", rows)
                # Not directly at the goal: DuckDB accepts no path with ?, \\ or bytes that are not UTF-8.
                con.execute(f"COPY exported TO '{quote_path(made)}' (FORMAT parquet, COMPRESSION zstd)").fetchall()
                shutil.copyfile(made, part)
            except duckdb.Error as error:
                raise BadBundle(f"The table cannot be written: {str(error).splitlines()[0][:200]}") from error
            finally:
                made.unlink(missing_ok=True)

    write_atomically(goal, write, force=force, marks=marks)


def event_row(entry: LogEntry, payload: bytes) -> tuple[object, ...]:
    """Return the entry as a row of the event table."""
    kind = str(entry.event.__struct_config__.tag)
    return (entry.session_id, entry.seq, entry.at_us, entry.run_id, kind, EVENT_VERSION, payload.decode())


def quote_path(path: Path) -> str:
    """Return a path that can stand inside single quotes of SQL."""
    return str(path).replace("'", "''")
