"""`headcode sql`: query the documented views; print a table, JSON or CSV."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from sessions.rows import SqlTable

_MOST_STDIN = 1 << 20
_WIDEST = 60


def sql(
    query: Annotated[
        str,
        typer.Argument(
            metavar="[SQL]", help="The query; - reads stdin. Without a query: list the views and their columns."
        ),
    ] = "",
    limit: Annotated[int, typer.Option(help="Maximum number of rows.", min=1, max=100_000)] = 1_000,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values with a header.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Query the store in SQL, read-only: SELECT, WITH, FROM, DESCRIBE, SUMMARIZE over views.

    headcode sql "SELECT session, number FROM runs JOIN nodes USING (run_id) WHERE node = '2.3' AND place <= 10"
    """
    from engine.errors import ConfigError
    from sessions.protocol import QuerySql, SqlAnswer
    from tui.headless.host_request import with_host
    from tui.output.console import narrate, print_json

    if as_csv and as_json:
        raise ConfigError("--csv and --json cannot be combined.", hint="Choose one.")
    words = _stdin() if query == "-" else query
    if query and not words.strip():
        raise ConfigError("The query is empty.", hint='headcode sql "SELECT * FROM runs"')
    found = with_host(lambda client: client.ask(QuerySql(sql=words, limit=limit), SqlAnswer)).table
    if as_json:
        print_json(
            {
                "schema": "headcode.sql/1",
                "columns": [{"name": n, "type": t} for n, t in zip(found.columns, found.types, strict=True)],
                "rows": [dict(zip(found.columns, row, strict=True)) for row in found.rows],
                "cut": found.cut or None,
            }
        )
    elif as_csv:
        _print_csv(found)
    elif not words:
        _print_views(found)
    else:
        _print_table(found)
    if found.cut:
        narrate(f"Only {found.cut}. --limit asks for more (100,000 at most), LIMIT and WHERE for less.")


def _print_views(found: "SqlTable") -> None:
    """Print each view with its columns, wrapped."""
    import textwrap

    from tui.output.console import narrate, print_line

    views: dict[str, list[str]] = {}
    for view, column, _ in found.rows:
        views.setdefault(str(view), []).append(str(column))
    for view, columns in views.items():
        for number, line in enumerate(textwrap.wrap(", ".join(columns), 100)):
            print_line(f"{view if number == 0 else '':<9} {line}")
    narrate('headcode sql "DESCRIBE nodes" shows the types; docs/sql.md says what each column means.')


def _print_table(found: "SqlTable") -> None:
    from tui.output.console import narrate, print_columns, shorten
    from tui.terminal.sanitize import clean

    cells = [[clean(_shown(value)) for value in row] for row in found.rows]
    numbers = [
        place
        for place in range(len(found.columns))
        if found.rows and all(row[place] is None or isinstance(row[place], int | float) for row in found.rows)
    ]
    if sys.stdout.isatty():
        cells = [[shorten(cell, _WIDEST) for cell in row] for row in cells]
    print_columns([tuple(row) for row in cells], header=tuple(found.columns), right=numbers)
    if not cells:
        narrate("No rows.")


def _shown(value: object) -> str:
    """Format a value for reading; None is a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value)
    import msgspec

    return msgspec.json.encode(value).decode()


def _print_csv(found: "SqlTable") -> None:
    import csv

    import msgspec

    from tui.terminal.sanitize import escaped

    # A file gets the raw text; control characters are escaped for a terminal.
    sanitised = escaped if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([sanitised(name) for name in found.columns])
    for row in found.rows:
        cells: list[object] = []
        for value in row:
            if isinstance(value, list | dict):
                value = msgspec.json.encode(value).decode()
            elif isinstance(value, bool):
                value = str(value).lower()
            cells.append(sanitised(value) if isinstance(value, str) else value)
        writer.writerow(cells)


def _stdin() -> str:
    from engine.errors import ConfigError

    if sys.stdin.isatty():
        sys.stderr.write("Type the query; Ctrl+D ends it.\n")
    raw = sys.stdin.buffer.read(_MOST_STDIN + 1)
    if len(raw) > _MOST_STDIN:
        raise ConfigError("stdin holds more than 1 MB, too much for a query.", hint="At most 100,000 characters.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError("stdin is not UTF-8 text.", hint="Save the query as UTF-8.") from error
