"""The picker of built-in tasks, whose examples are made for the session's model."""

from collections.abc import Callable

from textual import events
from textual.app import ComposeResult
from textual.geometry import Size
from textual.strip import Strip

from engine.tasks.registry import TASKS
from tui.actions import screen_actions
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.state.workbench_state import WorkbenchState
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import fit, wrap

_PAIRS = (5, 10, 25, 50, 100, 250)
ACTIONS = screen_actions(
    "Tasks",
    ("take", "", "enter", "Add it", "Add the task's examples", "add"),
    ("pairs.more", "1", "right,l,plus", "More pairs", "Make more pairs", "more"),
    ("pairs.fewer", "-1", "left,h,minus", "Fewer pairs", "Make fewer pairs", "fewer"),
    ("choose.down", "1", "down,j", "Next task", "Choose the next task", ""),
    ("choose.up", "-1", "up,k", "Previous task", "Choose the previous task", ""),
    ("close", "", "escape,t,q", "Back", "Back without adding", "back"),
)
Taken = Callable[[str, int], None]
"""Called with the task's name and the number of pairs."""


class TaskList(LineWidget):
    """The list of tasks, with their descriptions."""

    can_focus = True

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self.tasks = tuple(TASKS.values())
        self.at = 0
        self.pairs = 1
        self._starts: list[int] = []

    def lines(self, size: Size, /) -> list[Strip]:
        found: list[Strip] = []
        self._starts = []
        roomy = size.height >= 3 * len(self.tasks)
        for place, task in enumerate(self.tasks):
            self._starts.append(len(found))
            chosen = place == self.at
            line = self.line().add("▸ " if chosen else "  ", "accent").add(task.title, "strong" if chosen else "text")
            line.add(f"  {task.name}", "dim")
            if chosen:
                line.add(f"   {_PAIRS[self.pairs]} pairs", "second")
            found.append(line.strip())
            for row in wrap(task.description, size.width - 6, 2 if chosen or roomy else 1):
                found.append(self.line().add(f"    {fit(row, size.width - 5)}", "dim" if chosen else "faint").strip())
        return found

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        under = [index for index, start in enumerate(self._starts) if place is not None and start <= place.y]
        if under:
            self.at = under[-1]
            self.paint()


class TaskPickerScreen(SubScreen):
    """The screen; calls `taken` with the chosen task and number of pairs."""

    CSS_PATH = "task_picker.tcss"
    actions = ACTIONS
    AUTO_FOCUS = "#tasks"

    def __init__(self, state: WorkbenchState, taken: Taken) -> None:
        super().__init__(state)
        self.taken = taken
        self.list = TaskList(state, id="tasks")

    def compose(self) -> ComposeResult:
        yield self.list
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.list.border_title = "Built-in tasks"

    def paint(self) -> None:
        self.list.paint()

    def action_choose(self, by: int) -> None:
        self.list.at = min(max(self.list.at + by, 0), len(self.list.tasks) - 1)
        self.paint()

    def action_pairs(self, by: int) -> None:
        self.list.pairs = min(max(self.list.pairs + by, 0), len(_PAIRS) - 1)
        self.paint()

    def action_take(self) -> None:
        self.dismiss()
        self.taken(self.list.tasks[self.list.at].name, _PAIRS[self.list.pairs])
