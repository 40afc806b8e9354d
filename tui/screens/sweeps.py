"""The list of sweeps: how far each is; enter opens one as a table."""

import asyncio
from functools import partial

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.errors import HeadcodeError
from sessions.protocol import GetSweep, GetSweepMeasures, ListSweeps, SweepDetail, SweepMeasures, SweepsAnswer
from sessions.rows import SweepRow
from tui.actions import screen_actions
from tui.connection.session_link import SessionLink
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.sweep import SweepScreen
from tui.state.messages import format_message
from tui.state.previews import PreviewLine
from tui.state.set_previews import preview_sweep
from tui.state.sweep_state import SweepState
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.terminal.times import day_or_clock, zone
from tui.themes.themes import Depth
from tui.widgets.latest_worker import run_latest
from tui.widgets.line_widget import LinePicked, LineWidget, first_visible
from tui.widgets.preview_pane import PREVIEW_AFTER_S, PreviewPane
from tui.widgets.styled_line import bar, fit, wrap

ACTIONS = screen_actions(
    "Sweeps",
    ("open", "", "enter", "Open", "Open this sweep as a table", "open"),
    ("step.down", "1", "down,j", "Next sweep", "One line down", ""),
    ("step.up", "-1", "up,k", "Previous sweep", "One line up", ""),
    ("step.first", "-1000000", "home", "First sweep", "To the first line", ""),
    ("step.last", "1000000", "end", "Last sweep", "To the last line", ""),
    ("close", "", "escape,W,shift+w,q", "Back", "Back to the workbench", "back"),
)
_EVERY_S = 2.0


class SweepList(LineWidget):
    """One line per sweep."""

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.rows: tuple[SweepRow, ...] | None = None
        self.active: frozenset[str] = frozenset()
        self.chosen = self.first = 0
        self.words = ""

    def lines(self, size: Size, /) -> list[Strip]:
        if self.words or not self.rows:
            words = self.words or "reading …"
            if self.rows is not None and not self.words:
                words = "No sweep yet. On the command line: headcode sweep --task ioi --seeds 0..4, or a file of axes."
            return [self.line().add(f" {line}", "dim").strip() for line in wrap(words, max(size.width - 2, 10), 4)]
        self.chosen = min(max(self.chosen, 0), len(self.rows) - 1)
        room = max(size.height - 1, 1)
        self.first = first_visible(self.first, self.chosen, room, len(self.rows))
        name = min(44, max(16, size.width - 54))
        head = self.line().add("  sweep", "faint").to(name + 2).add("units".rjust(6), "faint")
        head.add("  done".ljust(20), "faint").add("failed".rjust(8), "faint").add(f"  planned {zone()}", "faint")
        lines = [head.strip()]
        for place in range(self.first, min(self.first + room, len(self.rows))):
            row, on = self.rows[place], place == self.chosen
            line = self.line().add("▸ " if on else "  ", "accent")
            line.add(fit(clean(row.name), name - 1), "strong" if on else "text").to(name + 2)
            line.add(f"{row.units:>6}", "text").add("  ")
            full, rest = bar(row.done / max(row.units, 1), 8)
            line.add(full, "accent").add(rest, "groove").add(f" {row.done:<6}", "dim").to(name + 28)
            line.add(f"{row.failed or '–':>8}", "bad" if row.failed else "faint")
            state = "running" if row.sweep_id in self.active else "" if not row.left else "unfinished"
            line.add(f"  {day_or_clock(row.planned_us):<11}", "dim").add(state, "second")
            lines.append(line.strip())
        return lines

    def on_click(self, event: events.Click) -> None:
        if event.y > 0 and self.rows and event.y - 1 + self.first < len(self.rows):
            self.post_message(LinePicked(event.y - 1 + self.first))


class SweepsScreen(SubScreen):
    """The screen; looks again every other second."""

    CSS_PATH = "sweeps.tcss"
    actions = ACTIONS
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, state: WorkbenchState, link: SessionLink, depth: Depth) -> None:
        super().__init__(state)
        self.link, self.depth = link, depth
        self.list = SweepList(state, id="sweeps")
        self.preview = PreviewPane(state)
        self._previewed: tuple[SweepRow, bool] | None = None
        """The sweep in the preview as it was listed, and whether it was running."""

    def compose(self) -> ComposeResult:
        yield self.list
        yield self.preview
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.paint()
        self._load()
        self.set_interval(_EVERY_S, self._look_again)

    def on_screen_resume(self) -> None:
        self._load()

    def paint(self) -> None:
        count = len(self.list.rows or ())
        known = self.list.rows is not None
        self.list.border_title = Content(f"{count} sweep{'s' * (count != 1)}" if known else "Sweeps")
        self.list.paint()
        at = min(self.list.chosen, count - 1)
        row = self.list.rows[at] if self.list.rows and not self.list.words else None
        wanted = None if row is None else (row, row.sweep_id in self.list.active)
        if wanted != self._previewed:
            self._previewed = wanted
            run_latest(self, "preview", partial(self._preview, row))

    async def _preview(self, row: SweepRow | None) -> None:
        """Show the sweep at the cursor; a cursor that moves on within a moment asks nothing."""
        self.preview.border_title = "" if row is None else Content(fit(clean(row.name), 70))
        if row is None:
            self.preview.show(())
            return
        await asyncio.sleep(PREVIEW_AFTER_S)
        try:
            detail = await self.link.ask(GetSweep(sweep=row.sweep_id), SweepDetail)
            found = await self.link.ask(GetSweepMeasures(sweep=row.sweep_id), SweepMeasures)
        except HeadcodeError as error:
            self.preview.show([PreviewLine("trouble", error.message, "bad")])
            return
        self.preview.show(preview_sweep(detail, found.runs))

    def _load(self) -> None:
        run_latest(self, "list", self._fetch)

    def _look_again(self) -> None:
        if self.is_current:
            self._load()

    async def _fetch(self) -> None:
        try:
            found = await self.link.ask(ListSweeps(), SweepsAnswer)
        except HeadcodeError as error:
            self.list.words = clean(format_message(error.as_failure()))
        else:
            self.list.rows, self.list.active, self.list.words = found.sweeps, frozenset(found.active), ""
        self.paint()

    def action_step(self, by: int) -> None:
        self.list.chosen = min(max(self.list.chosen + by, 0), max(len(self.list.rows or ()) - 1, 0))
        self.paint()

    def action_open(self) -> None:
        if self.list.rows:
            row = self.list.rows[self.list.chosen]
            left = self.state.sweep_left
            place = left if left is not None and left.sweep_id == row.sweep_id else SweepState(row.sweep_id, row.name)
            self.app.push_screen(SweepScreen(self.state, self.link, self.depth, place))

    def on_line_picked(self, message: LinePicked) -> None:
        if message.place == self.list.chosen:
            self.action_open()
            return
        self.list.chosen = message.place
        self.paint()
