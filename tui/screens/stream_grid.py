"""The grid of layers and positions: replacing the stream, attention or MLPs at one place, and what it does."""

from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.analysis.effects import METRIC_WORDS
from engine.node_parts import GridKind, PlaceEffect
from sessions.protocol import StreamGrid
from tui.actions import screen_actions
from tui.output.effects import format_signed
from tui.screens.measured_screen import MeasuredScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.state.stream_grid import GridState
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.themes import Depth
from tui.widgets.line_widget import first_visible
from tui.widgets.places_strip import SignedWidget, failure_lines
from tui.widgets.styled_line import StyledLine, bar, fit, one_line

ACTIONS = screen_actions(
    "Places by layer",
    ("close", "", "escape,P,shift+p,q", "Back", "Back to the workbench", "back"),
    ("kind.next", "1", "m", "Stream, attention or MLPs", "What is replaced: the next of the three", "replaced"),
    ("kind.previous", "-1", "M,shift+m", "Replaced: the one before", "What is replaced: the one before", ""),
    ("move.down", "1, 0", "down,j", "Layer below", "The next layer", "move"),
    ("move.up", "-1, 0", "up,k", "Layer above", "The layer before", ""),
    ("move.right", "0, 1", "right,l", "Next token", "The next position", ""),
    ("move.left", "0, -1", "left,h", "Previous token", "The position before", ""),
    ("prompt.next", "1", "right_square_bracket", "Next prompt", "One prompt in place of the mean", "prompt"),
    ("prompt.previous", "-1", "left_square_bracket", "Previous prompt", "The prompt before; first the mean", ""),
)
_LABEL = 5
_TITLED = 110
"""Columns from which on the kind is explained."""
_CELLS = (7, 6, 5)
"""Widths of a column, the widest that fits; beyond that it scrolls."""
TITLES: dict[GridKind, str] = {
    "stream": "input of a layer",
    "attention": "all that its heads write",
    "mlp": "all that its MLP writes",
}


class StreamGridView(SignedWidget):
    """The cells with their numbers, the cell under the cursor in words, and how far the measurement is."""

    def __init__(self, grid: GridState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(grid.state, id=id)
        self.grid, self.depth = grid, depth
        self._first_row = self._first_column = 0

    def lines(self, size: Size, /) -> list[Strip]:
        failure = self.grid.failure
        lines = [self._progress(size.width), self._under_cursor(size.width)]
        found = [line.strip() for line in lines]
        if failure is not None:
            found += failure_lines(self.line, failure, Size(size.width, 4))
        columns = self.grid.columns
        if columns:
            found += [line.strip() for line in self._table(columns, size.width, size.height - len(found))]
        return found[: size.height]

    def _progress(self, width: int) -> StyledLine:
        """Format what is replaced, on which prompts, and how many layers are done."""
        grid = self.grid
        line = self.line().add(" ")
        for kind in grid.kinds:
            line.add(f" {kind} ", "cursor" if kind == grid.kind else "dim").add(" ")
        if width >= _TITLED:
            line.add(f"{TITLES[grid.kind]} · ", "dim")
        if grid.done < grid.n_layers and grid.failure is None:
            done, rest = bar(grid.done / max(grid.n_layers, 1), 16)
            line.add(done, "accent").add(rest, "groove")
            seconds = self.state.parts.seconds(self.state.parts.asking) or 0.0
            now = f" · {seconds:.0f} s at this one" if seconds >= 1 else ""
            line.add(fit(f" {grid.done} of {grid.n_layers} layers{now}", width - line.width - 1), "text")
            return line
        how = next((each.how for each in grid.answers if each is not None), None)
        n = len(grid.prompts)
        if how is not None and n:
            base = sum(each.base for each in grid.prompts) / n
            of = "" if how.metric == "kl" else f" of {base:.3g}"
            what = f"mean of {n} {'pairs' if how.replacement == 'pair' else 'prompts'}"
            if grid.prompt is not None:
                what = f"prompt {grid.prompts[grid.prompt].example + 1}"
            words = f"{METRIC_WORDS[how.metric]}{of}, {what}"
            line.add(fit(words, width - line.width - 1), "faint")
        return line

    def _under_cursor(self, width: int) -> StyledLine:
        grid = self.grid
        line = self.line().add(f" layer {grid.layer}, ", "dim").add(f"-{grid.from_end + 1} ", "strong")
        here = grid.at(grid.kind, grid.layer, grid.from_end)
        if here is None:
            return line.add("not measured yet", "faint")
        line.add(fit(one_line(here.token).strip() or "␣", 14), "strong")
        if here.other and here.other != here.token:
            line.add(f" < {fit(one_line(here.other).strip() or '␣', 14)}", "dim")
        for kind in grid.kinds:
            cell = grid.at(kind, grid.layer, grid.from_end)
            if cell is not None:
                error = "" if cell.error is None else f" ±{format_signed(cell.error).lstrip('+')}"
                ink = "strong" if kind == grid.kind else "dim"
                words = f"  {kind} {format_signed(cell.effect)}{error}"
                line.add(fit(words, width - line.width - 1), ink)
        return line

    def _table(self, columns: list[PlaceEffect], width: int, height: int) -> list[StyledLine]:
        grid, room = self.grid, width - _LABEL - 1
        cell = next((each for each in _CELLS if each * len(columns) <= room), _CELLS[-1])
        many = max(room // cell, 1)
        chosen = next((place for place, each in enumerate(columns) if each.from_end == grid.from_end), 0)
        self._first_column = first_visible(self._first_column, chosen, many, len(columns))
        shown = columns[self._first_column : self._first_column + many]
        left = "‹" if self._first_column else " "
        right = "›" if self._first_column + many < len(columns) else ""
        numbers, tokens = self.line().add(left, "accent").to(_LABEL), self.line().to(_LABEL)
        for each in shown:
            on = each.from_end == grid.from_end
            numbers.add(f"{-each.from_end - 1:>{cell - 1}} ", "strong" if on else "faint")
            text = fit(clean(each.token).strip() or "␣", cell - 1)
            end = tokens.width + cell
            tokens.add(text, "strong" if on else "dim").to(end)
        numbers.add(right, "accent")
        rows = grid.rows(grid.kind)
        self._first_row = first_visible(self._first_row, grid.layer, max(height - 2, 1), len(rows))
        last = min(len(rows), self._first_row + max(height - 2, 1))
        lines = [numbers, tokens]
        largest = grid.largest
        for layer in range(self._first_row, last):
            line = self.line().add(f"{layer:>3} ", "strong" if layer == grid.layer else "dim").to(_LABEL)
            by_place = {each.from_end: each.effect for each in rows[layer] or ()}
            for each in shown:
                value = by_place.get(each.from_end)
                on = layer == grid.layer and each.from_end == grid.from_end
                if value is None:
                    line.add(f"{'·':>{cell - 1}} ", "cursor" if on else "groove")
                elif on:
                    line.add(f"{format_signed(value):>{cell - 1}} ", "cursor")
                else:
                    line.add_styled(f"{format_signed(value):>{cell - 1}} ", self.signed(value, largest))
            lines.append(line)
        return lines


class StreamGridScreen(MeasuredScreen):
    """The screen; the grid fills layer by layer while it is measured."""

    CSS_PATH = "stream_grid.tcss"
    actions = ACTIONS

    def __init__(self, state: WorkbenchState, depth: Depth, fetch: FetchPart) -> None:
        super().__init__(state, fetch)
        self.grid = GridState(state)
        self.view = StreamGridView(self.grid, depth, id="stream-grid")

    def wanted(self) -> Wanted:
        """Return the layers that are missing; none after one that failed."""
        return [] if self.grid.failure is not None else [(each, StreamGrid) for each in self.grid.requests]

    def paint(self) -> None:
        run = self.state.shown
        number = "" if run is None else f" · run {run.number}"
        self.view.border_title = Content(f"Replaced at one layer and token alone{number}")
        self.view.paint()

    def action_kind(self, by: int) -> None:
        self.grid.turn(by)
        self.paint()

    def action_move(self, layers: int, positions: int) -> None:
        self.grid.move(layers, positions)
        self.paint()

    def action_prompt(self, by: int) -> None:
        self.grid.step_prompt(by)
        self.paint()
