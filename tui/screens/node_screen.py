"""Base of the pages of MLPs and the embedding: loading in the background, and walking the ranking."""

from collections.abc import Callable

from textual.content import Content
from textual.timer import Timer

from engine.errors import Failure
from sessions.protocol import Places, Through
from tui.screens.explanation import ExplanationScreen
from tui.screens.parts_loader import FetchPart, PartsLoader, Wanted
from tui.screens.sub_screen import SubScreen
from tui.state.workbench_state import WorkbenchState
from tui.themes.themes import Depth
from tui.widgets.through_list import ThroughList

_REST_S = 0.12


class NodeScreen(SubScreen):
    """A page of the node at the cursor; `reopen` opens the page of another kind of node."""

    def __init__(
        self,
        state: WorkbenchState,
        depth: Depth,
        fetch: FetchPart,
        want_codes: Callable[[], object] = lambda: None,
        reopen: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(state)
        self._want_codes, self._reopen = want_codes, reopen
        self._depth, self._fetch_part = depth, fetch
        self.loader = PartsLoader(self, state.parts, fetch, self.wanted, self.paint)
        self.through = ThroughList(state, depth, id="through")
        self.through_on = False
        """Show through whom the node acts; measured only then."""
        self._timer: Timer | None = None
        self._kind = state.cursor.kind
        self._left = False

    def on_mount(self) -> None:
        self.state.parts.forget_failures()
        self.want()
        self.paint()

    def wanted(self) -> Wanted:
        """Return what is shown, as requests to the host; through whom the node acts comes last, until it fails."""
        asked = self.through.requests if self.through_on else []
        failed = any(isinstance(self.state.parts.answers.get(request), Failure) for request in asked)
        return [] if failed else [(request, Through) for request in asked]

    def want(self) -> None:
        """Ask for what is shown and not here yet."""
        self._want_codes()
        self.loader.start()

    def want_soon(self) -> None:
        """Fetch when the cursor rests."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_REST_S, self.want)

    def moved(self) -> None:
        """Redraw at once; fetch when the cursor rests."""
        self.want_soon()
        self.paint()

    def leaves(self) -> bool:
        """Open the page of another kind of node if the cursor is on one; return True if this page goes."""
        if self._left or self.state.cursor.kind == self._kind:
            return self._left
        self._left = True
        self.dismiss()
        self.app.call_later(self._reopen)
        return True

    def action_rank(self, by: int) -> None:
        if self.state.walk_ranking(by) and not self.leaves():
            self.moved()

    def action_explain(self) -> None:
        """Explain the code that the node has on the example at hand."""
        self.app.push_screen(ExplanationScreen(self.state, self._depth, self._fetch_part, self.example_shown))

    def action_through(self) -> None:
        """Show through whom the node acts, or what was there before."""
        self.through_on = not self.through_on
        self.set_class(self.through_on, "-through")
        self.want()
        self.paint()

    @property
    def example_shown(self) -> int:
        """Index of the prompt that the page shows."""
        return self.state.selected or 0

    def action_steer(self) -> None:
        """Open what steering the node does to that prompt."""
        from tui.screens.steer import SteerScreen

        if self.state.shown is not None and self.state.examples:
            self.app.push_screen(SteerScreen(self.state, self._depth, self._fetch_part, self.example_shown))

    def paint_through(self) -> None:
        if self.through_on:
            self.through.border_title = Content(f"Through whom {self.state.cursor} acts")
            self.through.paint()

    def step_token(self, token: int | None, by: int, example: int, found: object) -> int | None:
        """Return the token after or before this one on the prompt; None if it was not measured on it."""
        prompts = found.prompts if isinstance(found, Places) else ()
        last = next((len(each.tokens) - 1 for each in prompts if each.example == example), None)
        if last is None:
            return None
        return min(max((last if token is None else token) + by, 0), last)
