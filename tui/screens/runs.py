"""The session's runs side by side, newest first, each with a small grid."""

import time
from collections.abc import Callable
from itertools import groupby

from rich.color import Color
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.errors import HeadcodeError
from engine.machine.folders import find_folders
from engine.planning.option_text import format_changes
from sessions.protocol import LabelRun, RunAnswer
from tui.actions import screen_actions
from tui.connection.session_link import SessionLink
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.text_prompt import TextPromptSheet
from tui.state.engine_status import blocking_work, format_work
from tui.state.grid_places import GridPlaces, places_of
from tui.state.grid_view import GridView, make_grid_view
from tui.state.number_text import format_fixed
from tui.state.previews import preview_run
from tui.state.workbench_state import SessionRun, WorkbenchState
from tui.terminal.sanitize import clean
from tui.terminal.times import clock
from tui.themes.colour_maps import chosen_map
from tui.themes.themes import Depth, heat_colours
from tui.widgets.heat_cell import SHADES, level_of
from tui.widgets.line_widget import LinePicked, ScrollingLineWidget
from tui.widgets.preview_pane import PreviewPane
from tui.widgets.progress_strip import format_seconds
from tui.widgets.styled_line import StyledLine, fit

ACTIONS = screen_actions(
    "Runs",
    ("close", "", "escape,R,shift+r,q", "Back", "Back to the workbench", "back"),
    ("walk.left", "-1, 0", "left,h", "Run to the left", "The run to the left", "run"),
    ("walk.right", "1, 0", "right,l", "Run to the right", "The run to the right", ""),
    ("walk.up", "0, -1", "up,k", "Runs above", "The run above", ""),
    ("walk.down", "0, 1", "down,j", "Runs below", "The run below", ""),
    ("show", "", "enter", "Show this run", "Show this run on the workbench", "show it"),
    ("name", "", "r,N,shift+n", "Name", "Name the run; commands accept the name wherever a run is named", "name"),
    ("tags", "", "t", "Tags", "Change the run's tags", "tags"),
    ("newest", "", "n", "Newest run", "Show the newest run and follow new ones", "newest"),
    ("measure.next", "1", "m", "Next measure", "Colour all grids by the next measure", "measure"),
    ("measure.previous", "-1", "M,shift+m", "Previous measure", "Colour all grids by the previous measure", ""),
)
_CARD = 36
"""Minimum columns of a card."""
_ROOMY = 52
"""Columns of a card that show its settings in full, if there is room."""
_WORDS = 5
"""Lines of text above each grid."""


class RunCards(ScrollingLineWidget):
    """The runs as cards of equal size, large enough for the largest grid."""

    def __init__(self, state: WorkbenchState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.depth = depth
        self.chosen = 0
        self.models = find_folders().models
        self._views: dict[str, GridView] = {}

    @property
    def runs(self) -> list[SessionRun]:
        return self.state.runs[::-1]

    @property
    def columns(self) -> int:
        return max(1, self.room.width // self._card_width())

    def lines(self, size: Size, /) -> list[Strip]:
        runs = self.runs
        if not runs:
            return [self.line().add(f" No run yet: {self.state.key('run')} runs the probe.", "dim").strip()]
        width = self._card_width()
        per_row = max(1, size.width // width)
        rows: list[Strip] = []
        for first in range(0, len(runs), per_row):
            cards = [self._card(runs[place], place, width) for place in range(first, min(first + per_row, len(runs)))]
            for parts in zip(*cards, strict=True):
                rows.append(Strip.join(parts))
        return rows

    def card_height(self) -> int:
        """Return the lines of a card, including the blank one below it."""
        return _WORDS + max((self._grid_height(run) for run in self.state.runs), default=0) + 1

    def show_chosen(self) -> None:
        """Scroll until the selected card is visible."""
        height = self.card_height()
        top = self.chosen // self.columns * height
        self.show_lines(top, top + height - 1)

    def on_click(self, event: events.Click) -> None:
        column = min(event.x // self._card_width(), self.columns - 1)
        place = (event.y + self.scroll_offset.y) // self.card_height() * self.columns + column
        if place < len(self.runs):
            self.post_message(LinePicked(place))

    # ---- one card

    def _card(self, run: SessionRun, place: int, width: int) -> list[Strip]:
        on, shown = place == self.chosen, run is self.state.shown
        view = self.view_of(run)
        head = self.line().add("▌" if on else " ", "accent").add(f" run {run.number}", "strong" if on else "text")
        head.add("  shown" if shown else "", "second")
        head.add(f"  {clock(run.queued_us)}  ", "dim")
        head.add(fit(clean(run.name), max(width - head.width - 2, 0)), "strong")
        tags = " ".join(f"#{clean(tag)}" for tag in run.tags)
        head.add(f" {fit(tags, width - head.width - 3)}" if tags and width - head.width > 8 else "", "accent")
        words = [
            head,
            self._state(run, on),
            self._settings(run, on, width),
            self._own(run, on, width),
            self._found(view, on),
        ]
        lines = [line.to(width).strip().crop(0, width) for line in words]
        grid = self._grid(run, view)
        for row in range(self.card_height() - _WORDS):
            edge = self.line().add("▌ " if on and row < len(grid) else "  ", "accent").strip()
            body = grid[row] if row < len(grid) else Strip.blank(0)
            lines.append(Strip.join([edge, body]).adjust_cell_length(width, self.rich_style))
        return lines

    def _state(self, run: SessionRun, on: bool) -> StyledLine:
        line = self.line().add("▌ " if on else "  ", "accent")
        ink = {"done": "good", "failed": "bad", "interrupted": "bad"}.get(run.state, "second")
        state = "recorded" if run.recorded is not None and run.state == "done" else run.state
        line.add(state, ink).add(f"  {fit(clean(run.model), 14)}", "dim")
        if (work := blocking_work(self.state, run)) is not None:
            line.add(f"  waiting for {format_work(work, int(time.time() * 1e6))}", "dim")
        if run.picture.examples:
            positive = sum(each.positive for each in run.picture.examples)
            line.add(f"  {positive}+{len(run.picture.examples) - positive}", "text")
        if run.ended_us is not None and run.state == "done":
            line.add(f"  {format_seconds(run.seconds(run.ended_us))}", "dim")
        if run.verified is not None:
            line.add(f"  verified: {run.verified.verdict}", "good" if run.verified.verdict == "same" else "second")
        return line

    def _settings(self, run: SessionRun, on: bool, width: int) -> StyledLine:
        sae = run.config.sae
        sparsity = "own" if sae.sparsity is None else f"{sae.sparsity:g}"
        words = f"{sae.recipe}  lambda {sparsity}  {sae.n_codes} codes  {len(run.config.seeds)} seeds"
        return self.line().add("▌ " if on else "  ", "accent").add(fit(words, width - 3), "dim")

    def _own(self, run: SessionRun, on: bool, width: int) -> StyledLine:
        """Make the line of options that differ from the recipe's defaults."""
        words = format_changes(run.options, model=self.state.model, models=self.models)
        line = self.line().add("▌ " if on else "  ", "accent")
        if not words:
            return line.add("all other options default", "faint")
        return line.add(fit(clean(words), width - 3), "second")

    def _found(self, view: GridView | None, on: bool) -> StyledLine:
        line = self.line().add("▌ " if on else "  ", "accent")
        if view is None:
            return line.add("no scores", "faint")
        best = " ".join(str(head) for head in view.order[:3])
        line.add(f"best {best}", "text")
        if view.agreement is not None:
            line.add("  AUC ", "dim").add(format_fixed(view.agreement.auc), "strong")
        return line

    # ---- its grid

    def _grid(self, run: SessionRun, view: GridView | None) -> list[Strip]:
        """Draw the grid: two layers per line in colours, one in shades."""
        if view is None:
            return []
        places = places_of(run.picture.nodes)
        wide = max(1, min(_ROOMY // 8, (self._card_width() - 4 - _gap(places)) // max(places.columns, 1)))
        levels = [_row(view, places, row, wide) for row in range(places.rows)]
        if self.depth in ("16", "none"):
            return [
                self.line().add("".join(" " if level is None else SHADES[_shade(level)] for level in row)).strip()
                for row in levels
            ]
        dark = self.app.current_theme.dark
        colours = [
            Color.from_rgb(*rgb) for rgb in heat_colours(dark=dark, faded=not view.final, name=chosen_map(self.app))
        ]
        rows = []
        for place in range(0, places.rows, 2):
            line = self.line()
            under = levels[place + 1] if place + 1 < places.rows else [None] * len(levels[place])
            for (top, below), same in groupby(zip(levels[place], under, strict=True)):
                inks = [None if level is None else colours[max(level, 0)] for level in (top, below)]
                sign = " " if top is None and below is None else "▄" if top is None else "▀"
                style = Style.from_color(*inks) if top is not None else Style.from_color(inks[1])
                line.add_styled(sign * len(list(same)), style)
            rows.append(line.strip())
        return rows

    def _grid_height(self, run: SessionRun) -> int:
        rows = places_of(run.picture.nodes).rows
        return rows if self.depth in ("16", "none") else (rows + 1) // 2

    def _card_width(self) -> int:
        """Return the columns of a card: wide enough for the settings, if all cards fit side by side."""
        roomy = min(_ROOMY, self.room.width // max(len(self.runs), 1))
        grids = [places_of(run.picture.nodes) for run in self.state.runs if run.picture.nodes]
        return max([_CARD, roomy, *(grid.columns + _gap(grid) + 4 for grid in grids)])

    def view_of(self, run: SessionRun) -> GridView | None:
        if not run.picture.nodes:
            return None
        self._views[run.run_id] = view = make_grid_view(
            run.picture.nodes,
            measure=self.state.measure,
            cut=self.state.cut_of(run),
            reference=run.picture.reference,
            final=run.picture.nodes_final,
            before=self._views.get(run.run_id),
        )
        return view


class RunsScreen(SubScreen):
    """The screen: arrows move between cards, enter shows a run on the workbench."""

    CSS_PATH = "runs.tcss"
    actions = ACTIONS

    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, state: WorkbenchState, link: SessionLink, depth: Depth) -> None:
        super().__init__(state)
        self.link = link
        self.cards = RunCards(state, depth, id="cards")
        self.preview = PreviewPane(state)
        self.cards.can_focus = False
        shown = state.shown
        self.cards.chosen = next((place for place, run in enumerate(self.cards.runs) if run is shown), 0)

    def compose(self) -> ComposeResult:
        yield self.cards
        yield self.preview
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.paint()

    def paint(self) -> None:
        self._title()
        self.cards.paint()
        run = self._chosen
        if run is None:
            self.preview.show(())
            return
        before = next((each for each in self.state.runs if each.number == run.number - 1), None)
        notes = [note for note in self.state.session.notes.values() if note.run_id == run.run_id]
        self.preview.border_title = Content(fit(clean(run.title), 70))
        self.preview.show(preview_run(run, before, self.cards.view_of(run), notes, self.cards.models))

    @property
    def _chosen(self) -> SessionRun | None:
        runs = self.cards.runs
        return runs[self.cards.chosen] if self.cards.chosen < len(runs) else None

    def action_walk(self, x: int, y: int) -> None:
        goal = self.cards.chosen + x + y * self.cards.columns
        if 0 <= goal < len(self.state.runs):
            self.cards.chosen = goal
            self.cards.show_chosen()
            self.paint()

    def action_measure(self, by: int) -> None:
        self.state.cycle_measure(by)
        self.paint()

    def action_show(self) -> None:
        if self.cards.chosen < len(self.cards.runs):
            self.state.show_run(self.cards.runs[self.cards.chosen].run_id)
        self.dismiss()

    def action_name(self) -> None:
        """Name the run; an empty line removes the name."""
        if (run := self._chosen) is not None:
            hint = f"Commands then accept {clean(self.state.session_name)}/NAME. An empty line removes the name."
            self._ask_for(f"Name of run {run.number}", hint, run.name, lambda text: LabelRun(run=run.run_id, name=text))

    def action_tags(self) -> None:
        if (run := self._chosen) is not None:

            def change(text: str) -> LabelRun:
                now, old = {word.lstrip("#").lower() for word in text.split()}, set(run.tags)
                return LabelRun(run=run.run_id, add=tuple(sorted(now - old)), remove=tuple(sorted(old - now)))

            hint = "Short words separated by spaces; empty removes all."
            self._ask_for(f"Tags of run {run.number}", hint, " ".join(run.tags), change)

    def _ask_for(self, title: str, hint: str, text: str, make: Callable[[str], LabelRun]) -> None:
        def answered(line: str | None) -> None:
            if line is not None and self.state.link == "live":
                self.run_worker(self._label(make(line.strip())), group="ask", exit_on_error=True)

        self.app.push_screen(TextPromptSheet(title, hint, text=clean(text)), answered)

    async def _label(self, request: LabelRun) -> None:
        """Send the change; the log brings it here."""
        try:
            await self.link.ask(request, RunAnswer)
        except HeadcodeError as error:
            self.notify(clean(f"{error.message} {error.hint}"), severity="warning", markup=False)

    def action_newest(self) -> None:
        self.state.show_run(None)
        self.dismiss()

    def on_line_picked(self, message: LinePicked) -> None:
        if message.place == self.cards.chosen:
            self.action_show()
            return
        self.cards.chosen = message.place
        self.paint()

    def _title(self) -> None:
        count = len(self.state.runs)
        self.cards.border_title = Content(f"{count} {'run' if count == 1 else 'runs'} by {self.state.measure.title}")


def _gap(places: GridPlaces) -> int:
    """Return the blank columns before the MLPs."""
    return 1 if places.others else 0


def _row(view: GridView, places: GridPlaces, row: int, wide: int) -> list[int | None]:
    """Return the level of each column of the small grid in a row; None where no node is."""
    nodes = places.in_row(row)
    found: list[int | None] = []
    for node in nodes:
        found += [None] * (_gap(places) if node.kind == "mlp" else 0)
        found += [level_of(view.intensity_of(node))] * wide
    return found + [None] * (places.columns * wide + _gap(places) - len(found))


def _shade(level: int) -> int:
    return 0 if level <= 0 else min(len(SHADES) - 1, 1 + level * (len(SHADES) - 1) // 64)
