"""Workbench actions that change the view or open screens with more of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.measures import MEASURES
from tui.state.workbench_state import WorkbenchState

if TYPE_CHECKING:
    from textual.screen import Screen

    from tui.widgets.grid_pane import GridPane

    Base = Screen[None]
else:
    Base = object


class ViewActions(Base):
    """Mixin of the pane screens: one method per action id of tui.actions.viewing; none changes the session."""

    state: WorkbenchState
    grid: "GridPane"
    draw_now: Callable[..., None]
    _looked: Callable[[], None]
    _cursor_moved: Callable[[], None]
    _back: Callable[[None], None]

    def action_card(self) -> None:
        from tui.screens.card import CardSheet

        run = self.state.shown
        if run is not None and run.picture.card is not None:
            self.app.push_screen(CardSheet(run.picture, run.picture.card))

    def action_measure(self, by: int) -> None:
        self.state.cycle_measure(by)
        self._looked()

    def action_cut(self, by: int) -> None:
        if self.state.move_cut(by):
            self._looked()

    def action_pick_measure(self) -> None:
        from tui.screens.text_prompt import TextPromptSheet
        from tui.state.parsing import measure_trouble

        names = ", ".join(measure.title for measure in MEASURES)
        self.app.push_screen(TextPromptSheet("Measure", names, judge=measure_trouble), self._measure_picked)

    def _measure_picked(self, text: str | None) -> None:
        from tui.state.parsing import guess_measure

        if text:
            self.state.pick_measure(guess_measure(text))
            self.draw_now(frozenset({"grid", "head"}))

    def action_seed(self) -> None:
        self.state.seed_index += 1
        self.draw_now(frozenset({"head", "examples"}))

    def action_edges(self) -> None:
        from tui.screens.edges import EdgesScreen

        run = self.state.shown
        if run is not None and run.picture.edges:
            self.app.push_screen(EdgesScreen(self.state), self._back)

    def action_runs(self) -> None:
        from tui.screens.runs import RunsScreen

        if self.state.runs:
            self.app.push_screen(RunsScreen(self.state, self.grid.heatmap.depth), self._back)

    def action_table(self) -> None:
        from tui.screens.head_table import HeadTableScreen

        if self.state.view() is not None:
            self.app.push_screen(HeadTableScreen(self.state), self._back)

    def action_jump(self) -> None:
        from tui.screens.text_prompt import TextPromptSheet
        from tui.state.parsing import head_trouble

        shape = self.state.shape()
        if shape is not None:
            ask = TextPromptSheet(
                "Jump to head", "Layer and head, for example 1.3", judge=lambda text: head_trouble(text, shape)
            )
            self.app.push_screen(ask, self._jumped)

    def _jumped(self, text: str | None) -> None:
        from tui.state.parsing import read_head

        shape = self.state.shape()
        if text and shape is not None and self.state.put_cursor(*read_head(text, shape)):
            self._cursor_moved()

    def action_ranking(self, by: int) -> None:
        if self.state.walk_ranking(by):
            self._cursor_moved()
