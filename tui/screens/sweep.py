"""One sweep as a table: cells of runs, curves, births, a film over checkpoints, workers and failures."""

import asyncio
import contextlib
from pathlib import Path

from textual.app import ComposeResult
from textual.content import Content

from engine.errors import HeadcodeError
from sessions.errors import CannotWrite
from sessions.protocol import (
    AnyRequest,
    CancelSweep,
    FollowSweep,
    GetBirths,
    GetSweep,
    GetSweepMeasures,
    RetrySweep,
    SweepAnswer,
    SweepBirths,
    SweepDetail,
    SweepMeasures,
)
from tui.actions import screen_actions
from tui.connection.session_link import SessionLink
from tui.output.curves_svg import curves_svg
from tui.screens.new_file import write_new
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.state.messages import format_message
from tui.state.sweep_state import SweepPage, SweepState
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.themes import Depth
from tui.widgets.latest_worker import run_latest
from tui.widgets.styled_line import fit
from tui.widgets.sweep_grid import SweepView

ACTIONS = screen_actions(
    "Sweep",
    (
        "open",
        "",
        "enter",
        "Open the run",
        "Show the run of this cell on the workbench; the key of sweeps leads back here",
        "open",
    ),
    ("measure.next", "1", "m", "Next measure", "Colour the cells by the next measure", "measure"),
    ("measure.previous", "-1", "M,shift+m", "Previous measure", "Colour the cells by the previous measure", ""),
    ("node.next", "1", "n", "Next node", "The measure of the next node", "node"),
    ("node.previous", "-1", "N,shift+n", "Previous node", "The measure of the node before", ""),
    ("page.curves", "'curves'", "c", "Curves", "The measure along the columns; again: the table", "curves"),
    ("page.births", "'births'", "b", "Births", "When each node came over the checkpoints; again: the table", "births"),
    ("page.film", "'film'", "f", "Film", "The nodes at one checkpoint after the other; again: the table", "film"),
    ("page.workers", "'workers'", "i", "Workers", "What each worker does, and why units failed", "workers"),
    (
        "log",
        "",
        "G,shift+g",
        "Log",
        "What the engine logged in this cell's unit, and why it failed; on the page of workers of all units",
        "log",
    ),
    ("play", "", "space", "Play or pause", "Play the film", ""),
    ("axis.across", "True", "a", "Axis across", "Put the next axis across", "axes"),
    ("axis.down", "False", "A,shift+a", "Axis down", "Put the next axis down", ""),
    ("other.next", "1", "right_square_bracket", "Next page", "The next value of the axes that are not shown", ""),
    ("other.previous", "-1", "left_square_bracket", "Previous page", "The value before", ""),
    ("move.left", "0, -1", "left,h", "Left", "The cell to the left; in the film the frame before", ""),
    ("move.right", "0, 1", "right,l", "Right", "The cell to the right; in the film the next frame", ""),
    ("move.up", "-1, 0", "up,k", "Up", "The cell above; a line up", ""),
    ("move.down", "1, 0", "down,j", "Down", "The cell below; a line down", ""),
    ("move.page_up", "-15, 0", "pageup", "Fifteen rows up", "Fifteen rows up", ""),
    ("move.page_down", "15, 0", "pagedown", "Fifteen rows down", "Fifteen rows down", ""),
    ("move.home", "0, -1000000", "home", "First column", "To the first column or frame", ""),
    ("move.end", "0, 1000000", "end", "Last column", "To the last column or frame", ""),
    ("retry.failed", "True", "r", "Retry what failed", "Run the failed units again", "retry"),
    ("retry.all", "False", "R,shift+r", "Run what is not done", "Run all units without a finished run", ""),
    ("stop", "", "x", "Stop the sweep", "Stop the sweep; finished units stay", "stop"),
    ("picture", "", "y", "SVG", "Write the curves as an SVG file", "svg"),
    (
        "report",
        "",
        "Y,shift+y",
        "Report",
        "Write one page for a colleague: tables, curves, units",
        "report",
    ),
    ("close", "", "escape,W,shift+w,q", "Back", "Back to the table, then to the list", "back"),
)
_FRAME_S = 0.7
_FEW, _SOON_S, _LATER_S = 500, 0.3, 1.0
"""Seconds between two looks at all units, of sweeps up to so many and of larger ones."""


class SweepScreen(SubScreen):
    """The screen; follows the sweep while it runs."""

    CSS_PATH = "sweep.tcss"
    actions = ACTIONS

    def __init__(self, state: WorkbenchState, link: SessionLink, depth: Depth, sweep: SweepState) -> None:
        super().__init__(state)
        self.link, self.sweep = link, sweep
        self.sweep.playing = False
        self.view = SweepView(sweep, state, depth, id="sweep")

    def compose(self) -> ComposeResult:
        yield self.view
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.paint()
        run_latest(self, "follow", self._follow)
        self.set_interval(_FRAME_S, self._next_frame)

    def paint(self) -> None:
        self.view.border_title = Content(fit(clean(self.sweep.name), 60))
        self.view.paint()

    # ---- the host

    async def _follow(self) -> None:
        """Keep the table current until the screen is closed."""
        seen = -1
        try:
            await self._load_units()
            await self._load_measures(again=True)
            while True:
                answer = await self.link.ask(FollowSweep(sweep=self.sweep.sweep_id, seen=seen), SweepAnswer)
                news, seen = answer.progress.news != seen, answer.progress.news
                before, self.sweep.progress = self.sweep.progress, answer.progress
                moved = before is None or (answer.progress.active or before.active)
                if news and moved and before is not None:
                    done = self._done()
                    await self._load_units()
                    if self._done() != done:
                        await self._load_measures(again=True)
                self.paint()
                detail = self.sweep.table.detail
                few = detail is None or len(detail.units) <= _FEW
                await asyncio.sleep(_SOON_S if few else _LATER_S)
        except HeadcodeError as error:
            self._say(format_message(error.as_failure()), "bad")

    def _done(self) -> int:
        detail = self.sweep.table.detail
        return sum(unit.state == "done" for unit in detail.units) if detail is not None else 0

    async def _load_units(self) -> None:
        self.sweep.table.take_detail(await self.link.ask(GetSweep(sweep=self.sweep.sweep_id), SweepDetail))
        self.paint()

    async def _load_measures(self, *, again: bool = False) -> None:
        """Load what the page needs; twice where the node is known only then."""
        for _ in range(2):
            wanted = self.sweep.wanted
            if not again and self.sweep.has_values(wanted):
                return
            request = GetSweepMeasures(sweep=self.sweep.sweep_id, measure=wanted[0], node=wanted[1])
            self.sweep.take_measures(await self.link.ask(request, SweepMeasures), wanted)
            again = False
            self.paint()

    def _load(self) -> None:
        async def load() -> None:
            try:
                await self._load_measures()
            except HeadcodeError as error:
                self._say(format_message(error.as_failure()), "bad")

        self.paint()
        run_latest(self, "measures", load)

    async def _load_births(self) -> None:
        try:
            found = await self.link.ask(GetBirths(sweep=self.sweep.sweep_id), SweepBirths)
        except HeadcodeError as error:
            self.sweep.births = ()
            self._say(format_message(error.as_failure()), "bad")
        else:
            self.sweep.births = found.tables
        self.paint()

    # ---- actions

    def action_measure(self, by: int) -> None:
        self.sweep.table.turn_measure(by)
        self._load()

    def action_node(self, by: int) -> None:
        if self.sweep.page == "births":
            self.sweep.series += by
        else:
            self.sweep.table.turn_node(by)
        self._load()

    def action_page(self, page: SweepPage) -> None:
        self.sweep.page = "grid" if self.sweep.page == page else page
        self.sweep.top, self.sweep.playing = 0, False
        if self.sweep.page == "births":
            self.sweep.births = None
            run_latest(self, "births", self._load_births)
        if self.sweep.page == "film":
            self.sweep.frame = max(len(self.sweep.frames) - 1, 0)
        self._load()

    def action_play(self) -> None:
        if self.sweep.page == "film":
            self.sweep.playing = not self.sweep.playing
            if self.sweep.playing and self.sweep.frame >= len(self.sweep.frames) - 1:
                self.sweep.frame = 0
            self.paint()

    def _next_frame(self) -> None:
        if self.sweep.playing and self.is_current:
            self.sweep.playing = self.sweep.step(1)
            self.paint()

    def action_axis(self, across: bool) -> None:
        self.sweep.table.turn_axis(across)
        self.paint()

    def action_other(self, by: int) -> None:
        self.sweep.table.turn_page(by)
        self.paint()

    def action_move(self, rows: int, columns: int) -> None:
        if self.sweep.page == "film" and columns:
            self.sweep.playing = False
            self.sweep.step(columns)
        elif self.sweep.page in ("births", "workers"):
            self.sweep.top = max(self.sweep.top + rows, 0)
        else:
            self.sweep.table.move(rows, columns)
        self.paint()

    def action_retry(self, failed: bool) -> None:
        self._ask(RetrySweep(sweep=self.sweep.sweep_id, failed=failed), "Started again.")

    def action_stop(self) -> None:
        self._ask(CancelSweep(sweep=self.sweep.sweep_id), "Stopped; finished units stay.")

    def _ask(self, request: AnyRequest, done: str) -> None:
        async def ask() -> None:
            try:
                answer = await self.link.ask(request, SweepAnswer)
            except HeadcodeError as error:
                self._say(format_message(error.as_failure()), "bad")
                return
            self.sweep.progress = answer.progress
            words = done if answer.progress.active or isinstance(request, CancelSweep) else "Nothing to run."
            self._say(words, "good")
            run_latest(self, "follow", self._follow)

        self.run_worker(ask(), group="ask", exit_on_error=True)

    def action_picture(self) -> None:
        """Write the curves of the page, or of the table's measure along its columns."""
        chart = self.sweep.chart()
        if isinstance(chart, str):
            self._say(f"No curves to write: {chart}.", "second")
            return
        kind = "births" if self.sweep.page == "births" else self.sweep.table.measure.id.replace("_", "-")
        try:
            path = write_new(Path.cwd(), f"{self._stem}-{kind}", ".svg", curves_svg(chart))
        except CannotWrite as error:
            self._say(f"{error.message} Start headcode in another folder.", "bad")
        else:
            self._say(f"Written: {path}", "good")

    def action_report(self) -> None:
        run_latest(self, "report", self._write_report)

    async def _write_report(self) -> None:
        """Write the report as a new file in the folder that Headcode was started in."""
        from engine.machine.folders import find_folders
        from tui.report.html import html
        from tui.report.sweep import sweep_report
        from tui.report.sweep_material import read_sweep

        self._say("The report is written …", "dim")
        try:
            found = await read_sweep(self.link, self.sweep.sweep_id, load=False, models=find_folders().models)
            text = await asyncio.to_thread(html, sweep_report(found))
            path = write_new(Path.cwd(), self._stem, ".html", text)
        except CannotWrite as error:
            self._say(f"{error.message} Start headcode in another folder.", "bad")
        except HeadcodeError as error:
            self._say(format_message(error.as_failure()), "bad")
        else:
            self._say(f"Report written: {path}", "good")

    @property
    def _stem(self) -> str:
        """The sweep's name as the begin of a file name."""
        return "".join(sign if sign.isalnum() else "-" for sign in clean(self.sweep.name))[:60].strip("-") or "sweep"

    def action_open(self) -> None:
        """Show the run of the cell, or of the film's frame, on the workbench."""
        cell = self.sweep.table.at_cursor
        unit = cell.unit if cell is not None else None
        if self.sweep.page == "film" and self.sweep.frames:
            unit = self.sweep.frames[self.sweep.frame]
        if unit is None or unit.run_id is None:
            self._say("No run here yet.", "second")
            return
        self.state.sweep_left = self.sweep
        self.link.open_run(unit.session_id, unit.run_id)
        with contextlib.suppress(IndexError):
            while len(self.app.screen_stack) > 1:
                self.app.pop_screen()

    def action_log(self) -> None:
        """Show the log of the cell's unit, or of all units, failed ones first."""
        from tui.screens.log import LogScreen

        cell, detail = self.sweep.table.at_cursor, self.sweep.table.detail
        unit = cell.unit if cell is not None else None
        if self.sweep.page == "film" and self.sweep.frames:
            unit = self.sweep.frames[self.sweep.frame]
        units = detail.units if detail is not None else ()
        if unit is not None and self.sweep.page != "workers":
            units = (unit,)
        self.app.push_screen(LogScreen(self.state, units=units))

    def action_close(self) -> None:
        if self.sweep.page != "grid":
            self.action_page(self.sweep.page)
            return
        self.state.sweep_left = None
        self.dismiss()

    def on_sweep_view_pointed(self, message: SweepView.Pointed) -> None:
        table = self.sweep.table
        if (message.row, message.column) == (table.row, table.column):
            self.action_open()
            return
        table.row, table.column = message.row, message.column
        self.paint()

    def _say(self, words: str, ink: str = "dim") -> None:
        self.sweep.say(clean(words), ink)
        if self.is_mounted:
            self.paint()
