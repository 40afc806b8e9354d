"""Sweeps as text, JSON and tables."""

import math
from collections.abc import Sequence

from engine.machine.memory import format_bytes
from engine.planning.time_estimate import format_seconds
from engine.sweeps.plan import SweepPlan, axes_of
from sessions.protocol import SweepDetail, SweepEstimate
from sessions.protocol.sweeps import SweepProgress
from sessions.rows import SweepRow, SweepUnitRow
from tui.output.console import print_columns, print_line
from tui.output.tables import ExportTable

SCHEMA = "headcode.sweep/1"
_SHOWN_UNITS = 40
_SHOWN_FAILURES = 5
_GROUPS = 12


def sweep_json(detail: SweepDetail) -> dict[str, object]:
    """Return a sweep with its units as an object of schema headcode.sweep/1."""
    row = detail.sweep
    return {
        "schema": SCHEMA,
        "name": row.name,
        "id": row.sweep_id,
        "units": row.units,
        "done": row.done,
        "failed": row.failed,
        "active": detail.progress.active,
        "rows": [unit_json(unit) for unit in detail.units],
    }


def plan_json(plan: SweepPlan, found: SweepEstimate) -> dict[str, object]:
    """Return a sweep that was only planned, with what it needs."""
    return {
        "schema": SCHEMA,
        "name": plan.name,
        "id": None,
        "units": found.units,
        "done": found.done,
        "failed": 0,
        "active": False,
        "rows": [{"labels": dict(unit.labels), "key": unit.key, "model": unit.model} for unit in plan.units],
        "groups": [
            {
                "model": group.model,
                "source": group.source,
                "units": group.units,
                "left": group.left,
                "peak_bytes": group.peak_bytes,
                "seconds": group.seconds,
                "trouble": group.trouble or None,
            }
            for group in found.groups
        ],
        "more_groups": found.more_groups,
        "workers": found.workers,
        "free_bytes": found.free_bytes,
        "hours": found.hours,
        "sbatch": found.sbatch or None,
    }


def row_json(row: SweepRow, *, active: bool) -> dict[str, object]:
    """Return a sweep of a list."""
    return {
        "name": row.name,
        "id": row.sweep_id,
        "units": row.units,
        "done": row.done,
        "failed": row.failed,
        "active": active,
        "sessions": row.sessions,
        "planned_us": row.planned_us,
    }


def progress_json(progress: SweepProgress) -> dict[str, object]:
    """Return the workers and what each does."""
    return {
        "on": progress.on or None,
        "left_s": progress.left_s,
        "workers": [
            {
                "name": worker.name,
                "where": worker.where,
                "run": worker.run_id,
                "unit": worker.unit or None,
                "stage": worker.stage or None,
            }
            for worker in progress.workers
        ],
        "problems": [
            {"unit": each.unit, "run": each.run_id, "message": each.message, "hint": each.hint, "again": each.again}
            for each in progress.problems
        ],
    }


def print_plan(plan: SweepPlan, found: SweepEstimate) -> None:
    """Print what a sweep would do: axes, units, memory and time."""
    rows: list[tuple[str, ...]] = [("sweep", plan.name)]
    rows += [(axis, f"{len(values)}: {_shorten(values)}") for axis, values in axes_of(plan.units).items()]
    done = f", {found.done} done already" if found.done else ""
    rows.append(("units", f"{found.units}{done}"))
    for group in found.groups[:_GROUPS]:
        needs = "memory unknown" if group.peak_bytes is None else f"{format_bytes(group.peak_bytes)} a worker"
        takes = "" if group.seconds is None else f", about {format_seconds(group.seconds)} each"
        left = "" if group.left == group.units else f" ({group.left} left)"
        trouble = f"; {group.trouble}" if group.trouble else ""
        units = f"{count(group.units, 'unit')}{left}"
        rows.append(("group", f"{group.model}, {group.source}: {units}, {needs}{takes}{trouble}"))
    more = found.more_groups + max(0, len(found.groups) - _GROUPS)
    if more:
        rows.append(("", f"and {more} more groups"))
    rows.append(("workers", f"{found.workers} ({found.why})"))
    if found.hours is not None:
        rows.append(("time", f"about {format_seconds(3600 * found.hours)} for each worker"))
    print_columns(rows)
    if found.sbatch:
        print_line()
        for line in found.sbatch.splitlines():
            print_line(line)


def print_sweeps(rows: Sequence[SweepRow], active: Sequence[str], when: Sequence[str]) -> None:
    """Print the list of sweeps."""
    print_columns(
        [
            (
                row.name,
                str(row.units),
                str(row.done),
                str(row.failed) if row.failed else "-",
                "running" if row.sweep_id in active else "done" if not row.left else "unfinished",
                moment,
                row.sweep_id,
            )
            for row, moment in zip(rows, when, strict=True)
        ],
        header=("sweep", "units", "done", "failed", "state", "planned", "id"),
        right=(1, 2, 3),
    )


def print_summary(detail: SweepDetail) -> None:
    """Print how a sweep stands, with the first failures."""
    row = detail.sweep
    parts = [f"{row.name}: {row.done} of {count(row.units, 'unit')} done"]
    parts += [f"{row.failed} failed"] if row.failed else []
    waiting = row.units - row.done - row.failed
    parts += [f"{waiting} not finished"] if waiting else []
    print_line(", ".join(parts))
    failed = [unit for unit in detail.units if unit.state == "failed"]
    for unit in failed[:_SHOWN_FAILURES]:
        print_line(f"  {format_labels(unit)}: {unit.failure.message if unit.failure else 'failed'}")
    if len(failed) > _SHOWN_FAILURES:
        print_line(f"  and {len(failed) - _SHOWN_FAILURES} more")


def print_units(detail: SweepDetail, *, every: bool) -> None:
    """Print the units as a table of axes; of many, the first unless `every` is set."""
    units = detail.units if every else detail.units[:_SHOWN_UNITS]
    axes = list(axes_of_rows(detail.units))
    print_columns(
        [
            (
                *(dict(unit.labels).get(axis, "-") for axis in axes),
                unit.state,
                f"{unit.session}/{unit.number}" if unit.number is not None else "-",
                "-" if unit.seconds is None else f"{unit.seconds:.{1 if unit.seconds > 0.95 else 2}f}",
                unit.failure.message if unit.failure is not None and unit.state != "done" else "",
            )
            for unit in units
        ],
        header=(*axes, "state", "run", "seconds", ""),
        right=(len(axes) + 2,),
    )
    if len(units) < len(detail.units):
        print_line(f"and {len(detail.units) - len(units)} more units: --all")


def axes_of_rows(units: Sequence[SweepUnitRow]) -> dict[str, None]:
    """Return the names of all axes, in their order."""
    return dict.fromkeys(axis for unit in units for axis, _ in unit.labels)


def format_labels(unit: SweepUnitRow) -> str:
    """Return a unit's labels in one line."""
    return ", ".join(f"{axis} {value}" for axis, value in unit.labels)


def units_table(detail: SweepDetail) -> ExportTable:
    """Return one row per unit: its labels, state and run. Columns of axes are named like them, with _ for dashes."""
    axes = list(axes_of_rows(detail.units))
    columns = (
        *((axis.replace("-", "_"), "text") for axis in axes),
        ("state", "text"),
        ("run_id", "text"),
        ("session", "text"),
        ("number", "whole"),
        ("seconds", "number"),
        ("attempts", "whole"),
        ("failure", "text"),
        ("key", "text"),
    )
    rows = tuple(
        (
            *(dict(unit.labels).get(axis) for axis in axes),
            unit.state,
            unit.run_id,
            unit.session or None,
            unit.number,
            None if unit.seconds is None or not math.isfinite(unit.seconds) else unit.seconds,
            unit.attempts,
            None if unit.failure is None else unit.failure.message,
            unit.key,
        )
        for unit in detail.units
    )
    return ExportTable(name="rows", columns=columns, rows=rows)


def unit_json(unit: SweepUnitRow) -> dict[str, object]:
    """Return a unit as a row of schema headcode.sweep/1."""
    return {
        "labels": dict(unit.labels),
        "key": unit.key,
        "model": unit.model,
        "state": unit.state,
        "run": unit.run_id,
        "session": unit.session or None,
        "number": unit.number,
        "seconds": unit.seconds,
        "attempts": unit.attempts,
        "failure": None if unit.failure is None else unit.failure.message,
    }


def count(number: int, what: str) -> str:
    """Return `1 unit`, `2 units`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _shorten(values: Sequence[str]) -> str:
    return ", ".join(values) if len(values) <= 6 else f"{', '.join(values[:3])}, … {values[-1]}"
