"""Write a sweep's units to a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError
from engine.machine.paths import path_of
from sessions.files.atomic_write import apply_umask, check_goal, write_atomically
from tui.output.console import narrate, write_data
from tui.output.sweep import SCHEMA, units_table

if TYPE_CHECKING:
    from sessions.protocol import SweepDetail

_STDOUT = "-"


def write_units(detail: "SweepDetail", file: str, *, force: bool) -> None:
    """Write the table in the format of the file's name; `-` is CSV on stdout. Raises ConfigError, CannotWrite."""
    table = units_table(detail)
    if file == _STDOUT:
        write_data(table.csv())
        return
    goal = Path.cwd() / path_of(file)
    match goal.suffix.lower():
        case ".csv":
            text = table.csv()
        case ".json":
            row = detail.sweep
            about = {"schema": SCHEMA, "name": row.name, "units": row.units, "done": row.done, "failed": row.failed}
            text = table.json(about)
        case ".parquet":
            _parquet(detail, goal, force=force)
            narrate(f"wrote {goal}")
            return
        case _:
            raise ConfigError(f"{file} does not give a format.", hint="Name it .csv, .json or .parquet.")
    check_goal(goal, force=force)

    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8")

    write_atomically(goal, write, force=force)
    narrate(f"wrote {goal}")


def _parquet(detail: "SweepDetail", goal: Path, *, force: bool) -> None:
    from sessions.protocol import Done, WriteTable
    from tui.headless.host_request import with_host

    table = units_table(detail)
    request = WriteTable(columns=table.wire_columns(), rows=table.rows, path=str(goal), force=force)
    with_host(lambda client: client.ask(request, Done))
    apply_umask(goal)
