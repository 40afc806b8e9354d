"""The one screen: examples, grid, head page, progress; side by side, or as tabs where there is no room."""

import time
from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Size
from textual.reactive import Reactive
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from engine.measures import MEASURES
from engine.preflight import Preflight
from tui import notes
from tui.actions import ACTIONS, Action, actions_of
from tui.link import Link
from tui.model import ALL_PARTS, Bench, Part
from tui.reasons import reason_for
from tui.screens.holding import Holding
from tui.screens.marking import Marking
from tui.screens.sheet import Sheet
from tui.text import clean
from tui.themes import Depth
from tui.widgets import examples, gridpane
from tui.widgets.examples import Examples
from tui.widgets.gridpane import GridPane
from tui.widgets.headpage import HeadPage
from tui.widgets.heatmap import HeatMap
from tui.widgets.ink import INKS, wrapped
from tui.widgets.keyed import Keyed, bindings_of
from tui.widgets.keyline import KeyLine
from tui.widgets.progress import Clock, Progress
from tui.widgets.topline import Tabs, TopLine

Pane = Literal["examples", "grid", "head"]
PANES: tuple[Pane, ...] = get_args(Pane)
_WIDE = 122
"""Columns from which the panes stand side by side."""
_FRAME_S = 0.1
"""The screen is drawn at most ten times a second."""
_PATIENCE_S = 0.3
"""How long a page waits for its codes."""
_REST_S = 0.08
"""How long the cursor must rest before a head's page is drawn and its codes are fetched."""


class Workbench(Keyed, Holding, Marking, Screen[None]):
    """Draws the bench and turns keys into changes of it."""

    # The inks of all widgets: a style of its own for each in every widget would cost a fifth of the start.
    COMPONENT_CLASSES = {f"ink--{name}" for name in INKS}  # noqa: RUF012
    actions = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ACTIONS)
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012  # Textual declares it so
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    AUTO_FOCUS = "#heatmap"
    # As Textual declares it, a change of focus sends the whole screen.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    ALLOW_SELECT = False

    def __init__(self, bench: Bench, link: Link, depth: Depth, *, clock: Clock = time.time, size: Size) -> None:
        # Known from the start, so that the first frame is the right one and is not drawn twice.
        shapes = ((size.width, self.HORIZONTAL_BREAKPOINTS), (size.height, self.VERTICAL_BREAKPOINTS))
        super().__init__(classes=" ".join(max(entry for entry in table if entry[0] <= n)[1] for n, table in shapes))
        self.bench = bench
        self.link = link
        self.pane: Pane = "grid"
        self._dirty: frozenset[Part] = frozenset()
        self._flush_timer: Timer | None = None
        self._rest_timer: Timer | None = None
        self._pulse: Timer | None = None
        self._drawn_at = 0.0
        self._narrow = size.width < _WIDE
        self._shown_titles: dict[Widget, str] = {}
        self._looks_kept = 0
        self._warned: Preflight | None = None
        """A run that will not fit was warned of."""
        self.top = TopLine(bench)
        self.tabs = Tabs(bench)
        self.examples = Examples(bench, id="examples")
        self.grid = GridPane(bench, depth, id="grid")
        self.head = HeadPage(bench, id="head")
        self.progress = Progress(bench, clock=clock, id="progress")
        self.keyline = KeyLine(bench, self.possible, lambda: self.table)

    @property
    def table(self) -> Sequence[Action]:
        """What can be done on this screen, under the keys the person chose."""
        return actions_of(self.app)

    @property
    def at_hand(self) -> Sequence[Action]:
        return self.table

    def compose(self) -> ComposeResult:
        yield self.top
        yield self.tabs
        with Horizontal(id="panes"):
            yield self.examples
            yield self.grid
            yield self.head
        yield self.progress
        yield self.keyline

    def on_mount(self) -> None:
        self._pulse = self.set_interval(0.5, self._beat, pause=True)
        self._titles()
        self._show_current()

    # ---- drawing

    def changed(self, parts: frozenset[Part]) -> None:
        """Parts of the bench are not what is drawn. They will be, within a tenth of a second."""
        self._dirty |= parts
        if self._flush_timer is None and self.is_mounted:
            frame_s = getattr(self.app, "frame_s", _FRAME_S)
            wait = max(0.0, self._drawn_at + frame_s - time.monotonic())
            self._flush_timer = self.set_timer(max(wait, 0.001), self._flush)

    def _flush(self) -> None:
        parts, self._dirty, self._flush_timer = self._dirty, frozenset(), None
        if not self.progress.is_attached:
            return  # the last word comes when the screen is being closed
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
        if isinstance(self.app.screen, Sheet):
            self.app.screen.paint()
        self._say_failure()
        run = self.bench.shown
        if self._pulse is not None:
            (self._pulse.resume if run is not None and (run.active or run.cause) else self._pulse.pause)()
        if {"grid", "head", "examples"} & parts:
            self._want_codes()
        self._keep_look()

    def _keep_look(self) -> None:
        if self.bench.looks_made != self._looks_kept:
            self._looks_kept = self.bench.looks_made
            self.link.keep_look()

    def show_depth(self, depth: Depth) -> None:
        """Draws the grid with so many colours from now on."""
        self.grid.scale.depth = self.grid.heatmap.depth = depth
        self.draw_now()

    def draw_now(self, parts: frozenset[Part] = ALL_PARTS) -> None:
        """What a key changed is drawn at once."""
        self._dirty |= parts
        if self._flush_timer is not None:
            self._flush_timer.stop()
        self._flush()

    def _beat(self) -> None:
        """Twice a second while a run is on: its seconds, and the bar of a stage without end."""
        if getattr(self.app, "motion", True):
            self.progress.paint()

    def _say_failure(self) -> None:
        """A run that failed while this screen was open is said aloud; the strip below keeps the words."""
        ended, self.bench.just_ended = self.bench.just_ended, []
        for run in ended:
            if run.failure is not None and run.state != "stopped":
                words = "\n".join(wrapped(f"{run.failure.message}\n{run.failure.hint}".strip(), 56, 8))
                title = "The run failed" if run is self.bench.shown else f"Run {run.number} failed"
                self.notify(words, title=title, severity="error", timeout=12, markup=False)

    def _titles(self) -> None:
        pairs: tuple[tuple[Widget, str], ...] = (
            (self.examples, f"1 {examples.title_words(self.bench)}"),
            (self.grid, f"2 {gridpane.title_words(self.bench)}"),
            (self.head, "3 Head"),
        )
        for widget, title in pairs:
            # A title may hold a session's name, which is no markup. Setting one draws all of its pane.
            if self._shown_titles.get(widget) != title:
                self._shown_titles[widget] = title
                widget.border_title = Content(title)
        self.tabs.current = self.pane
        self.tabs.paint()

    def on_resize(self, event: events.Resize) -> None:
        self._narrow = event.size.width < _WIDE
        self._show_current()

    def _show_current(self) -> None:
        if not self._narrow:
            # All panes are there; a class that changes would have the whole screen laid out and sent again.
            return
        for name, widget in zip(PANES, (self.examples, self.grid, self.head), strict=True):
            widget.set_class(name == self.pane, "-current")

    def _cursor_moved(self) -> None:
        """The grid follows at once; the head's page when the cursor rests, so that a held key stays cheap."""
        self.grid.paint_cursor()
        self.tabs.paint()
        self._rest(_REST_S)

    def marked_anew(self) -> None:
        """After other marks or signs: the grid at once, the ranking when the keys rest."""
        self.grid.paint_first()
        self.keyline.paint()
        self._rest(_REST_S)

    def _looked(self) -> None:
        """After another measure or cut: the grid at once, ranking and page when the keys rest."""
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
        """With its codes the page is drawn once; without an answer it is drawn all the same."""
        self.grid.paint_rest()
        if self._want_codes():
            self._rest_timer = self.set_timer(_PATIENCE_S, self._draw_page)
        else:
            self._draw_page()

    def _draw_page(self) -> None:
        self.head.paint()
        self.examples.paint()
        self.bench.look_ahead()

    def _want_codes(self) -> bool:
        """Asks for the codes of the head under the cursor; False where they are here or nobody has them."""
        key = self.bench.codes_key()
        if key is None or key in self.bench.codes or self.bench.link not in ("live", "replay"):
            return False
        self.run_worker(self.link.fetch_codes(), group="codes", exclusive=True, exit_on_error=True)
        return True

    # ---- what can be done now

    def possible(self, action: Action) -> bool:
        """Whether an action would do something."""
        bench = self.bench
        run = bench.shown
        if action.id == "run":
            return bench.link in ("live", "failed")
        if action.id == "options":
            return bench.link == "live" and bench.session_id is not None
        if action.id == "progress":
            return run is not None
        if action.id == "stop":
            busy = bench.active is not None or bench.measured is not None
            return bench.link == "live" and (busy or bool(bench.verifying))
        if action.group == "Compare":
            return self.holds(action.id)
        if action.group == "Mark" or action.id == "signs":
            return self.marks_do(action.id)
        if action.id == "card":
            return run is not None and run.picture.card is not None
        if action.id == "cause":
            return bench.link == "live" and run is not None and run.state == "done" and run.cause is None
        if action.id == "seed":
            return run is not None and len(run.config.seeds) > 1
        if action.id == "theme":
            return getattr(self.app, "depth", "full") != "16"
        if action.id == "write":
            return bench.session_id is not None
        if action.id == "replay":
            return bench.link == "live" and bench.last_seq > 0
        if action.id == "edges":
            return run is not None and bool(run.picture.edges)
        if action.id == "sessions" or action.id.startswith("note"):
            return bench.link == "live"
        if action.id.startswith(("cut", "ranking")) or action.id == "copy":
            return run is not None and bool(run.picture.nodes)
        return True

    def why_not(self, action: Action) -> str:
        """Why an action would do nothing now; empty where it would do something."""
        if self.possible(action):
            return ""
        keys = {each.id: each.key for each in actions_of(self.app)}
        small = getattr(self.app, "depth", "full") == "16"
        return reason_for(self.bench, action.id, small=small, key=keys.__getitem__)

    # ---- actions, one for each id of the table

    def action_run(self) -> None:
        """Beside a run that is under way it queues another, with the options as they are now."""
        ahead = self.bench.preflight
        if ahead is not None and ahead.fits is False and ahead is not self._warned and self.bench.link == "live":
            self._warned = ahead
            told = f"It {ahead.memory_words}. r once more runs it all the same; O lowers it."
            words = "\n".join(wrapped(clean(told), 56, 8))
            self.notify(words, title="The run will not fit", severity="warning", timeout=12, markup=False)
        elif self.bench.link == "live":
            self.run_worker(self.link.queue_run(), group="ask", exit_on_error=True)

    def action_options(self) -> None:
        from tui.screens.options import OptionsSheet

        if self.bench.link == "live":
            self.app.push_screen(OptionsSheet(self.bench, self.link), self._back)

    def action_progress(self) -> None:
        from tui.screens.progress import ProgressSheet

        if self.bench.shown is not None:
            self.app.push_screen(ProgressSheet(self.bench, self.link, self.progress.clock), self._back)

    def action_stop(self) -> None:
        self.run_worker(self.link.stop_run(), group="ask", exit_on_error=True)

    def action_replay(self) -> None:
        from tui.screens.replay import Replay

        bench = self.bench
        if bench.session_id is not None and bench.last_seq:
            depth = self.grid.heatmap.depth
            replay = Replay(self.link.connect, depth, session=bench.session_id, size=self.app.size)
            self.app.push_screen(replay, self._back)

    def action_copy(self) -> None:
        from tui.screens.copy import Copy

        if self.bench.view() is not None:
            self.app.push_screen(Copy(self.bench))

    def action_card(self) -> None:
        from tui.screens.card import CardSheet

        run = self.bench.shown
        if run is not None and run.picture.card is not None:
            self.app.push_screen(CardSheet(run.picture, run.picture.card))

    def action_cause(self) -> None:
        run = self.bench.shown
        if self.bench.link == "live" and run is not None and run.state == "done" and run.cause is None:
            self.bench.await_cause()
            self.run_worker(self.link.ask_cause(), group="ask", exit_on_error=True)

    def action_measure(self, by: int) -> None:
        self.bench.cycle_measure(by)
        self._looked()

    def action_cut(self, by: int) -> None:
        if self.bench.move_cut(by):
            self._looked()

    def action_seed(self) -> None:
        self.bench.seed_index += 1
        self.draw_now(frozenset({"head", "examples"}))

    def action_write(self) -> None:
        from tui.screens.write import Write

        if self.bench.session_id is not None:
            self.app.push_screen(Write(self.bench, self.link), self._back)

    def action_close_up(self) -> None:
        from tui.screens.closeup import CloseUp

        if self.bench.view() is not None and self.bench.examples:
            depth = self.grid.heatmap.depth
            self.bench.cursor_moved = True  # this head was chosen: provisional scores do not move the cursor any more
            self.app.push_screen(CloseUp(self.bench, depth, self.link.look_at_head, self._want_codes), self._back)

    def action_edges(self) -> None:
        from tui.screens.edges import Edges

        run = self.bench.shown
        if run is not None and run.picture.edges:
            self.app.push_screen(Edges(self.bench), self._back)

    def action_runs(self) -> None:
        from tui.screens.runs import Runs

        if self.bench.runs:
            self.app.push_screen(Runs(self.bench, self.grid.heatmap.depth), self._back)

    def action_table(self) -> None:
        from tui.screens.table import Table

        if self.bench.view() is not None:
            self.app.push_screen(Table(self.bench), self._back)

    def action_jump(self) -> None:
        from tui.screens.ask import Ask
        from tui.typed import head_trouble

        shape = self.bench.shape()
        if shape is not None:
            ask = Ask("Jump to head", "Layer and head, for example 1.3", judge=lambda text: head_trouble(text, shape))
            self.app.push_screen(ask, self._jumped)

    def _jumped(self, text: str | None) -> None:
        from tui.typed import read_head

        shape = self.bench.shape()
        if text and shape is not None and self.bench.put_cursor(*read_head(text, shape)):
            self._cursor_moved()

    def action_pick_measure(self) -> None:
        from tui.screens.ask import Ask
        from tui.typed import measure_trouble

        names = ", ".join(measure.title for measure in MEASURES)
        self.app.push_screen(Ask("Measure", names, judge=measure_trouble), self._measure_picked)

    def _measure_picked(self, text: str | None) -> None:
        from tui.typed import guess_measure

        if text:
            self.bench.pick_measure(guess_measure(text))
            self.draw_now(frozenset({"grid", "head"}))

    def action_sessions(self) -> None:
        from tui.screens.sessions import SessionsSheet

        if self.bench.link == "live":
            self.app.push_screen(SessionsSheet(self.bench, self.link), self._back)

    def action_note(self, wanted: notes.Place) -> None:
        from tui.screens.ask import Ask

        if self.bench.link != "live":
            return
        place = notes.place_at_hand(self.bench, wanted)
        # A note of several lines, from the command line, is left as it is: this one stands beside it.
        old = next((note for note in notes.notes_at(self.bench, place) if "\n" not in note.text), None)
        write = self.link.note_writer(place, old)
        ask = Ask(
            f"Note on {notes.place_words(self.bench, place)}",
            "An empty line removes it." if old is not None else "It is kept at once and searched with S /.",
            text=clean(old.text) if old is not None else "",
        )

        def answered(text: str | None) -> None:
            if text is not None:
                self.run_worker(write(text.strip()), group="ask", exit_on_error=True)

        self.app.push_screen(ask, answered)

    def _back(self, _: None) -> None:
        """From a sheet, where the cursor may have been moved."""
        self.draw_now()

    def action_ranking(self, by: int) -> None:
        if self.bench.walk_ranking(by):
            self._cursor_moved()

    def action_move(self, layers: int, heads: int) -> None:
        if self.bench.move_cursor(layers, heads):
            self._cursor_moved()

    def action_next_pane(self, by: int) -> None:
        self.action_show_pane(PANES[(PANES.index(self.pane) + by) % len(PANES)])

    def action_show_pane(self, pane: Pane) -> None:
        self.pane = pane
        self._show_current()
        self._titles()
        {"examples": self.examples, "grid": self.grid.heatmap, "head": self.head}[pane].focus(scroll_visible=False)

    # ---- happenings

    @on(HeatMap.Pointed)
    def _point(self, message: HeatMap.Pointed) -> None:
        if self.bench.put_cursor(*message.head):
            self._cursor_moved()

    @on(HeatMap.Boxed)
    def _box(self, message: HeatMap.Boxed) -> None:
        """The mouse was dragged from one head to another."""
        if message.begins:
            self.bench.marks.begin_box(message.corner)
        self.bench.marks.box_to(message.head, begin=message.corner)
        if self.bench.put_cursor(*message.head):
            self._cursor_moved()
        if message.ends:
            self.bench.marks.end_box()
        self.marked_anew()

    @on(gridpane.Scale.CutMoved)
    def _cut_to(self, message: gridpane.Scale.CutMoved) -> None:
        view = self.bench.view()
        if view is not None and self.bench.put_cut(round(message.share * len(view.order))):
            self._looked()

    @on(HeatMap.Marked)
    def _mark_these(self, message: HeatMap.Marked) -> None:
        self.mark(message.heads)

    @on(Tabs.Picked)
    def _pick(self, message: Tabs.Picked) -> None:
        for name in PANES:
            if name == message.pane:
                self.action_show_pane(name)

    def on_descendant_focus(self) -> None:
        """A click puts the focus too: the pane follows it."""
        for name, widget in zip(PANES, (self.examples, self.grid, self.head), strict=True):
            if self.focused is not None and widget in self.focused.ancestors_with_self and self.pane != name:
                self.pane = name
                self._show_current()
                self._titles()
