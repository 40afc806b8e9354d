"""The scatter: the run's nodes by any two measures, or metrics on ordinary text and on the run's prompts."""

from collections.abc import Callable
from functools import partial

from textual.content import Content

from tui.actions import screen_actions
from tui.screens.choice import ChoiceItem, ChoiceSheet
from tui.screens.measured_screen import MeasuredScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.state.atlas import AtlasState
from tui.state.atlas_columns import Source, columns_there, find_column
from tui.state.scatter import ScatterState
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.themes import Depth
from tui.widgets.line_widget import LinePicked
from tui.widgets.scatter_plot import ScatterPlot

ACTIONS = screen_actions(
    "Scatter",
    ("close", "", "escape,Y,shift+y,q", "Back", "Back to where you came from", "back"),
    ("move.right", "1, 0", "right,l", "Next point to the right", "The nearest point to the right", "point"),
    ("move.left", "-1, 0", "left,h", "Next point to the left", "The nearest point to the left", ""),
    ("move.up", "0, 1", "up,k", "Next point above", "The nearest point above", ""),
    ("move.down", "0, -1", "down,j", "Next point below", "The nearest point below", ""),
    ("rank.next", "1", "right_square_bracket", "Next node of the ranking", "The next weaker node", ""),
    ("rank.previous", "-1", "left_square_bracket", "Previous node of the ranking", "The next stronger node", ""),
    ("across.next", "1", "x", "Next number across", "What the horizontal axis shows: the next", "across"),
    ("across.previous", "-1", "X,shift+x", "Previous number across", "The horizontal axis: the one before", ""),
    ("up.next", "1", "y", "Next number up", "What the vertical axis shows: the next", "up"),
    ("up.previous", "-1", "v", "Previous number up", "The vertical axis: the one before", ""),
    ("choose_across", "", "full_stop", "Choose across", "What the horizontal axis shows, by name", "by name"),
    ("choose_up", "", "comma", "Choose up", "What the vertical axis shows, by name", ""),
    ("swap", "", "s", "Swap the axes", "Horizontal becomes vertical", "swap"),
    ("mark", "", "space", "Mark the node", "Effects, keep and copy use the marked nodes", "mark"),
    ("show", "", "enter", "Go to this node", "Show the node on the workbench", "go to it"),
)
_GROUPS: dict[Source, str] = {
    "measure": "Measures of the run",
    "text": "On ordinary text",
    "prompts": "On the run's prompts",
}


class ScatterScreen(MeasuredScreen):
    """The screen; the atlas and the metrics on the prompts come while the measures are shown."""

    CSS_PATH = "scatter.tcss"
    actions = ACTIONS

    def __init__(
        self,
        state: WorkbenchState,
        _depth: Depth,
        fetch: FetchPart,
        want_codes: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(state, fetch)
        self._want_codes = want_codes
        self.atlas = AtlasState(state)
        self.scatter = ScatterState(state, self.atlas)
        self.view = ScatterPlot(self.scatter, id="scatter")

    def wanted(self) -> Wanted:
        return self.atlas.stored

    def paint(self) -> None:
        words = f"{self.scatter.vertical.title} by {self.scatter.horizontal.title}"
        if self.state.marked:
            words += f" · {len(self.state.marked)} marked"
        if self.atlas.atlas is None:
            words += f" · no atlas: {self.state.key('atlas')} on the workbench reads one"
        self.view.border_title = Content(clean(words))
        self.view.paint()

    def action_move(self, across: int, up: int) -> None:
        if self.scatter.step(across, up):
            self._went()

    def action_rank(self, by: int) -> None:
        if self.state.walk_ranking(by):
            self._went()

    def _went(self) -> None:
        self._want_codes()
        self.paint()

    def action_across(self, by: int) -> None:
        self.scatter.turn(horizontal=True, by=by)
        self.paint()

    def action_up(self, by: int) -> None:
        self.scatter.turn(horizontal=False, by=by)
        self.paint()

    def action_choose_across(self) -> None:
        self._choose(horizontal=True)

    def action_choose_up(self) -> None:
        self._choose(horizontal=False)

    def _choose(self, *, horizontal: bool) -> None:
        entries = [
            ChoiceItem(id=each.id, group=_GROUPS[each.source], title=each.title, detail=each.meaning)
            for each in columns_there(self.atlas)
        ]
        title = "Across" if horizontal else "Up"
        self.app.push_screen(ChoiceSheet(title, entries, empty="Nothing to show."), partial(self._chosen, horizontal))

    def _chosen(self, horizontal: bool, name: str | None) -> None:
        column = find_column(name) if name is not None else None
        if column is not None:
            self.scatter.choose(column, horizontal=horizontal)
        self.paint()

    def action_swap(self) -> None:
        self.scatter.swap()
        self.paint()

    def action_mark(self) -> None:
        self.state.marks.toggle([self.state.cursor])
        self.paint()

    def action_show(self) -> None:
        self.dismiss()

    def on_line_picked(self, message: LinePicked) -> None:
        view = self.state.view()
        if view is not None:
            self.state.put_cursor(*view.nodes[message.place].id)
            self._went()
