"""Run one query of `headcode sql` over the documented views.

It only reads: it cannot write, load extensions, or access anything else.
"""

import datetime
import decimal
import difflib
import math
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import duckdb
import msgspec

from sessions.errors import BadQuery
from sessions.rows import SqlTable
from sessions.store.views import BIRTHS, N_BIRTH_COLUMNS, VIEWS

MAX_SQL = 100_000
MAX_ROWS = 100_000
MAX_BYTES = 16 << 20
SECONDS = 30.0
_BATCH = 1_000
_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
_REFUSED = frozenset(
    [
        "add_parquet_key",
        "checkpoint",
        "current_catalog",
        "current_connection_id",
        "current_database",
        "current_query",
        "current_query_id",
        "current_role",
        "current_schema",
        "current_schemas",
        "current_setting",
        "current_transaction_id",
        "currval",
        "error",
        "getenv",
        "get_block_size",
        "getvariable",
        "in_search_path",
        "nextval",
        "query",
        "query_table",
        "session_user",
        "setseed",
        "setval",
        "sleep_ms",
        "stats",
        "txid_current",
        "user",
        "vector_type",
        "version",
        "which_secret",
        "write_log",
    ]
)
_REFUSED_BEGINNINGS = ("duckdb_", "has_", "inet_", "parquet_", "pg_", "pragma_", "read_")
_ALLOWED_TEXT = "SELECT, WITH, FROM, DESCRIBE and SUMMARIZE"


def overview(cursor: duckdb.DuckDBPyConnection) -> SqlTable:
    """Return the views and their columns, which answer an empty query."""
    rows: list[list[object]] = []
    for view in VIEWS:
        rows += [[view, name, kind] for name, kind, *_ in cursor.execute(f"DESCRIBE {view}").fetchall()]
    return SqlTable(columns=("view", "column", "type"), types=("VARCHAR",) * 3, rows=tuple(rows), cut="", seconds=0.0)


def names_births(sql: str) -> bool:
    """Return True if the query may read births, whose rows must be filled in first."""
    return re.search(rf"\b{BIRTHS}\b", sql, re.IGNORECASE) is not None


def fill_births(cursor: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[object]]) -> None:
    """Make the rows of births for this cursor alone: a temporary table, which goes first by name."""
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {BIRTHS} AS FROM main.{BIRTHS}")
    if rows:
        cursor.executemany(f"INSERT INTO temp.{BIRTHS} VALUES ({', '.join('?' * N_BIRTH_COLUMNS)})", rows)  # noqa: S608


def ask(cursor: duckdb.DuckDBPyConnection, sql: str, *, limit: int = 1_000, seconds: float = SECONDS) -> SqlTable:
    """Return the result, cut at the limits on rows, bytes and time.

    The cursor belongs to the caller; another thread may use the store meanwhile. Raises BadQuery.
    """
    started = time.monotonic()
    statement = check(cursor, sql)
    late = threading.Timer(seconds, cursor.interrupt)
    late.daemon = True
    late.start()
    try:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        cursor.execute(statement)
        about = cursor.description or []
        rows, cut = _take(cursor, max(1, min(limit, MAX_ROWS)))
    except duckdb.InterruptException as error:
        raise BadQuery(
            f"The query took longer than {seconds:g} s and was stopped.",
            hint="Ask for fewer runs (WHERE run_id = ...), or for a sample (USING SAMPLE 1%).",
        ) from error
    except duckdb.Error as error:
        raise _format_error(error) from error
    finally:
        late.cancel()
        with suppress(duckdb.Error):
            cursor.rollback()
    names = _unique([str(column[0]) for column in about])
    types = tuple(str(column[1]) for column in about)
    return SqlTable(columns=names, types=types, rows=tuple(rows), cut=cut, seconds=time.monotonic() - started)


def check(cursor: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return the statement if it is allowed. Raises BadQuery.

    It is checked twice: by DuckDB's classification of the statement, and by the names in its syntax tree.
    """
    if len(sql) > MAX_SQL:
        raise BadQuery(f"The query has {len(sql)} characters.", hint=f"At most {MAX_SQL}.")
    if "\0" in sql or (not sql.isascii() and any("\ud800" <= each <= "\udfff" for each in sql)):
        raise BadQuery("The query is not valid text.", hint="Save it as UTF-8, without NUL.")
    try:
        statements = cursor.extract_statements(sql)
    except duckdb.Error as error:
        raise _format_error(error) from error
    if not statements:
        raise BadQuery("There is no query.", hint="For example: headcode sql 'SELECT * FROM runs'")
    if len(statements) > 1:
        raise BadQuery(f"These are {len(statements)} statements.", hint="Run one statement at a time.")
    kind = statements[0].type
    statement = statements[0].query
    if kind != duckdb.StatementType.SELECT:
        raise _no_question(kind)
    (text,) = cursor.execute("SELECT CAST(json_serialize_sql($sql) AS VARCHAR)", {"sql": statement}).fetchall()[0]
    try:
        tree = msgspec.json.decode(text)
    except RecursionError as error:
        raise BadQuery("The query is nested too deeply.", hint="The limit is about 500 levels.") from error
    if tree.get("error") or len(tree.get("statements", ())) != 1:
        raise BadQuery(
            f"The query cannot be parsed: {tree.get('error_message', 'unknown')}.", hint=f"Use {_ALLOWED_TEXT}."
        )
    nodes = list(_nodes(tree))
    own = {str(each["key"]).lower() for node in nodes for each in _map(node.get("cte_map"))}
    own -= _catalog(cursor)
    for node in nodes:
        _check_node(node, own)
    return statement


def _no_question(kind: duckdb.StatementType) -> BadQuery:
    if kind == duckdb.StatementType.MULTI:
        # Its columns depend on the data: DuckDB first creates a type from the values, which makes it several
        # statements.
        return BadQuery(
            "A PIVOT that does not list its values is not allowed: DuckDB would first write them to the database.",
            hint="List them: PIVOT runs ON state IN ('done', 'failed') USING count(*)",
        )
    name = str(kind).rpartition(".")[2].replace("_", " ")
    article = "An" if name[0] in "AEIOU" else "A"
    return BadQuery(f"{article} {name} statement is not allowed: the console only reads.", hint=f"Use {_ALLOWED_TEXT}.")


def _check_node(node: dict[str, Any], own: set[str]) -> None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        path = [str(part).lower() for part in node.get("qualified_name", {}).get("path", ())]
        name = path[-1] if path else ""
        plain = path[:-1] in ([], ["main"]) and path != ["main", BIRTHS]  # its rows are in the temporary table
        if not (plain and name in VIEWS) and not (len(path) == 1 and name in own):
            raise _no_view(".".join(path))
    elif kind == "SHOW_REF" and node.get("query") is None:
        raise BadQuery("SHOW is not allowed.", hint="headcode sql without a query lists the views and their columns.")
    elif kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise BadQuery(f"The function {name}() is not allowed here.", hint=f"Read from a view: {', '.join(VIEWS)}.")
    elif node.get("class") == "FUNCTION" or "function_name" in node:
        name = str(node.get("function_name", "")).lower()
        if name in _REFUSED or name.startswith(_REFUSED_BEGINNINGS):
            raise BadQuery(f"The function {name}() is not allowed here.", hint="The console computes on what it reads.")


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Yield every object of the tree, without recursion: a query may be nested deeper than Python's stack."""
    waiting = [tree]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _map(value: object) -> list[Any]:
    return value.get("map", []) if isinstance(value, dict) else []


def _catalog(cursor: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names that a WITH must not use: outside its scope they would refer to the underlying table."""
    rows = cursor.execute(
        "SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views() WHERE internal"
    ).fetchall()
    return {str(name).lower() for (name,) in rows}


def _no_view(name: str) -> BadQuery:
    similar = difflib.get_close_matches(name.rpartition(".")[2], VIEWS, n=1, cutoff=0.5)
    guess = f"Did you mean {similar[0]}? " if similar else ""
    return BadQuery(f"There is no view {name[:80]!r}.", hint=f"{guess}There are: {', '.join(VIEWS)}.")


def _take(cursor: duckdb.DuckDBPyConnection, limit: int) -> tuple[list[list[object]], str]:
    """Fetch rows up to the limits; return them and a description of what was cut."""
    rows: list[list[object]] = []
    n_bytes = 0
    while True:
        batch = cursor.fetchmany(min(_BATCH, limit + 1 - len(rows)))
        if not batch:
            return rows, ""
        for row in batch:
            if len(rows) == limit:
                return rows, f"the first {limit} rows"
            shown = [_plain(value) for value in row]
            n_bytes += len(msgspec.json.encode(shown))
            if n_bytes > MAX_BYTES:
                return rows, f"the first {len(rows)} rows: together they have {MAX_BYTES >> 20} MB"
            rows.append(shown)


def _plain(value: object) -> object:
    """Return the value as JSON can hold it. Infinities and NaN become null, as in all of Headcode's JSON."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else str(value)
        case float():
            return value if math.isfinite(value) else None
        case decimal.Decimal():
            return float(value)
        case datetime.datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return str(value)


def _unique(names: list[str]) -> tuple[str, ...]:
    """Return column names, made different: a, a_2, a_3."""
    seen: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(result)


_KIND = re.compile(r"^(?:[A-Z][A-Za-z-]* )+Error: ")


def _format_error(error: duckdb.Error) -> BadQuery:
    """Return DuckDB's error without its class name, with the nearest names if it gives some."""
    text = str(error).strip()
    message, _, rest = text.partition("\n")
    message = _KIND.sub("", message)
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in text:
        return BadQuery(
            "The query needs more memory than the store may use.",
            hint="Ask for fewer runs, or raise store_memory in config.toml.",
        )
    if "expression depth" in message:
        return BadQuery("The query is nested too deeply.", hint="The limit is about 500 levels.")
    hints: list[str] = []
    nearest = re.search(r"Candidate bindings: (.+)", rest) or re.search(r"Did you mean (.+)", rest)
    if nearest:
        hints.append(f"Nearest: {nearest[1].rstrip('?').strip()}.")
    place = re.search(r"LINE (\d+): (.*)\n( *\^)", rest)
    if place and "syntax error" in message:
        hints.append(f"In line {place[1]}, where it says: {place[2][max(0, len(place[3]) - len(place[1]) - 8) :][:40]}")
    return BadQuery(
        _ended(message[:400]), hint=" ".join(hints) or "headcode sql without a query lists the views and columns."
    )


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
