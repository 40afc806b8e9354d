"""Progress of the shown run: stages, time left, losses, changing codes; and the queue."""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.content import Content

from tui.actions import screen_actions
from tui.connection.session_link import SessionLink
from tui.screens.memory_guard import warn_of_memory
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.state.run import SessionRun
from tui.state.workbench_state import WorkbenchState
from tui.widgets.run_pane import RunPane

ACTIONS = screen_actions(
    "Progress",
    ("close", "", "escape,i,q", "Back", "Back to the workbench", "back"),
    ("choose.down", "1", "down,j", "Next run of the list", "One run down in the list", "run"),
    ("choose.up", "-1", "up,k", "Previous run of the list", "One run up in the list", ""),
    ("show", "", "enter", "Show this run", "Show the selected run here and on the workbench", "show it"),
    ("stop", "", "x", "Stop or dequeue", "Stop the selected run, or remove a waiting one from the queue", "stop it"),
    ("run", "", "r", "Queue a run", "Queue another run with the current options", "queue a run"),
    ("options", "", "O,shift+o", "Options", "The options of the next run", "options"),
)


class ProgressScreen(SubScreen):
    """The screen; follows the shown run."""

    CSS_PATH = "progress.tcss"
    actions = ACTIONS

    def __init__(self, state: WorkbenchState, link: SessionLink, clock: Callable[[], float]) -> None:
        super().__init__(state)
        self.link = link
        self.pane = RunPane(state, clock, id="run-pane")
        self.pane.can_focus = False

    def compose(self) -> ComposeResult:
        yield self.pane
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self._title()
        self.set_interval(0.5, self._beat)

    def paint(self) -> None:
        self._title()
        self.pane.paint()

    def _beat(self) -> None:
        """Update the elapsed seconds during a run."""
        run = self.state.shown
        if run is not None and (run.active or run.cause is not None):
            self.pane.paint()

    def action_choose(self, by: int) -> None:
        self.pane.choose(by)

    def action_show(self) -> None:
        listed = self.pane.listed
        if listed:
            self.state.show_run(listed[self.pane.chosen].run_id)
            self.paint()

    def action_stop(self) -> None:
        listed = self.pane.listed
        run = listed[self.pane.chosen] if listed else None
        if run is None or not run.active or self.state.link != "live":
            self.notify(self._not_stopped(run), markup=False)
            return
        if run.state == "queued" and run is not self.state.active:
            self.run_worker(self.link.cancel_run(run.run_id), group="ask", exit_on_error=True)
        else:
            self.run_worker(self.link.stop_run(), group="ask", exit_on_error=True)

    def _not_stopped(self, run: SessionRun | None) -> str:
        if self.state.link != "live":
            return "The host is not reachable, so nothing can be stopped from here."
        if run is None:
            return f"There is no run to stop; {self.state.key('progress:run')} queues one."
        return f"Run {run.number} is {run.state}: there is nothing to stop."

    def action_run(self) -> None:
        if self.state.link == "live" and not warn_of_memory(self, self.state, "progress:run"):
            self.run_worker(self.link.queue_run(), group="ask", exit_on_error=True)

    def action_options(self) -> None:
        from tui.screens.options import OptionsScreen

        if self.state.link == "live":
            self.app.push_screen(OptionsScreen(self.state, self.link), lambda _: self.paint())

    def _title(self) -> None:
        run = self.state.shown
        title = f"Run {run.number}" if run is not None else "No run"
        self.pane.border_title = Content(title)
