"""How every connection to DuckDB is opened."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

_LOCK = "lock_configuration"


def connect(
    path: Path | str,
    config: Mapping[str, str] | None = None,
    *,
    read_only: bool = False,
    checkpoint_on_close: bool = True,
) -> duckdb.DuckDBPyConnection:
    """A connection to that database that draws nothing. Raises duckdb.Error.

    DuckDB 2.0 takes code run by `python -c` for a person at a prompt: a statement of more than two seconds draws its
    progress bar on stdout, into pipes and files, too. The setting is one of a connection, which no configuration takes,
    so the configuration is locked only after it.
    """
    wanted = dict(config or {})
    lock = wanted.pop(_LOCK, "false")
    con = duckdb.connect(str(path), read_only=read_only, config={**wanted})
    try:
        if not checkpoint_on_close:
            con.execute("PRAGMA disable_checkpoint_on_shutdown")  # before they are locked, too
        con.execute("SET enable_progress_bar = false")
        if lock == "true":
            con.execute(f"SET {_LOCK} = true")
    except duckdb.InvalidInputException:
        # Another connection of this process has locked the database already; a cursor has the bar off from its start.
        return con.cursor()
    except BaseException:
        con.close()
        raise
    return con
