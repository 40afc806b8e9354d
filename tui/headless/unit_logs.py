"""The logs of a sweep's units, with the units."""

from collections.abc import Sequence

from engine.machine.folders import find_folders
from sessions.files.unit_logs import UnitLog, read_unit_logs, recorded_failures
from sessions.protocol import SweepDetail
from sessions.rows import SweepUnitRow
from tui.output.sweep import format_labels


def unit_logs(
    detail: SweepDetail, *, words: Sequence[str] = (), failed: bool = False
) -> tuple[tuple[SweepUnitRow, UnitLog], ...]:
    """Return the units that logged anything or failed, failed ones first. Reads files of this machine.

    `words`: only units with all of them in their labels or as their run, session/number, key or state. `failed`: only
    those without a finished run.
    """
    units = {unit.key: unit for unit in detail.units if _has(unit, words) and not (failed and unit.state == "done")}
    logs = read_unit_logs(find_folders().logs, list(units), recorded_failures(units.values()))
    return tuple((units[log.key], log) for log in logs)


def _has(unit: SweepUnitRow, words: Sequence[str]) -> bool:
    names = {unit.key, unit.run_id or "", f"{unit.session}/{unit.number}", unit.state}
    labels = format_labels(unit).casefold().replace(",", "").split()
    return all(word in names or word.casefold() in labels for word in words)
