"""When the panes are drawn: events of the log in the next frame, keys at once, slow parts when the keys rest."""

import time
from typing import TYPE_CHECKING

from textual.timer import Timer

from tui.screens.sub_screen import SubScreen
from tui.state.workbench_state import ALL_PARTS, Part
from tui.widgets import example_list, grid_pane
from tui.widgets.latest_worker import run_latest
from tui.widgets.styled_line import wrap
from tui.widgets.titled_pane import TitledPane

if TYPE_CHECKING:
    from tui.screens.panes import PanesScreen

_FRAME_S = 0.1
"""Minimum seconds between two redraws."""
_PATIENCE_S = 0.3
"""Seconds that the head page waits for its codes."""
_REST_S = 0.08
"""Seconds the cursor must rest before the head page is drawn and its codes are fetched."""


class PaneDrawing:
    """Draws the widgets of a pane screen from its state."""

    def __init__(self, screen: "PanesScreen") -> None:
        self.screen, self.state = screen, screen.state
        self.dirty: frozenset[Part] = frozenset()
        """Parts that changed and are not drawn yet."""
        self.closed = False
        """True once the screen is closed: nothing is drawn any more."""
        self._flush_timer: Timer | None = None
        self._rest_timer: Timer | None = None
        self._pulse: Timer | None = None
        self._drawn_at = 0.0
        self._shown_titles: dict[TitledPane, str] = {}
        self._looks_kept = 0

    def start(self) -> None:
        """Show the titles of a screen that was just opened, and prepare the pulse of a run."""
        self._pulse = self.screen.set_interval(0.5, self._beat, pause=True)
        self.titles()

    def soon(self, parts: frozenset[Part]) -> None:
        """Schedule a redraw of the changed parts within a tenth of a second."""
        if self.closed:
            return
        self.dirty |= parts
        if self._flush_timer is None and self.screen.is_mounted:
            frame_s = getattr(self.screen.app, "frame_s", _FRAME_S)
            wait = max(0.0, self._drawn_at + frame_s - time.monotonic())
            self._flush_timer = self.screen.set_timer(max(wait, 0.001), self._draw_changes)

    def now(self, parts: frozenset[Part] = ALL_PARTS) -> None:
        """Redraw the changed parts at once."""
        self.dirty |= parts
        if self._flush_timer is not None:
            self._flush_timer.stop()
        self._draw_changes()

    def cursor_moved(self) -> None:
        """Draw the grid at once, and the head page when the cursor rests, so that a held key stays cheap."""
        self.screen.grid.paint_cursor()
        self.screen.tabs.paint()
        self._rest(_REST_S)

    def marks_changed(self) -> None:
        """Redraw after marks or symbols changed: the grid at once, the ranking when the keys rest."""
        self.screen.grid.paint_first()
        self.screen.keyline.paint()
        self._rest(_REST_S)

    def view_changed(self) -> None:
        """Redraw after the measure or cut changed: the grid at once, ranking and page when the keys rest."""
        self.screen.grid.paint_first()
        self.titles()
        self.screen.keyline.paint()
        self._record_view()
        self._rest(_REST_S)

    def titles(self) -> None:
        """Draw the titles of the panes, or their tabs."""
        screen, places = self.screen, self.state.places()
        panes: tuple[tuple[str, TitledPane, str], ...] = (
            ("examples", screen.examples, example_list.format_title(self.state, screen.examples.distinct())),
            ("grid", screen.grid, grid_pane.format_title(self.state)),
            ("head", screen.head, "Node" if places is not None and places.others else "Head"),
        )
        for name, widget, text in panes:
            title = f"{self.state.key(f'show_pane.{name}')} {text}"
            if self._shown_titles.get(widget) != title:
                self._shown_titles[widget] = title
                widget.put_title(title)
        screen.tabs.current = screen.pane
        screen.tabs.paint()

    def want_codes(self) -> bool:
        """Fetch the codes of the head at the cursor; return False if they are cached or unavailable."""
        key = self.state.codes_key()
        if key is None or key in self.state.codes or self.state.link not in ("live", "replay"):
            return False
        # Pass a function: a coroutine cancelled before it starts would warn that it was never awaited.
        run_latest(self.screen, "codes", self.screen.link.fetch_codes)
        return True

    # ---- inside

    def _draw_changes(self) -> None:
        screen = self.screen
        parts, self.dirty, self._flush_timer = self.dirty, frozenset(), None
        if self.closed or not screen.progress.is_attached:
            return  # the timer may fire while the screen is being closed
        self._drawn_at = time.monotonic()
        if "header" in parts:
            screen.top.paint()
        if "grid" in parts:
            screen.grid.paint()
        if "examples" in parts:
            screen.examples.paint()
        if "head" in parts:
            screen.head.paint()
            if self._rest_timer is not None:
                self._rest_timer.stop()
        screen.progress.paint()
        screen.keyline.paint()
        self.titles()
        if isinstance(screen.app.screen, SubScreen):
            screen.app.screen.paint()
        self._report_failures()
        run = self.state.shown
        if self._pulse is not None:
            (self._pulse.resume if run is not None and (run.active or run.cause) else self._pulse.pause)()
        if {"grid", "head", "examples"} & parts:
            self.want_codes()
        self._record_view()
        screen.paint_more()

    def _record_view(self) -> None:
        if self.state.n_looks_made != self._looks_kept:
            self._looks_kept = self.state.n_looks_made
            self.screen.link.record_view()

    def _beat(self) -> None:
        """Update elapsed seconds and the indeterminate bar, twice a second during a run."""
        if getattr(self.screen.app, "motion", True):
            self.screen.progress.paint()

    def _report_failures(self) -> None:
        """Show a notice for each run that failed since the last redraw; the strip below keeps the message."""
        ended, self.state.just_ended = self.state.just_ended, []
        for run in ended:
            if run.failure is not None and run.state != "stopped":
                words = "\n".join(wrap(f"{run.failure.message}\n{run.failure.hint}".strip(), 56, 8))
                title = "The run failed" if run is self.state.shown else f"Run {run.number} failed"
                self.screen.notify(words, title=title, severity="error", timeout=12, markup=False)

    def _rest(self, after: float) -> None:
        if self._rest_timer is not None:
            self._rest_timer.stop()
        self._rest_timer = self.screen.set_timer(after, self.rested)

    def rested(self) -> None:
        """Draw the ranking, and the head page when its codes arrive or after a timeout."""
        self.screen.grid.paint_rest()
        if self.want_codes():
            self._rest_timer = self.screen.set_timer(_PATIENCE_S, self._draw_page)
        else:
            self._draw_page()

    def _draw_page(self) -> None:
        self.screen.head.paint()
        self.screen.examples.paint()
        ahead = self.state.next_view()
        if ahead is not None:
            self.screen.grid.heatmap.make_ready(ahead)
