"""Table of all heads with all measures: sort, filter, write CSV."""

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Offset, Size
from textual.message import Message
from textual.strip import Strip

from engine.analysis.ranking import strength
from engine.errors import ConfigError
from engine.measures import MEASURES
from engine.nodes import NodeId, format_count
from engine.results import NodeScores
from sessions.errors import CannotWrite
from tui.actions import screen_actions
from tui.screens.new_file import file_stem, write_new
from tui.screens.parts_loader import FetchPart, PartsLoader
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.text_prompt import TextPromptSheet
from tui.state.atlas import AtlasState
from tui.state.atlas_columns import MEASURE_COLUMNS, NodeColumn, column_reader, columns_there, find_column
from tui.state.head_filter import filter_hint, read_filter
from tui.state.node_signs import KNOWN
from tui.state.number_text import format_fixed
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LinePicked, LineWidget, first_visible
from tui.widgets.styled_line import fit, wrap
from tui.widgets.tooltips import head_tip, measure_tip, tip

ACTIONS = screen_actions(
    "Table of heads",
    ("close", "", "escape,L,shift+l,q", "Back", "Back to the workbench", "back"),
    ("step.down", "1", "down,j", "Next node", "One line down", "node"),
    ("step.up", "-1", "up,k", "Previous node", "One line up", ""),
    ("step.page_down", "20", "pagedown", "Twenty lines down", "Twenty lines down", ""),
    ("step.page_up", "-20", "pageup", "Twenty lines up", "Twenty lines up", ""),
    ("step.first", "-1000000", "home", "First line", "To the first line", ""),
    ("step.last", "1000000", "end", "Last line", "To the last line", ""),
    ("sort.right", "1", "right,l", "Sort by the next measure", "Sort by the measure to the right", "sort"),
    ("sort.left", "-1", "left,h", "Sort by the previous measure", "Sort by the measure to the left", ""),
    ("turn", "", "r", "Reverse the order", "Weakest first, or strongest first again", "reverse"),
    ("filter", "", "slash,f", "Filter", "Only nodes with conditions such as q < .05, layer > 5", "filter"),
    ("mark", "", "space", "Mark the node", "Effects, keep and copy use the marked nodes", "mark"),
    ("mark_listed", "", "a", "Mark all listed nodes", "Or unmark them if all are marked", ""),
    ("show", "", "enter", "Go to this node", "Show the node on the workbench, by this measure", "go to it"),
    (
        "keep",
        "",
        "w",
        "Write as CSV",
        "Write the listed nodes as CSV into the folder where Headcode was started",
        "write CSV",
    ),
)
_NAMES = 11
"""Columns of the head names."""
_WIDTH = 8
"""Minimum columns of one measure."""


class HeadTable(LineWidget):
    """The table; draws only visible lines, so 80 layers of 64 heads are as fast as 4 of 8."""

    can_focus = False

    class Sorted(Message):
        def __init__(self, column: NodeColumn) -> None:
            super().__init__()
            self.column = column

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.atlas = AtlasState(state)
        self.sort: NodeColumn = find_column(state.measure.id) or MEASURE_COLUMNS[0]
        self.turned = False
        self.wanted = ""
        self.chosen = 0
        self.first = 0
        self._rows: tuple[object, list[NodeScores]] = ((), [])

    @property
    def rows(self) -> list[NodeScores]:
        """The listed heads in order."""
        view = self.state.view()
        if view is None:
            return []
        marked = self.state.marked
        key = (id(view.nodes), view.circuit, marked, self.sort.id, self.turned, self.wanted, *self._sources)
        if key != self._rows[0]:
            wanted = read_filter(self.wanted, circuit=view.circuit, known=view.known, marked=marked)
            found = [node for node in view.nodes if wanted(node)]
            sign = -1 if self.turned else 1
            read = column_reader(self.atlas, self.sort)
            found.sort(key=lambda node: (sign * _order(node, self.sort, read), node.layer, node.head))
            self._rows = (key, found)
        return self._rows[1]

    @property
    def _sources(self) -> tuple[int, int]:
        """What decides the numbers of the atlas, beside the run's own."""
        return id(self.atlas.atlas), id(self.atlas.prompts)

    @property
    def columns(self) -> tuple[NodeColumn, ...]:
        """All columns: measures, then metrics on ordinary text and on the prompts, where they are known."""
        return columns_there(self.atlas)

    def tip_at(self, place: Offset, /) -> Content | None:
        """Return the tooltip of a column's measure or of a head."""
        if place.y == 0:
            columns, at = self._columns(self.size.width), (place.x - _NAMES) // _wide(self.size.width)
            if not 0 <= at < len(columns):
                return None
            column, measure = columns[at], columns[at].measure
            words = tip(column.title, f"{column.meaning}.")
            return words if measure is None else measure_tip(self.state, measure)
        row = self.first + place.y - 1
        in_list = row < min(len(self.rows), self.first + self._room(self.size))
        return head_tip(self.state, self.rows[row].id) if in_list else None

    def lines(self, size: Size, /) -> list[Strip]:
        rows, view = self.rows, self.state.view()
        if view is None:
            return [self.line().add(" Nothing to list before the first scores.", "dim").strip()]
        self.chosen = min(max(self.chosen, 0), max(len(rows) - 1, 0))
        room = self._room(size)
        self.first = first_visible(self.first, self.chosen, room, len(rows))
        wide, columns = _wide(size.width), self._columns(size.width)
        head = self.line().add("   node    " if view.others else "   head    ", "faint")
        for column in columns:
            on = column is self.sort
            name = column.short
            mark = ("▴" if self.turned else "▾") if on else ""
            shown = mark + fit(name, wide - 1)
            head.to(head.width + wide - cell_len(shown)).add(shown, "accent" if on else "faint")
        lines = [head.strip()]
        readers = [(column, column_reader(self.atlas, column)) for column in columns]
        for place in range(self.first, min(len(rows), self.first + room)):
            node, on = rows[place], place == self.chosen
            inside, known, marked = node.id in view.circuit, node.id in view.known, node.id in self.state.marked
            line = self.line().add(" ▸ " if on else "   ", "accent")
            line.add(f"{node.id!s:<5}", "strong" if on else ("text" if inside else "dim"))
            frame = ("«»" if inside else "‹›") if marked else "[]" if inside else "  "
            line.add(frame, "second").add(KNOWN if known else " ", "accent")
            for column, read in readers:
                value = read(node)
                shown = format_fixed(value if value is None or math.isfinite(value) else None, column.decimals)
                ink = "strong" if on else ("text" if column is self.sort else "dim")
                line.add(shown.strip().rjust(wide), ink)
            lines.append(line.strip())
        if not rows:
            change = f"{self.state.key('table-of-heads:filter')} changes them"
            words = f"   no {view.noun(1)} meets these conditions: {change}"
            lines.append(self.line().add(words, "dim").strip())
        while len(lines) < 1 + room:
            lines.append(self.line().strip())
        return [*lines, *(self.line().add(f" {row}", "faint").strip() for row in self._foot(size.width))]

    def _foot(self, width: int) -> list[str]:
        """Return the lines with the meaning of the sorting measure."""
        words = f"{self.sort.title}: {self.sort.meaning}" + ("   ° without an SAE" if width > 100 else "")
        if width > 140 and len(self.columns) > len(MEASURES):
            words += "   ~ on ordinary text   = on these prompts"
        return wrap(words, max(width - 2, 1), 2)

    def _room(self, size: Size) -> int:
        """Return the number of lines for heads."""
        return max(size.height - 1 - len(self._foot(size.width)), 1)

    def step_sort(self, by: int) -> None:
        columns = self.columns
        place = columns.index(self.sort) if self.sort in columns else 0
        self.sort = columns[(place + by) % len(columns)]

    def _columns(self, width: int) -> list[NodeColumn]:
        """Return as many columns as fit, including the sorting one."""
        columns = self.columns
        place = columns.index(self.sort) if self.sort in columns else 0
        room = max(1, (width - 11) // _wide(width))
        first = min(max(0, place - room + 1), max(0, len(columns) - room))
        return list(columns[first : first + room])

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            columns = self._columns(self.size.width)
            column = (event.x - 11) // _wide(self.size.width)
            if 0 <= column < len(columns):
                self.post_message(self.Sorted(columns[column]))
        elif self.first + event.y - 1 < len(self.rows):
            self.post_message(LinePicked(self.first + event.y - 1))


def _wide(width: int) -> int:
    """Return the columns per measure; more if all measures fit."""
    return min(max(_WIDTH, (width - 11) // len(MEASURES)), _WIDTH + 2)


class HeadTableScreen(SubScreen):
    """The screen with the table."""

    CSS_PATH = "head_table.tcss"
    actions = ACTIONS

    def __init__(self, state: WorkbenchState, folder: Path | None = None, fetch: FetchPart | None = None) -> None:
        """`fetch`: asks for the atlas; None in a replay."""
        super().__init__(state)
        self.table = HeadTable(state, id="table")
        self._folder = folder or Path.cwd()
        self._loader: PartsLoader | None = None
        if fetch is not None:
            self._loader = PartsLoader(self, state.parts, fetch, lambda: self.table.atlas.stored, self.paint)

    def compose(self) -> ComposeResult:
        yield self.table
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self._title()
        if self._loader is not None:
            self.state.parts.forget_failures()
            self._loader.start()

    def paint(self) -> None:
        self._title()
        self.table.paint()

    def action_step(self, by: int) -> None:
        self.table.chosen += by
        self.table.paint()

    def action_sort(self, by: int) -> None:
        self.table.step_sort(by)
        self.paint()

    def action_turn(self) -> None:
        self.table.turned = not self.table.turned
        self.paint()

    def action_filter(self) -> None:
        def wrong(text: str) -> str:
            try:
                read_filter(text, circuit=(), known=())
            except ConfigError as error:
                return f"{error.message} {error.hint}"
            return ""

        view = self.state.view()
        others = view is not None and view.others
        title = "Only nodes with" if others else "Only heads with"
        self.app.push_screen(
            TextPromptSheet(title, filter_hint(others=others), text=self.table.wanted, judge=wrong), self._filtered
        )

    def action_mark(self) -> None:
        rows = self.table.rows
        if self.table.chosen < len(rows):
            self._mark([rows[self.table.chosen].id])

    def action_mark_listed(self) -> None:
        self._mark([node.id for node in self.table.rows])

    def _mark(self, heads: list[NodeId]) -> None:
        self.state.marks.toggle(heads)
        self.paint()

    def action_show(self) -> None:
        rows = self.table.rows
        if self.table.chosen < len(rows):
            self.state.put_cursor(*rows[self.table.chosen].id)
            if self.table.sort.measure is not None:
                self.state.pick_measure(self.table.sort.measure)
        self.dismiss()

    def action_keep(self) -> None:
        """Write the listed nodes as CSV into the start folder; an existing name gets a number."""
        if not self.table.rows:
            return
        try:
            text = table_csv(self.table.rows, self.state, self.table.atlas)
            path = write_new(self._folder, f"{file_stem(self.state)}-heads", ".csv", text)
        except CannotWrite as error:
            self.notify(
                clean(f"{error.message} Start headcode in another folder."),
                title="Nothing was written",
                severity="error",
                markup=False,
            )
            return
        self.notify(clean(str(path)), title=f"{_count(self.table.rows)} written", markup=False)

    def on_line_picked(self, message: LinePicked) -> None:
        if message.place == self.table.chosen:
            self.action_show()
            return
        self.table.chosen = message.place
        self.table.paint()

    def on_head_table_sorted(self, message: HeadTable.Sorted) -> None:
        self.table.turned = message.column is self.table.sort and not self.table.turned
        self.table.sort = message.column
        self.paint()

    def _filtered(self, text: str | None) -> None:
        if text is not None:
            self.table.wanted, self.table.chosen = text, 0
        self.paint()

    def _title(self) -> None:
        view = self.state.view()
        count = len(self.table.rows)
        whole = len(view.nodes) if view is not None else 0
        nodes = view.noun(2) if view is not None else "heads"
        words = f"{count} {nodes}" if count == whole else f"{count} of {whole} {nodes}: {self.table.wanted}"
        if self.state.marked:
            words += f" · {len(self.state.marked)} marked"
        self.table.border_title = Content(clean(words))


def table_csv(rows: list[NodeScores], state: WorkbenchState, atlas: AtlasState | None = None) -> str:
    """Format nodes as CSV: circuit, known, marked (1 or 0), then all measures by id; empty if not applicable.

    With what is known of the atlas behind them: text.METRIC on ordinary text, prompts.METRIC on the run's. A run with
    MLPs has one more column, the node's name; layer and head are empty where there is none.
    """
    out, view = io.StringIO(), state.view()
    sets = (view.circuit if view else (), view.known if view else (), state.marked)
    writer = csv.writer(out, lineterminator="\n")
    named = view is not None and view.others
    first = ["node"] if named else []
    columns = MEASURE_COLUMNS if atlas is None else columns_there(atlas)
    readers = [column_reader(atlas or AtlasState(state), column) for column in columns]
    writer.writerow([*first, "layer", "head", "circuit", "known", "marked", *(column.id for column in columns)])
    for node in rows:
        values = (read(node) for read in readers)
        flags = (int(node.id in heads) for heads in sets)
        name = [str(node.id)] if named else []
        place = ["" if number < 0 else number for number in node.id]
        writer.writerow([*name, *place, *flags, *("" if value is None else value for value in values)])
    return out.getvalue()


def _count(rows: list[NodeScores]) -> str:
    """Say how many nodes there are, as in 32 heads."""
    return format_count(node.id for node in rows)


def _order(node: NodeScores, column: NodeColumn, read: Callable[[NodeScores], float | None]) -> float:
    """Return the sort key: smaller for stronger heads; heads without a value come last in either order."""
    if column.measure is None:
        number = read(node)
        return math.inf if number is None else -number
    value = strength(node, column.measure)
    return math.inf if value == -math.inf else -value
