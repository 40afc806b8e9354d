"""The panes (examples, grid, head page, progress): side by side, or as tabs on small terminals."""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, get_args

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.geometry import Size
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

from engine.measures import MEASURES
from engine.nodes import NodeId
from tui.actions import ACTIONS, Action, workbench_actions
from tui.actions.key_labels import key_label_in
from tui.connection.session_link import SessionLink
from tui.screens.pane_drawing import PaneDrawing
from tui.state.disabled_reasons import disabled_reason
from tui.state.parsing import guess_measure, measure_trouble, node_hint, node_trouble, read_node
from tui.state.workbench_state import WorkbenchState
from tui.terminal.textual_private import screen_strips
from tui.themes.themes import Depth
from tui.widgets import grid_pane
from tui.widgets.action_keys import ActionKeys
from tui.widgets.example_list import ExampleList
from tui.widgets.grid_pane import GridPane
from tui.widgets.head_page import HeadPage
from tui.widgets.heat_map import HeatMap
from tui.widgets.key_line import KeyLine
from tui.widgets.progress_strip import Clock, ProgressStrip
from tui.widgets.styled_line import INKS
from tui.widgets.top_line import PaneTabs, TopLine

Pane = Literal["examples", "grid", "head"]
PANES: tuple[Pane, ...] = get_args(Pane)
_WIDE = 122
"""Minimum columns for panes side by side."""


class PanesScreen(Screen[None], ActionKeys):
    """Shows a workbench state, live or recorded; base of WorkbenchScreen and ReplayScreen."""

    # The inks of all widgets: declaring them per widget would add a fifth to the start time.
    COMPONENT_CLASSES = {f"ink--{name}" for name in INKS}  # noqa: RUF012
    actions = ACTIONS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012  # Textual declares it so
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    AUTO_FOCUS = "#heatmap"
    # Textual's own declaration redraws the whole screen when the focus changes.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    ALLOW_SELECT = False

    def __init__(
        self, state: WorkbenchState, link: SessionLink, depth: Depth, *, clock: Clock = time.time, size: Size
    ) -> None:
        # Set at the start, so that the first frame is not drawn twice.
        shapes = ((size.width, self.HORIZONTAL_BREAKPOINTS), (size.height, self.VERTICAL_BREAKPOINTS))
        super().__init__(classes=" ".join(max(entry for entry in table if entry[0] <= n)[1] for n, table in shapes))
        self.state = state
        self.link = link
        self.pane: Pane = "grid"
        self._narrow = size.width < _WIDE
        self.top = TopLine(state)
        self.tabs = PaneTabs(state)
        self.examples = ExampleList(state, id="examples")
        self.grid = GridPane(state, depth, id="grid")
        self.head = HeadPage(state, id="head")
        self.progress = ProgressStrip(state, clock=clock, id="progress")
        self.keyline = KeyLine(state, self.is_enabled, lambda: self.table)
        self.drawing = PaneDrawing(self)

    @property
    def table(self) -> Sequence[Action]:
        """The actions of this screen, with the user's keys."""
        return workbench_actions(self.app)

    @property
    def bound_actions(self) -> Sequence[Action]:
        return self.table

    def compose(self) -> ComposeResult:
        yield self.top
        yield self.tabs
        with Horizontal(id="panes"):
            yield self.examples
            yield self.grid
            yield self.head
        yield self.progress
        yield from self.below()
        yield self.keyline

    def below(self) -> ComposeResult:
        """Yield what a screen shows between the progress and the keys."""
        yield from ()

    def on_mount(self) -> None:
        self.state.key = partial(key_label_in, self.app)
        self.state.signs = bool(getattr(self.app, "signs", False))
        self.drawing.start()
        self._show_current()

    def show_depth(self, depth: Depth) -> None:
        """Change the colour depth and redraw."""
        self.grid.scale.depth = self.grid.heatmap.depth = depth
        self.drawing.now()

    def paint_more(self) -> None:
        """Draw what a subclass adds to the panes."""

    def _back(self, _: None) -> None:
        """Redraw after another screen was closed, where the cursor may have moved."""
        self.drawing.now()

    def on_resize(self, event: events.Resize) -> None:
        self._narrow = event.size.width < _WIDE
        self._show_current()

    def _show_current(self) -> None:
        if not self._narrow:
            # All panes are visible; changing a class would lay out and redraw the whole screen.
            return
        for name, widget in zip(PANES, (self.examples, self.grid, self.head), strict=True):
            widget.set_class(name == self.pane, "-current")

    # ---- enabled actions

    def is_enabled(self, action: Action) -> bool:
        """Return True if the action is enabled."""
        return not self.disabled_reason(action)

    def disabled_reason(self, action: Action) -> str:
        """Return why the action is disabled; empty if it is enabled."""
        small = getattr(self.app, "depth", "full") == "16"
        return disabled_reason(self.state, action.id, small=small, key=self.state.key)

    # ---- actions, one per id of the tables: moving and changing panes

    def action_move(self, layers: int, heads: int) -> None:
        if self.state.move_cursor(layers, heads):
            self.drawing.cursor_moved()

    def action_next_pane(self, by: int) -> None:
        self.action_show_pane(PANES[(PANES.index(self.pane) + by) % len(PANES)])

    def action_show_pane(self, pane: Pane) -> None:
        self.pane = pane
        self._show_current()
        self.drawing.titles()
        {"examples": self.examples, "grid": self.grid.heatmap, "head": self.head}[pane].focus(scroll_visible=False)

    def action_ranking(self, by: int) -> None:
        if self.state.walk_ranking(by):
            self.drawing.cursor_moved()

    def action_ranking_first(self) -> None:
        view = self.state.view()
        if view is not None and self.state.put_cursor(*(self.state.against() or view).order[0]):
            self.drawing.cursor_moved()

    def action_jump(self) -> None:
        from tui.screens.text_prompt import TextPromptSheet

        places = self.state.places()
        if places is None:
            return

        def jump(text: str | None) -> None:
            if text and self.state.put_cursor(*read_node(text, places)):
                self.drawing.cursor_moved()

        title = "Jump to node" if places.others else "Jump to head"
        hint = node_hint(places) if places.others else "Layer and head, for example 1.3"
        self.app.push_screen(TextPromptSheet(title, hint, judge=lambda text: node_trouble(text, places)), jump)

    def action_jump_labels(self) -> None:
        from tui.screens.jump import JumpScreen, JumpTarget

        targets = [
            JumpTarget(widget.region.x + 1, widget.region.y, partial(self.action_show_pane, name))
            for name, widget in zip(PANES, (self.examples, self.grid, self.head), strict=True)
            if not self._narrow
        ]
        if self._narrow:
            at = dict(self.tabs.spots())
            go = {name: partial(self.action_show_pane, name) for name in PANES}
            targets += [JumpTarget(at[name], self.tabs.region.y, go[name]) for name in PANES if name in at]
        if self.grid.display:
            targets += [JumpTarget(x, y, partial(self._go_to, node)) for node, x, y in self.grid.heatmap.spots()]
        targets += [JumpTarget(x, y, partial(self._inspect, example)) for example, x, y in self.head.code_spots()]
        self.app.push_screen(JumpScreen(screen_strips(self.app), targets))

    def _inspect(self, example: int) -> None:
        """Inspect the node at the cursor on a prompt."""
        self.state.selected = example
        self.drawing.now(frozenset({"examples"}))
        self.app.run_worker(self.app.run_action("close_up", self), exit_on_error=True)

    def _go_to(self, node: NodeId) -> None:
        if self.state.put_cursor(*node):
            self.drawing.cursor_moved()
        self.action_show_pane("grid")

    # ---- changing the view

    def action_measure(self, by: int) -> None:
        self.state.cycle_measure(by)
        self.drawing.view_changed()

    def action_pick_measure(self) -> None:
        from tui.screens.text_prompt import TextPromptSheet

        def pick(text: str | None) -> None:
            if text:
                self.state.pick_measure(guess_measure(text))
                self.drawing.now(frozenset({"grid", "head"}))

        names = ", ".join(measure.title for measure in MEASURES)
        self.app.push_screen(TextPromptSheet("Measure", names, judge=measure_trouble), pick)

    def action_cut(self, by: int) -> None:
        if self.state.move_cut(by):
            self.drawing.view_changed()

    def action_seed(self) -> None:
        self.state.seed_index += 1
        self.drawing.now(frozenset({"head", "examples"}))

    def action_signs(self) -> None:
        self.state.signs = not self.state.signs
        self.drawing.marks_changed()

    # ---- marking

    def mark(self, heads: Iterable[NodeId]) -> None:
        """Mark heads, or unmark them if all are marked."""
        self.state.marks.toggle(heads)
        self.state.cursor_moved = True
        self.drawing.marks_changed()

    def action_mark(self) -> None:
        if self.state.shape() is not None:
            self.mark((self.state.cursor,))

    def action_mark_box(self, layers: int, heads: int) -> None:
        if self.state.shape() is not None:
            if self.state.mark_box(layers, heads):
                self.drawing.cursor_moved()
            self.drawing.marks_changed()

    def action_mark_layer(self) -> None:
        places = self.state.places()
        if places is not None:
            self.mark(places.in_row(places.place(self.state.cursor)[0]))

    def action_mark_circuit(self) -> None:
        view = self.state.view()
        if view is not None:
            self.mark(view.circuit)

    def action_unmark(self) -> None:
        if self.state.marks.clear():
            self.drawing.marks_changed()

    # ---- opening screens with more of the run

    def action_card(self) -> None:
        from tui.screens.card import CardSheet

        run = self.state.shown
        if run is not None and run.picture.card is not None:
            self.app.push_screen(CardSheet(run, run.picture.card, self.state.parts, self.link.ask_or_failure))

    def action_edges(self) -> None:
        from tui.screens.edges import EdgesScreen

        run = self.state.shown
        if run is not None and run.picture.edges:
            self.app.push_screen(EdgesScreen(self.state, self.link), self._back)

    def action_runs(self) -> None:
        from tui.screens.runs import RunsScreen

        if self.state.runs:
            self.app.push_screen(RunsScreen(self.state, self.link, self.grid.heatmap.depth), self._back)

    def action_table(self) -> None:
        from tui.screens.head_table import HeadTableScreen

        if self.state.view() is not None:
            self.app.push_screen(HeadTableScreen(self.state), self._back)

    # ---- events

    @on(HeatMap.Pointed)
    def _point(self, message: HeatMap.Pointed) -> None:
        if self.state.put_cursor(*message.head):
            self.drawing.cursor_moved()

    @on(HeatMap.Boxed)
    def _box(self, message: HeatMap.Boxed) -> None:
        """Mark the box of heads over which the mouse was dragged."""
        if message.begins:
            self.state.marks.begin_box(message.corner)
        places = self.state.places()
        if places is not None:
            self.state.marks.box_to(message.head, begin=message.corner, places=places)
        if self.state.put_cursor(*message.head):
            self.drawing.cursor_moved()
        if message.ends:
            self.state.marks.end_box()
        self.drawing.marks_changed()

    @on(grid_pane.GridScale.CutMoved)
    def _cut_to(self, message: grid_pane.GridScale.CutMoved) -> None:
        view = self.state.view()
        if view is not None and self.state.put_cut(round(message.share * len(view.order))):
            self.drawing.view_changed()

    @on(HeatMap.Marked)
    def _mark_these(self, message: HeatMap.Marked) -> None:
        self.mark(message.heads)

    @on(PaneTabs.Picked)
    def _pick(self, message: PaneTabs.Picked) -> None:
        for name in PANES:
            if name == message.pane:
                self.action_show_pane(name)

    def on_descendant_focus(self) -> None:
        """Switch to the pane that got the focus, for example by a click."""
        for name, widget in zip(PANES, (self.examples, self.grid, self.head), strict=True):
            if self.focused is not None and widget in self.focused.ancestors_with_self and self.pane != name:
                self.pane = name
                self._show_current()
                self.drawing.titles()
