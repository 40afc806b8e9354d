"""Checks and repairs the store in a separate process, as a damaged file may crash DuckDB."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from engine.errors import Failure
from engine.machine import child_processes
from sessions.errors import StoreDamaged, StoreError, error_from
from sessions.rows import StoreReport, TableHealth

if TYPE_CHECKING:
    from engine.machine.folders import AppFolders

_LARGE = 200_000_000
LOOK_LIMIT_S = 60
"""Time limit of a check, which also limits itself; a repair has none."""


class _RepairAnswer(msgspec.Struct):
    report: StoreReport | None = None
    failure: Failure | None = None


def run_store_process(mode: Literal["check", "repair", "place"], places: "AppFolders", name: str = "") -> StoreReport:
    """Return the report; `name`: the repaired store to put in place.

    Raises the store's own error, or StoreError if the process failed.
    """
    try:
        done = child_processes.run(
            child_processes.python_command("-m", "sessions.recovery.repair", mode, *([name] if name else [])),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=LOOK_LIMIT_S if mode == "check" else None,
        )
    except subprocess.TimeoutExpired:
        raise StoreError(
            f"Checking {places.store} took more than {LOOK_LIMIT_S} s.",
            hint="The disk may be slow or busy; try again.",
        ) from None
    try:
        answer = msgspec.json.decode(done.stdout, type=_RepairAnswer)
    except msgspec.MsgspecError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
        ended = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
        raise StoreDamaged(
            f"{places.store} crashed the process that checked it ({ended}): {last[0]}",
            hint="Keep the file, and restore a backup.",
        ) from None
    if answer.report is None:
        assert answer.failure is not None
        raise error_from(answer.failure)
    return answer.report


def run_repair(places: "AppFolders", *, in_place: bool, as_json: bool) -> bool:
    """Repair the store, print what was saved, and put it in place on request; return whether nothing was lost."""
    from engine.machine.memory import format_bytes
    from tui.output.console import narrate, print_columns, print_json, print_line

    if places.store.is_file() and places.store.stat().st_size > _LARGE:
        narrate(f"{format_bytes(places.store.stat().st_size)} are read row by row; this takes minutes.")
    report = run_store_process("repair", places)
    finished = report.repaired is None
    placed = None if finished or not in_place else run_store_process("place", places, Path(report.repaired or "").name)
    if as_json:
        value = {
            "schema": "headcode.repair/1",
            "placed": bool(placed or finished),
            "report": msgspec.to_builtins(report),
        }
        print_json(value | {"words": placed.words if placed else ""})
        return report.sound
    if finished:
        print_line(report.words)
        return report.sound
    print_columns(
        [(table.name, _came(table), _lost(table)) for table in report.tables], header=("table", "rows saved", "")
    )
    print_line()
    if report.words:
        print_line(report.words)
    print_line("Nothing is lost." if report.sound else "Rows that could not be read are lost unless you have a backup.")
    if placed is not None:
        print_line(f"{places.store} is now the repaired store. {placed.words}")
    else:
        print_line(f"The repaired store: {report.repaired}")
        print_line("To use it (the damaged one is moved aside, not deleted): headcode doctor --repair --in-place")
    return report.sound


def _came(table: TableHealth) -> str:
    return f"{table.kept:,}" if table.rows is None else f"{table.kept:,} of {max(table.rows, table.kept):,}"


def _lost(table: TableHealth) -> str:
    if table.words:
        return table.words
    if table.rows is None:
        return "their number cannot be read"
    return f"{table.rows - table.kept:,} lie in damaged pages" if table.kept < table.rows else ""
