"""The atlas: what every head and MLP of the run's model does on ordinary text, beside what it does on the prompts."""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from engine.analysis.head_kinds import KINDS
from engine.nodes import NodeId
from tui.actions import screen_actions
from tui.screens.parts_loader import FetchPart, PartsLoader, Wanted
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.text_prompt import TextPromptSheet
from tui.state.atlas import AtlasState, read_search
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.themes import Depth
from tui.widgets.atlas_list import AtlasList
from tui.widgets.atlas_page import AtlasPage
from tui.widgets.line_widget import LinePicked

ACTIONS = screen_actions(
    "Atlas",
    ("close", "", "escape,F,shift+f,q", "Back", "Back to where you came from", "back"),
    ("read", "", "r", "Read ordinary text", "Read ordinary text with the model, or go on with it", "read"),
    ("stop", "", "x", "Stop reading", "Stop; what is read is kept, and can be gone on with", "stop"),
    ("step.down", "1", "down,j", "Next node", "One line down", "node"),
    ("step.up", "-1", "up,k", "Previous node", "One line up", ""),
    ("step.page_down", "20", "pagedown", "Twenty lines down", "Twenty lines down", ""),
    ("step.page_up", "-20", "pageup", "Twenty lines up", "Twenty lines up", ""),
    ("sort.right", "1", "right,l", "Sort by the next metric", "Sort by the metric to the right", "sort"),
    ("sort.left", "-1", "left,h", "Sort by the previous metric", "Sort by the metric to the left", ""),
    ("turn", "", "t", "Reverse the order", "Smallest first, or largest first again", ""),
    ("search", "", "slash", "Search", "Who writes tokens, attends to tokens or to a place; heads of a kind", "search"),
    ("place", "", "p", "Who attends to the token", "Heads by attention from the end to the token that was chosen", ""),
    ("scroll.down", "6", "right_square_bracket", "Scroll the page down", "Further contexts of the node", "page"),
    ("scroll.up", "-6", "left_square_bracket", "Scroll the page up", "Earlier contexts of the node", ""),
    ("mark", "", "space", "Mark the node", "Effects, keep and copy use the marked nodes", "mark"),
    ("show", "", "enter", "Go to this node", "Show the node on the workbench", "go to it"),
)


class AtlasScreen(SubScreen):
    """The list left, the page of the node at the cursor right; below each other on small terminals."""

    CSS_PATH = "atlas.tcss"
    actions = ACTIONS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (130, "-wide")]  # noqa: RUF012  # Textual declares it so

    def __init__(
        self,
        state: WorkbenchState,
        _depth: Depth,
        fetch: FetchPart,
        want_codes: Callable[[], object] = lambda: None,
        place: int | None = None,
    ) -> None:
        """`place`: the token that was chosen, counted from the end of the prompts."""
        super().__init__(state)
        self._want_codes = want_codes
        self.atlas = AtlasState(state)
        self.atlas.place = place
        self.listing = AtlasList(self.atlas, id="atlas-list")
        self.page = AtlasPage(self.atlas, id="atlas-page")
        self.loader = PartsLoader(self, state.parts, fetch, self.wanted, self.paint)

    def compose(self) -> ComposeResult:
        with Container(id="atlas"):
            yield self.listing
            yield self.page
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.state.parts.forget_failures()
        self.loader.start()
        self.paint()

    def on_resize(self) -> None:
        self.call_after_refresh(self.paint)

    def wanted(self) -> Wanted:
        return self.atlas.wanted

    def paint(self) -> None:
        nodes = self.atlas.listed()
        search = self.atlas.search
        words = f"Atlas · {len(nodes)} nodes" + (f" · {search}" if search is not None else "")
        if self.state.marked:
            words += f" · {len(self.state.marked)} marked"
        self.listing.border_title = Content(clean(words))
        self.page.border_title = Content(f"{self.state.cursor} on ordinary text")
        self.listing.paint()
        self.page.paint()

    def action_read(self) -> None:
        if not self.atlas.reading:
            self.atlas.begin()
            self.loader.start()
            self.paint()

    def action_stop(self) -> None:
        self.atlas.stop()
        self.paint()

    def action_step(self, by: int) -> None:
        nodes = self.atlas.listed()
        if nodes:
            here = nodes.index(self.state.cursor) + by if self.state.cursor in nodes else 0
            self._choose(min(max(here, 0), len(nodes) - 1))

    def _choose(self, place: int) -> None:
        self.go_to(self.atlas.listed()[place])

    def go_to(self, node: NodeId) -> None:
        """Show the page of a node."""
        if self.state.put_cursor(*node):
            self._want_codes()
        self.page.first = 0
        self.paint()

    def action_sort(self, by: int) -> None:
        self.atlas.step_column(by)
        self.paint()

    def action_turn(self) -> None:
        self.atlas.turned = not self.atlas.turned
        self.paint()

    def action_scroll(self, by: int) -> None:
        self.page.first += by
        self.page.paint()

    def action_mark(self) -> None:
        self.state.marks.toggle([self.state.cursor])
        self.paint()

    def action_show(self) -> None:
        self.dismiss()

    def action_place(self) -> None:
        """List heads by attention to the token that was chosen, or ask for one."""
        if self.atlas.place is None:
            self.action_search("at -")
            return
        self._searched(f"at -{self.atlas.place + 1}")

    def action_search(self, text: str = "") -> None:
        kinds = ", ".join(kind.name for kind in KINDS)
        hint = (
            "writes are, was · attends Mary · at -4 (the token four from the prompts' end) · "
            f"kind {kinds} · empty: all. ' are' in quotation marks is that token exactly."
        )

        def judge(text: str) -> str:
            wrong = text.strip() and read_search(text) is None
            return "writes TOKENS, attends TOKENS, at -N or kind NAME" if wrong else ""

        now = text or ("" if self.atlas.search is None else str(self.atlas.search))
        self.app.push_screen(TextPromptSheet("Search the atlas", hint, text=now, judge=judge), self._searched)

    def _searched(self, text: str | None) -> None:
        if text is None:
            return
        self.atlas.search = read_search(text)
        nodes = self.atlas.listed()
        if self.atlas.search is not None and nodes:
            self._choose(0)
        self.paint()

    def on_line_picked(self, message: LinePicked) -> None:
        self._choose(message.place)
