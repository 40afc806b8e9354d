"""Delete sessions permanently: from the log, from every table, and files that only they used."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sessions.rows import SessionRow
from sessions.store.database import Store
from sessions.store.queries import newest_examples, session_row, session_rows, trashed_session
from sessions.store.recorder import RecordedEntry, Recorder

_DAY_US = 86_400_000_000
_RUNS_OF = "SELECT run_id, sae_sha256 FROM run WHERE session_id IN (SELECT unnest($ids))"
_SETUP_KINDS = ("session_created", "tags_set", "examples_set", "options_chosen", "look_changed")
"""Events that the log of an unused session may contain besides those of runs."""
SETTLED_S = 600.0
"""Seconds for which new SAE weights may have no owner: a run names them shortly after they were written."""


def trash_bytes(store: Store, session_ids: Sequence[str], weights: Path) -> int:
    """Return the approximate size of these sessions: their log and their SAE weights."""
    ids: dict[str, object] = {"ids": list(session_ids)}
    sql = "SELECT coalesce(sum(strlen(payload)), 0) FROM event WHERE session_id IN (SELECT unnest($ids))"
    total = int(store.rows(sql, ids)[0][0])
    for _, sae in store.rows(_RUNS_OF, ids):
        if sae is not None:
            with suppress(OSError):
                total += (weights / f"{sae}.safetensors").lstat().st_size
    return total


class RemovedSessions(NamedTuple):
    """The deleted sessions, and the files that can be deleted now."""

    sessions: list[SessionRow]
    files: list[Path]


def old_trash(store: Store, *, days: float, now_us: int | None = None) -> list[str]:
    """Return the sessions that have been in the trash for longer than `days`; none if that is 0, for never."""
    if days <= 0:
        return []
    before = (time.time_ns() // 1000 if now_us is None else now_us) - int(days * _DAY_US)
    rows = store.rows(
        "SELECT session_id FROM session WHERE trashed_us <= $before ORDER BY trashed_us, session_id", {"before": before}
    )
    return [str(session_id) for (session_id,) in rows]


def whole_trash(store: Store, references: Sequence[str] = ()) -> list[str]:
    """Return these sessions of the trash, or all of it. Raises NoSuchRecord."""
    if references:
        return list(dict.fromkeys(trashed_session(store, each) for each in references))
    rows = store.rows("SELECT session_id FROM session WHERE trashed_us IS NOT NULL ORDER BY trashed_us, session_id")
    return [str(session_id) for (session_id,) in rows]


def is_unused(store: Store, session_id: str) -> bool:
    """Return whether a session was never used: all its runs were refused, and nothing else was done in it.

    The examples that it began with do not count; a user's first edit makes a second version.
    """
    ids: dict[str, object] = {"id": session_id, "kinds": list(_SETUP_KINDS)}
    done = store.rows(
        "SELECT 1 FROM event WHERE session_id = $id AND run_id IS NULL AND kind NOT IN (SELECT unnest($kinds)) "
        "UNION ALL SELECT 1 FROM (SELECT count(*) AS n FROM event WHERE session_id = $id AND kind = 'examples_set') "
        "WHERE n > 1 "
        "UNION ALL SELECT 1 FROM run WHERE session_id = $id AND (state <> 'failed' OR "
        "coalesce(json_extract_string(failure, '$.family'), '') <> 'input') LIMIT 1",
        ids,
    )
    return not done


def is_empty(store: Store, session_id: str) -> bool:
    """Return whether a session has no example, no run, and nothing else that was done in it but edits of examples."""
    ids: dict[str, object] = {"id": session_id, "kinds": [*_SETUP_KINDS, "examples_stepped"]}
    done = store.rows(
        "SELECT 1 FROM event WHERE session_id = $id AND (run_id IS NOT NULL OR kind NOT IN (SELECT unnest($kinds))) "
        "LIMIT 1",
        ids,
    )
    return not done and not newest_examples(store, session_id) and session_row(store, session_id).task is None


def remove_for_good(
    recorder: Recorder, session_ids: Sequence[str], weights: Path
) -> tuple[RemovedSessions, list[RecordedEntry]]:
    """Delete the sessions, all or none; return them and the SAE weights that no other session uses.

    The files are deleted after the commit: a kill in between leaves files without an owner, which gc finds.
    """
    store = recorder.store
    ids: dict[str, object] = {"ids": list(session_ids)}
    removed = session_rows(store, session_ids)
    saes = {row[1] for row in store.rows(_RUNS_OF, ids)}
    if removed:
        with store.transaction() as con:
            by_session, by_run = tables_of(store)
            for table in by_run:
                runs = f"SELECT run_id FROM ({_RUNS_OF})"  # noqa: S608  # names of our own, here and below
                con.execute(f"DELETE FROM {table} WHERE run_id IN ({runs})", ids)  # noqa: S608
            for table in by_session:
                con.execute(f"DELETE FROM {table} WHERE session_id IN (SELECT unnest($ids))", ids)  # noqa: S608
            con.execute(
                "DELETE FROM example WHERE content_hash NOT IN (SELECT content_hash FROM example_set) AND content_hash "
                "NOT IN (SELECT content_hash FROM run WHERE content_hash IS NOT NULL)"
            )
        recorder.forget()
    lost = [path for path in find_orphans(store, weights, settled_s=0) if path.stem in saes]
    return RemovedSessions([removed[session_id] for session_id in session_ids if session_id in removed], lost), []


def tables_of(store: Store) -> tuple[list[str], list[str]]:
    """Return the tables whose rows name their session, and those whose rows name only their run."""
    columns: dict[str, set[str]] = {}
    for table, column in store.rows(
        "SELECT table_name, column_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_oid, table_name) "
        "WHERE NOT duckdb_tables.internal ORDER BY ALL"
    ):
        columns.setdefault(str(table), set()).add(str(column))
    by_session = [table for table, names in columns.items() if "session_id" in names]
    return by_session, [table for table, names in columns.items() if "run_id" in names and "session_id" not in names]


def find_orphans(store: Store, folder: Path, *, settled_s: float = SETTLED_S) -> list[Path]:
    """Return SAE weights that no run names and that are not new: a run names its weights after they were written."""
    wanted = {f"{sha256}.safetensors" for (sha256,) in store.rows("SELECT DISTINCT sae_sha256 FROM run")}
    before = time.time() - settled_s
    found: list[Path] = []
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            # The inode's change time: a file that was moved here keeps its modification time.
            plain = path.suffix == ".safetensors" and path.is_file() and not path.is_symlink()
            if plain and path.name not in wanted and path.stat().st_ctime <= before:
                found.append(path)
    return found


def remove_files(paths: Sequence[Path], *, settled_s: float) -> int:
    """Delete the files that are not new; return how many bytes that freed."""
    n_bytes, before = 0, time.time() - settled_s
    for path in paths:
        with suppress(OSError):
            about = path.lstat()
            if about.st_ctime <= before:
                path.unlink()
                n_bytes += about.st_size
    return n_bytes
