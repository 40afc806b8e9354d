"""Verbs about sweeps: the list, a table of cells, workers and failures, births."""

from engine.sweeps.run_measures import MEASURES, CellMeasure, find_cell_measure
from sessions.protocol import (
    CancelSweep,
    GetBirths,
    GetSweep,
    GetSweepMeasures,
    ListSweeps,
    RetrySweep,
    SweepAnswer,
    SweepBirths,
    SweepDetail,
    SweepMeasures,
    SweepsAnswer,
)
from tui.headless.unit_logs import unit_logs
from tui.output.births import births_lines, measure_title, series_titles
from tui.output.sweep import format_labels
from tui.plain.workbench import PlainWorkbench
from tui.state.sweep_table import SweepTable
from tui.terminal.sanitize import clean
from tui.terminal.times import moment


class SweepVerbs:
    """Verbs that ask the host about sweeps."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain, self.link = plain, plain.link

    async def do_sweep(self, rest: str) -> None:
        name, by, chosen = rest.partition(" by ")
        name = name.strip()
        if not name:
            await self._list()
            return
        for word, request in (("retry", RetrySweep), ("stop", CancelSweep)):
            if name.endswith(f" {word}"):
                sweep = name.removesuffix(word).strip()
                asked = RetrySweep(sweep=sweep, failed=True) if request is RetrySweep else CancelSweep(sweep=sweep)
                answer = await self.link.ask(asked, SweepAnswer)
                self.plain.say(f"{clean(answer.sweep.name)}: {'running' if answer.progress.active else 'not running'}.")
                return
        if name.endswith(" log"):
            await self._log(name.removesuffix("log").strip())
            return
        words = chosen.split()
        measure = find_cell_measure(words[0]) if by and words else MEASURES[0]
        await self._table(name, measure, words[1] if len(words) > 1 else "")

    async def do_births(self, rest: str) -> None:
        found = await self.link.ask(GetBirths(sweep=rest or "latest"), SweepBirths)
        if not found.tables:
            self.plain.say(f"{clean(found.sweep.name)} has no finished run at a checkpoint with a step.")
        for title, table in zip(series_titles(found.tables), found.tables, strict=True):
            draws = f"{table.draws} draw{'s' * (table.draws != 1)}"
            self.plain.say(f"{measure_title(table)}, {len(table.steps)} checkpoints, {draws}, {title}:")
            for line in births_lines(table):
                self.plain.say(clean(line))

    async def _log(self, name: str) -> None:
        detail = await self.link.ask(GetSweep(sweep=name), SweepDetail)
        logs = unit_logs(detail)
        for unit, log in logs:
            self.plain.say(f"{clean(format_labels(unit))}, {unit.state}:")
            for line in log.lines:
                self.plain.say(clean(line))
        if not logs:
            self.plain.say(f"no unit of {clean(detail.sweep.name)} logged anything.")

    async def _list(self) -> None:
        found = await self.link.ask(ListSweeps(), SweepsAnswer)
        for row in found.sweeps:
            failed = f", {row.failed} failed" if row.failed else ""
            state = ", running" if row.sweep_id in found.active else ""
            words = f"{row.done} of {row.units} units done{failed}{state}, planned {moment(row.planned_us)}"
            self.plain.say(f"{clean(row.name)}: {words}")
        if not found.sweeps:
            self.plain.say("no sweeps: headcode sweep --task ioi --seeds 0..4 runs one.")

    async def _table(self, name: str, measure: CellMeasure, node: str) -> None:
        table = SweepTable()
        detail = await self.link.ask(GetSweep(sweep=name), SweepDetail)
        table.take_detail(detail)
        table.measure, table.node = measure, node
        for _ in range(2):  # the first answer names the nodes
            wanted = table.wanted
            request = GetSweepMeasures(sweep=detail.sweep.sweep_id, measure=wanted[0], node=wanted[1])
            table.take_measures(await self.link.ask(request, SweepMeasures), wanted)
            if table.wanted == wanted:
                break
        of = f" of {table.node}" if measure.of is not None else ""
        self.plain.say(f"{clean(detail.sweep.name)}: {measure.title}{of}, {measure.meaning}")
        pages = 1
        for axis in table.page:
            pages *= len(table.axes[axis])
        for _ in range(pages):
            self._rows(table)
            table.turn_page(1)
        progress = detail.progress
        self.plain.say(f"{detail.sweep.done} of {detail.sweep.units} done, {detail.sweep.failed} failed.")
        for worker in progress.workers:
            self.plain.say(f"{clean(worker.name)}: {worker.stage or 'idle'} {clean(worker.unit)}".rstrip())
        for unit in detail.units:
            if unit.state == "failed" and unit.failure is not None:
                labels = ", ".join(f"{axis} {value}" for axis, value in unit.labels)
                self.plain.say(f"failed: {clean(labels)}: {clean(unit.failure.message)}")

    def _rows(self, table: SweepTable) -> None:
        for row, value in enumerate(table.row_values):
            cells = []
            for column, label in enumerate(table.column_values):
                cell = table.cell(row, column)
                state = "no unit" if cell is None else "none" if cell.unit.state == "done" else cell.unit.state
                text = (cell.text if cell is not None else "") or state
                cells.append(f"{clean(table.columns)} {clean(label)} {text}".strip())
            where = [f"{clean(axis)} {clean(at)}" for axis, at in table.page.items()]
            where += [f"{clean(table.rows)} {clean(value)}"] if table.rows else []
            self.plain.say(f"{', '.join(where) or 'all'}: {', '.join(cells)}")
