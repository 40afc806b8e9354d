"""The page of the embedding: what it is, what can be measured of it, and where in the prompt it matters."""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from tui.actions import screen_actions
from tui.screens.node_screen import NodeScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.screens.sub_screen import SubScreenKeys
from tui.state.workbench_state import WorkbenchState
from tui.themes.themes import Depth
from tui.widgets.head_page import HeadPage
from tui.widgets.line_widget import LineWidget
from tui.widgets.places_strip import PlacesStrip
from tui.widgets.styled_line import wrap

ACTIONS = screen_actions(
    "Embedding page",
    ("close", "", "escape,enter,q", "Back", "Back to the workbench", "back"),
    ("step.next", "1", "right_square_bracket", "Next prompt", "Its effects on the next prompt", "prompt"),
    ("step.previous", "-1", "left_square_bracket", "Previous prompt", "Its effects on the prompt before", ""),
    ("walk.right", "1", "right,l", "Next token", "Effect of the next token", "token"),
    ("walk.left", "-1", "left,h", "Previous token", "Effect of the previous token", ""),
    (
        "through",
        "",
        "t",
        "Through whom",
        "What it does through each later node, measured exactly; again: back",
        "through",
    ),
    ("explain", "", "x", "Explain its code", "Shortest prompts that keep it, and how well they predict it", "explain"),
    (
        "rank.previous",
        "-1",
        "N,shift+n",
        "Previous node of the ranking",
        "The embedding is last; the one before",
        "node",
    ),
)
_ABOUT = (
    "The embedding writes each token, and in some models its position, into the stream before layer 0. It has no "
    "attention and no neurons, and it is in every circuit, unlisted: every path begins here. Replacing all of it is "
    "replacing the prompt, so its effect on the answer is the whole difference between the sides. What can be measured "
    "is which token carries that difference: replaced at one token alone, below; and where that information goes from "
    "there, layer by layer: {stream_grid} on the workbench."
)


class AboutEmbedding(LineWidget):
    """What the embedding is."""

    def lines(self, size: Size, /) -> list[Strip]:
        words = _ABOUT.format(stream_grid=self.state.key("stream_grid"))
        return [self.line().add(f" {row}", "text").strip() for row in wrap(words, size.width - 2, size.height)]


class EmbeddingScreen(NodeScreen):
    """The screen: explanation, effects token by token, and the measures of the node."""

    CSS_PATH = "embedding_page.tcss"
    actions = ACTIONS

    def __init__(
        self,
        state: WorkbenchState,
        depth: Depth,
        fetch: FetchPart,
        want_codes: Callable[[], object] = lambda: None,
        reopen: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(state, depth, fetch, want_codes, reopen)
        self.example = state.selected or 0
        self.token: int | None = None
        self.about = AboutEmbedding(state, id="about")
        self.places = PlacesStrip(state, depth, lambda: self.example, lambda: self.token, id="places")
        self.page = HeadPage(state, id="page")

    def compose(self) -> ComposeResult:
        yield self.about
        yield self.places
        yield self.through
        yield self.page
        yield SubScreenKeys(self.state, ACTIONS)

    def paint(self) -> None:
        if self.leaves():
            return
        self.about.border_title = "Embedding"
        self.places.border_title = Content(f"The embedding replaced at one token alone, prompt {self.example + 1}")
        for part in (self.about, self.places, self.page):
            part.paint()
        self.paint_through()

    def wanted(self) -> Wanted:
        return [*self.places.wanted, *super().wanted()]

    @property
    def example_shown(self) -> int:
        return self.example

    def action_step(self, by: int) -> None:
        self.example = min(max(self.example + by, 0), max(len(self.state.examples) - 1, 0))
        self.token = None
        self.moved()

    def action_walk(self, by: int) -> None:
        self.token = self.step_token(self.token, by, self.example, self.places.found)
        self.paint()
