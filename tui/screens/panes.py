"""The panes (examples, grid, head page, progress): side by side, or as tabs on small terminals."""

import time
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal, get_args

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.geometry import Size
from textual.reactive import Reactive
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from tui.actions import ACTIONS, Action, workbench_actions
from tui.actions.key_labels import key_label_in
from tui.connection.session_link import SessionLink
from tui.screens.marking_actions import MarkingActions
from tui.screens.sub_screen import SubScreen
from tui.screens.view_actions import ViewActions
from tui.state.disabled_reasons import disabled_reason
from tui.state.workbench_state import ALL_PARTS, Part, WorkbenchState
from tui.themes.themes import Depth
from tui.widgets import example_list, grid_pane
from tui.widgets.action_keys import ActionKeys, make_bindings
from tui.widgets.example_list import ExampleList
from tui.widgets.grid_pane import GridPane
from tui.widgets.head_page import HeadPage
from tui.widgets.heat_map import HeatMap
from tui.widgets.key_line import KeyLine
from tui.widgets.latest_worker import run_latest
from tui.widgets.progress_strip import Clock, ProgressStrip
from tui.widgets.styled_line import INKS, wrap
from tui.widgets.titled_pane import TitledPane
from tui.widgets.top_line import PaneTabs, TopLine

Pane = Literal["examples", "grid", "head"]
PANES: tuple[Pane, ...] = get_args(Pane)
_WIDE = 122
"""Minimum columns for panes side by side."""
_FRAME_S = 0.1
"""Minimum seconds between two redraws."""
_PATIENCE_S = 0.3
"""Seconds that the head page waits for its codes."""
_REST_S = 0.08
"""Seconds the cursor must rest before the head page is drawn and its codes are fetched."""


class PanesScreen(ViewActions, MarkingActions, Screen[None], ActionKeys):
    """Shows a workbench state, live or recorded; base of WorkbenchScreen and ReplayScreen."""

    # The inks of all widgets: declaring them per widget would add a fifth to the start time.
    COMPONENT_CLASSES = {f"ink--{name}" for name in INKS}  # noqa: RUF012
    actions = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = make_bindings(ACTIONS)
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
        self._dirty: frozenset[Part] = frozenset()
        self._flush_timer: Timer | None = None
        self._rest_timer: Timer | None = None
        self._pulse: Timer | None = None
        self._drawn_at = 0.0
        self._narrow = size.width < _WIDE
        self._shown_titles: dict[TitledPane, str] = {}
        self._looks_kept = 0
        self.top = TopLine(state)
        self.tabs = PaneTabs(state)
        self.examples = ExampleList(state, id="examples")
        self.grid = GridPane(state, depth, id="grid")
        self.head = HeadPage(state, id="head")
        self.progress = ProgressStrip(state, clock=clock, id="progress")
        self.keyline = KeyLine(state, self.is_enabled, lambda: self.table)

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
        self._pulse = self.set_interval(0.5, self._beat, pause=True)
        self._titles()
        self._show_current()

    # ---- drawing

    def changed(self, parts: frozenset[Part]) -> None:
        """Schedule a redraw of the changed parts within a tenth of a second."""
        self._dirty |= parts
        if self._flush_timer is None and self.is_mounted:
            frame_s = getattr(self.app, "frame_s", _FRAME_S)
            wait = max(0.0, self._drawn_at + frame_s - time.monotonic())
            self._flush_timer = self.set_timer(max(wait, 0.001), self._draw_changes)

    def _draw_changes(self) -> None:
        parts, self._dirty, self._flush_timer = self._dirty, frozenset(), None
        if not self.progress.is_attached:
            return  # the timer may fire while the screen is being closed
        self._drawn_at = time.monotonic()
        if "header" in parts:
            self.top.paint()
        if "grid" in parts:
            self.grid.paint()
        if "examples" in parts:
            self.examples.paint()
        if "head" in parts:
            self.head.paint()
            if self._rest_timer is not None:
                self._rest_timer.stop()
        self.progress.paint()
        self.keyline.paint()
        self._titles()
        if isinstance(self.app.screen, SubScreen):
            self.app.screen.paint()
        self._say_failure()
        run = self.state.shown
        if self._pulse is not None:
            (self._pulse.resume if run is not None and (run.active or run.cause) else self._pulse.pause)()
        if {"grid", "head", "examples"} & parts:
            self._want_codes()
        self._keep_look()

    def _keep_look(self) -> None:
        if self.state.n_looks_made != self._looks_kept:
            self._looks_kept = self.state.n_looks_made
            self.link.record_view()

    def show_depth(self, depth: Depth) -> None:
        """Change the colour depth and redraw."""
        self.grid.scale.depth = self.grid.heatmap.depth = depth
        self.draw_now()

    def draw_now(self, parts: frozenset[Part] = ALL_PARTS) -> None:
        """Redraw the changed parts at once."""
        self._dirty |= parts
        if self._flush_timer is not None:
            self._flush_timer.stop()
        self._draw_changes()

    def _back(self, _: None) -> None:
        """Redraw after another screen was closed, where the cursor may have moved."""
        self.draw_now()

    def _beat(self) -> None:
        """Update elapsed seconds and the indeterminate bar, twice a second during a run."""
        if getattr(self.app, "motion", True):
            self.progress.paint()

    def _say_failure(self) -> None:
        """Show a notice for each run that failed since the last redraw; the strip below keeps the message."""
        ended, self.state.just_ended = self.state.just_ended, []
        for run in ended:
            if run.failure is not None and run.state != "stopped":
                words = "\n".join(wrap(f"{run.failure.message}\n{run.failure.hint}".strip(), 56, 8))
                title = "The run failed" if run is self.state.shown else f"Run {run.number} failed"
                self.notify(words, title=title, severity="error", timeout=12, markup=False)

    def _titles(self) -> None:
        panes: tuple[tuple[Pane, TitledPane, str], ...] = (
            ("examples", self.examples, example_list.format_title(self.state, self.examples.distinct())),
            ("grid", self.grid, grid_pane.format_title(self.state)),
            ("head", self.head, "Head"),
        )
        for name, widget, text in panes:
            title = f"{self.state.key(f'show_pane.{name}')} {text}"
            if self._shown_titles.get(widget) != title:
                self._shown_titles[widget] = title
                widget.put_title(title)
        self.tabs.current = self.pane
        self.tabs.paint()

    def on_resize(self, event: events.Resize) -> None:
        self._narrow = event.size.width < _WIDE
        self._show_current()

    def _show_current(self) -> None:
        if not self._narrow:
            # All panes are visible; changing a class would lay out and redraw the whole screen.
            return
        for name, widget in zip(PANES, (self.examples, self.grid, self.head), strict=True):
            widget.set_class(name == self.pane, "-current")

    def _cursor_moved(self) -> None:
        """Draw the grid at once, and the head page when the cursor rests, so that a held key stays cheap."""
        self.grid.paint_cursor()
        self.tabs.paint()
        self._rest(_REST_S)

    def marks_changed(self) -> None:
        """Redraw after marks or symbols changed: the grid at once, the ranking when the keys rest."""
        self.grid.paint_first()
        self.keyline.paint()
        self._rest(_REST_S)

    def _looked(self) -> None:
        """Redraw after the measure or cut changed: the grid at once, ranking and page when the keys rest."""
        self.grid.paint_first()
        self._titles()
        self.keyline.paint()
        self._keep_look()
        self._rest(_REST_S)

    def _rest(self, after: float) -> None:
        if self._rest_timer is not None:
            self._rest_timer.stop()
        self._rest_timer = self.set_timer(after, self._rested)

    def _rested(self) -> None:
        """Draw the ranking, and the head page when its codes arrive or after a timeout."""
        self.grid.paint_rest()
        if self._want_codes():
            self._rest_timer = self.set_timer(_PATIENCE_S, self._draw_page)
        else:
            self._draw_page()

    def _draw_page(self) -> None:
        self.head.paint()
        self.examples.paint()
        ahead = self.state.look_ahead()
        if ahead is not None:
            self.grid.heatmap.make_ready(ahead)

    def _want_codes(self) -> bool:
        """Fetch the codes of the head at the cursor; return False if they are cached or unavailable."""
        key = self.state.codes_key()
        if key is None or key in self.state.codes or self.state.link not in ("live", "replay"):
            return False
        # Pass a function: a coroutine cancelled before it starts would warn that it was never awaited.
        run_latest(self, "codes", self.link.fetch_codes)
        return True

    # ---- enabled actions

    def is_enabled(self, action: Action) -> bool:
        """Return True if the action is enabled."""
        return not self.disabled_reason(action)

    def disabled_reason(self, action: Action) -> str:
        """Return why the action is disabled; empty if it is enabled."""
        small = getattr(self.app, "depth", "full") == "16"
        return disabled_reason(self.state, action.id, small=small, key=self.state.key)

    # ---- moving and changing panes

    def action_move(self, layers: int, heads: int) -> None:
        if self.state.move_cursor(layers, heads):
            self._cursor_moved()

    def action_next_pane(self, by: int) -> None:
        self.action_show_pane(PANES[(PANES.index(self.pane) + by) % len(PANES)])

    def action_show_pane(self, pane: Pane) -> None:
        self.pane = pane
        self._show_current()
        self._titles()
        {"examples": self.examples, "grid": self.grid.heatmap, "head": self.head}[pane].focus(scroll_visible=False)

    # ---- events

    @on(HeatMap.Pointed)
    def _point(self, message: HeatMap.Pointed) -> None:
        if self.state.put_cursor(*message.head):
            self._cursor_moved()

    @on(HeatMap.Boxed)
    def _box(self, message: HeatMap.Boxed) -> None:
        """Mark the box of heads over which the mouse was dragged."""
        if message.begins:
            self.state.marks.begin_box(message.corner)
        self.state.marks.box_to(message.head, begin=message.corner)
        if self.state.put_cursor(*message.head):
            self._cursor_moved()
        if message.ends:
            self.state.marks.end_box()
        self.marks_changed()

    @on(grid_pane.GridScale.CutMoved)
    def _cut_to(self, message: grid_pane.GridScale.CutMoved) -> None:
        view = self.state.view()
        if view is not None and self.state.put_cut(round(message.share * len(view.order))):
            self._looked()

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
                self._titles()
