"""The table of a sweep as a heat grid: one cell per run, filling while the sweep goes on."""

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from engine.planning.time_estimate import format_seconds
from sessions.protocol import SweepProgress, SweepWorker
from tui.state.sweep_state import SweepState
from tui.state.sweep_table import SweepCell, SweepTable, state_sign
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.colour_maps import chosen_map
from tui.themes.themes import Depth
from tui.widgets.curve_chart import Piece, chart_lines
from tui.widgets.heat_cell import SHADES, CellPalette, level_of, palette, shade_of
from tui.widgets.line_widget import LineWidget, first_visible
from tui.widgets.styled_line import StyledLine, fit, one_line

_MOST_LABEL = 22
_CELLS = (9, 8, 7, 6, 5)
"""Columns of a cell, the widest in which all fit; beyond that the table scrolls."""
_CHART = 9
"""Lines below the table from which on the measure's curves are drawn there."""


class SweepGridDrawing:
    """Draws the grid page; remembers what it scrolled to and where cells are, for the mouse."""

    def __init__(self, state: SweepState, line: Callable[[], StyledLine]) -> None:
        self.state, self.line = state, line
        self.first_row = self.first_column = 0
        self.width = _CELLS[0]
        self.label = 0
        self.shown = (0, 0)

    def lines(self, size: Size, colours: CellPalette) -> list[StyledLine]:
        """Return the header, the table, the cell under the cursor, workers and failures."""
        table = self.state.table
        if table.detail is None:
            return [self.line().add(" reading the sweep …", "dim")]
        below = [*self._about(size.width), *progress_lines(self.line, self.state, size, rows=size.height // 6)]
        head = [self._measure(size.width), self._pages(size.width)]
        room = max(size.height - len(head) - len(below) - 2, 1)
        lines = [*head, *self._table(table, size.width, room, colours), *below]
        spare = size.height - len(lines) - 1
        chart = self.state.chart() if spare >= _CHART and len(table.column_values) > 2 else ""
        if not isinstance(chart, str):
            lines.append(self.line())
            lines += drawn(self.line, chart_lines(chart, min(size.width - 1, 150), min(spare, 24)))
        return lines[: size.height]

    def _measure(self, width: int) -> StyledLine:
        table = self.state.table
        line = self.line().add(" ").add(table.measure.title, "strong")
        if table.measure.of is not None:
            line.add(" of ", "dim").add(table.node or "no node yet", "second")
        return line.add(fit(f"  {table.measure.meaning}", width - line.width - 1), "faint")

    def _pages(self, width: int) -> StyledLine:
        """Format which axes go where, and what is the same everywhere."""
        table = self.state.table
        line = self.line().add(" ")
        if table.rows:
            line.add(f"{clean(table.rows)} ↓ ", "accent")
        if table.columns:
            line.add(f"{clean(table.columns)} → ", "accent")
        for axis, value in table.page.items():
            count = len(table.axes[axis])
            line.add(fit(f" {clean(axis)} {clean(value)}", 30), "second")
            line.add(f" ({table.axes[axis].index(value) + 1} of {count})", "dim")
        fixed = ", ".join(f"{clean(axis)} {clean(value)}" for axis, value in table.fixed)
        return line.add(fit(f"  {fixed}", width - line.width - 1), "faint")

    def _table(self, table: SweepTable, width: int, room: int, colours: CellPalette) -> list[StyledLine]:
        rows, columns = table.row_values, table.column_values
        self.label = min(max([cell_len(clean(row)) for row in rows] + [len(table.rows)]), _MOST_LABEL) + 2
        longest = max((cell_len(clean(column)) for column in columns), default=0)
        space = max(width - self.label - 1, _CELLS[-1])
        fitting = [cell for cell in _CELLS if cell * len(columns) <= space]
        enough = max(longest + 1, 6)
        self.width = fitting[0] if fitting else max(enough, 6) if enough <= _CELLS[0] else _CELLS[0]
        across = max(space // self.width, 1)
        self.first_column = first_visible(self.first_column, table.column, across, len(columns))
        self.first_row = first_visible(self.first_row, table.row, room, len(rows))
        shown = columns[self.first_column : self.first_column + across]
        self.shown = (min(room, len(rows) - self.first_row), len(shown))
        head = self.line().add(" " + clean(table.rows)[: self.label - 2], "faint").to(self.label)
        for place, column in enumerate(shown, self.first_column):
            text = fit(clean(column), self.width - 1)
            head.add(" " * (self.width - 1 - cell_len(text)) + text + " ", "strong" if place == table.column else "dim")
        if len(shown) < len(columns):
            where = f" {self.first_column + 1}–{self.first_column + len(shown)} of {len(columns)}"
            head.add(where[: max(width - head.width, 0)], "faint")
        lines = [head]
        running = {each.run_id: each.name for each in self._workers() if each.run_id is not None}
        for place in range(self.first_row, self.first_row + self.shown[0]):
            text = fit(clean(rows[place]), self.label - 2)
            line = self.line().add(f" {text}", "strong" if place == table.row else "dim").to(self.label)
            for across_place in range(self.first_column, self.first_column + len(shown)):
                on = (place, across_place) == (table.row, table.column)
                self._cell(line, table.cell(place, across_place), colours, running, on=on)
            lines.append(line)
        more = len(rows) - self.shown[0]
        note = f" rows {self.first_row + 1} to {self.first_row + self.shown[0]} of {len(rows)}" if more > 0 else ""
        return [*lines, self.line().add(note, "faint")]

    def _cell(
        self, line: StyledLine, cell: SweepCell | None, colours: CellPalette, running: dict[str, str], *, on: bool
    ) -> None:
        inner = self.width - 1
        if cell is None:
            line.add(" " * self.width, "cursor" if on else "faint")
            return
        if cell.value is None:
            done = cell.unit.state == "done"
            sign, ink = ("–", "faint") if done else state_sign(cell.unit, running)
            body = sign.rjust(inner) + " "
            line.add(f"▸{body[1:-1]}◂" if on else body, "cursor" if on else ink)
            return
        level = level_of(cell.level)
        text = fit(cell.text, inner - (1 if colours.shaded else 0)).rjust(inner)
        if colours.shaded:
            text = SHADES[shade_of(level)] + text[1:]
        if on:
            line.add(f"▸{text[1:]}◂", "cursor")
        else:
            line.add_styled(text + " ", colours.cells[level])

    def _about(self, width: int) -> list[StyledLine]:
        """Format the unit under the cursor: its labels, run, circuit, or why there is none."""
        cell = self.state.table.at_cursor
        first, second = self.line().add(" "), self.line().add(" ")
        if cell is None:
            return [first.add("this combination is no unit of the sweep", "faint"), second]
        unit, found = cell.unit, cell.found
        varying = [f"{axis} {value}" for axis, value in unit.labels if axis in self.state.table.axes]
        first.add(fit(clean(", ".join(varying)) or "the only unit", width - 30), "strong")
        first.add(f"  {unit.state}", {"done": "good", "failed": "bad"}.get(unit.state, "second"))
        if unit.number is not None:
            first.add(fit(f"  {one_line(unit.session)}/{unit.number}", width - first.width - 12), "dim")
        if unit.seconds is not None:
            first.add(f"  {format_seconds(unit.seconds)}", "dim")
        if unit.state != "done" and unit.failure is not None:
            words = f"{one_line(unit.failure.message)} {one_line(unit.failure.hint)}"
            return [first, second.add(fit(words, width - 2), "bad")]
        if found is not None:
            parts = [f"AUC {found.auc:.2f}"] if found.auc is not None else []
            parts += [f"can do {found.accuracy:.0%} of pairs"] if found.accuracy is not None else []
            second.add(found.verdict or "no card", "second")
            words = f"  {', '.join(parts)}  circuit {' '.join(found.circuit) or 'empty'}"
            second.add(fit(words, width - second.width - 1), "text")
        return [first, second]

    def _workers(self) -> Sequence[SweepWorker]:
        return self.state.progress.workers if self.state.progress is not None else ()


def drawn(make: Callable[[], StyledLine], rows: list[list[Piece]]) -> list[StyledLine]:
    """Return lines of (text, ink) in the inks of the screen."""
    lines = []
    for row in rows:
        line = make()
        for text, ink in row:
            line.add(text, ink)
        lines.append(line)
    return lines


def progress_lines(
    make: Callable[[], StyledLine], state: SweepState, size: Size, *, rows: int, every: bool = False
) -> list[StyledLine]:
    """Return how far the sweep is, its workers and its failures, in so many rows and one; `every`: all of them."""
    detail, progress = state.table.detail, state.progress
    if detail is None:
        return []
    units = detail.units
    done, failed = (sum(unit.state == word for unit in units) for word in ("done", "failed"))
    line = make().add(f" {done} of {len(units)} done", "text")
    if failed:
        line.add(f"  {failed} failed", "bad")
    active = progress is not None and progress.active
    rest = len(units) - done - failed
    if rest:
        line.add(f"  {rest} {'left' if active else 'not finished'}", "second")
    if progress is not None and progress.active:
        line.add(f"  {len(progress.workers)} worker{'s' * (len(progress.workers) != 1)} on {clean(progress.on)}", "dim")
        if progress.left_s is not None:
            line.add(f"  about {format_seconds(progress.left_s)} left", "strong")
    if state.words:
        line.add(fit(f"  {state.words}", size.width - line.width - 1), state.ink)
    lines = [line]
    if progress is not None and progress.active:
        lines += [_worker(make, progress, place, size.width) for place in range(len(progress.workers))]
    reasons: dict[str, int] = {}
    for unit in units:
        if unit.state == "failed" and unit.failure is not None:
            reasons[unit.failure.message] = reasons.get(unit.failure.message, 0) + 1
    again = {each.message for each in progress.problems if each.again} if progress is not None else set()
    for message, count in sorted(reasons.items(), key=lambda each: -each[1]):
        failure = make().add(f" ✗ {count} ", "bad")
        lines.append(failure.add(fit(one_line(message), size.width - failure.width - 1), "text"))
    for message in sorted(again - set(reasons)):
        failure = make().add(" again ", "second")
        lines.append(failure.add(fit(one_line(message), size.width - failure.width - 1), "dim"))
    return lines if every else lines[: rows + 1]


def _worker(make: Callable[[], StyledLine], progress: SweepProgress, place: int, width: int) -> StyledLine:
    each = progress.workers[place]
    line = make().add(f"   {fit(clean(each.name), 14)}", "dim").to(18)
    line.add(f"{each.stage or ('starting' if each.run_id else 'idle')}".ljust(9), "accent" if each.run_id else "faint")
    if each.total:
        line.add(f"{each.done}/{each.total}".ljust(10), "dim")
    return line.to(37).add(fit(one_line(each.unit), width - line.width - 1), "text")


class SweepView(LineWidget):
    """The page of a sweep that is shown."""

    class Pointed(Message):
        """The mouse picked a cell."""

        def __init__(self, row: int, column: int) -> None:
            super().__init__()
            self.row, self.column = row, column

    def __init__(self, sweep: SweepState, state: WorkbenchState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.sweep, self.depth = sweep, depth
        self.drawing = SweepGridDrawing(sweep, self.line)

    def colours(self) -> CellPalette:
        """Return the styles of cells in this theme and terminal."""
        dark = self.app.current_theme.dark
        return palette(dark=dark, depth=self.depth, faded=False, name=chosen_map(self.app))

    def lines(self, size: Size, /) -> list[Strip]:
        from tui.widgets.sweep_pages import page_lines

        if self.sweep.page == "grid":
            found = self.drawing.lines(size, self.colours())
        else:
            found = page_lines(self.line, self.sweep, size, self.colours())
        return [line.strip().crop(0, size.width) for line in found][: size.height]

    def on_click(self, event: events.Click) -> None:
        drawing, table = self.drawing, self.sweep.table
        row, column = event.y - 3 + drawing.first_row, (event.x - drawing.label) // drawing.width + drawing.first_column
        inside = row < len(table.row_values) and column < len(table.column_values)
        if self.sweep.page == "grid" and event.y >= 3 and event.x >= drawing.label and inside:
            self.post_message(self.Pointed(row, column))
