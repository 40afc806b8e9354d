"""Find what a name means, a run, a session or a sweep, and make its report."""

from pathlib import Path

from engine.errors import HeadcodeError
from sessions.protocol import GetSweep, SweepDetail
from tui.headless.stored_run import FactsSource
from tui.report.blocks import Document
from tui.report.document import read_materials, report_of
from tui.report.sweep import sweep_report
from tui.report.sweep_material import read_sweep


async def make_report(source: FactsSource, what: str, *, sweep: bool, load: bool, models: Path) -> Document:
    """Return the report of what the name means; a run or session goes before a sweep unless `sweep` is set.

    Raises NoSuchRecord and CannotCompare of the run or session if it is no sweep either.
    """
    if not sweep:
        try:
            return report_of(await read_materials(source, what, load=load, models=models))
        except HeadcodeError as no_run:
            try:
                await source.ask(GetSweep(sweep=what), SweepDetail)
            except HeadcodeError:
                raise no_run from None
    return sweep_report(await read_sweep(source, what, load=load, models=models))
