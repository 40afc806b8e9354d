"""Open connections to DuckDB."""

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
    """Return a connection to the database that never draws a progress bar. Raises duckdb.Error.

    DuckDB 2.0 treats code run by `python -c` as interactive: a statement of more than two seconds draws its
    progress bar on stdout, even into pipes and files. The setting exists per connection only, not in the
    configuration, so the configuration is locked after it is set.
    """
    wanted = dict(config or {})
    lock = wanted.pop(_LOCK, "false")
    con = duckdb.connect(str(path), read_only=read_only, config={**wanted})
    try:
        if not checkpoint_on_close:
            con.execute("PRAGMA disable_checkpoint_on_shutdown")  # must precede locking
        con.execute("SET enable_progress_bar = false")
        if lock == "true":
            con.execute(f"SET {_LOCK} = true")
    except duckdb.InvalidInputException:
        # Another connection of this process has locked the database already; a cursor starts with the bar off.
        return con.cursor()
    except BaseException:
        con.close()
        raise
    return con
