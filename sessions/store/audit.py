"""Check that a store contains only what Headcode made."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessions.errors import StoreDamaged
from sessions.store.migrations import VIEWS

Query = Callable[[str], list[tuple[Any, ...]]]


def refuse_foreign_objects(path: Path, query: Query) -> None:
    """Refuse objects that would make our own statements run foreign code (a trigger fires on our inserts).

    Raises StoreDamaged.
    """
    questions = {
        "view": "SELECT view_name FROM duckdb_views() WHERE NOT internal",
        "macro": "SELECT function_name FROM duckdb_functions() WHERE NOT internal",
        "trigger": "SELECT trigger_name FROM duckdb_triggers()",
    }
    for kind, sql in questions.items():
        foreign = sorted({str(name) for (name,) in query(sql)} - (set(VIEWS) if kind == "view" else set()))
        if foreign:
            raise StoreDamaged(
                f"{path} holds a {kind} that Headcode did not make: {foreign[0]!r}.",
                hint="Do not use a store from an untrusted source; move it away.",
            )


def hash_columns(query: Query) -> str:
    """Return a hash of the names and types of all columns."""
    columns = query(
        "SELECT c.table_name, c.column_name, c.data_type FROM duckdb_columns() c JOIN duckdb_tables() t "
        "ON t.table_name = c.table_name WHERE NOT c.internal AND c.table_name <> 'meta' ORDER BY ALL"
    )
    return hashlib.sha256(repr(columns).encode()).hexdigest()[:32]
