"""A sheet at the bottom that asks for one line of text and checks it while it is typed."""

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui.actions import screen_actions
from tui.terminal.sanitize import clean
from tui.widgets.action_keys import ActionKeys

Judge = Callable[[str], str]
"""Returns an error message for the text; empty if it is valid."""


ACTIONS = screen_actions("Question", ("back", "", "escape", "Back", "Back without a change", "back"))


class TextPromptSheet(ModalScreen[str | None], ActionKeys):
    """The sheet; returns the text, or None if the user went back."""

    CSS_PATH = "text_prompt.tcss"
    actions = ACTIONS

    def __init__(self, title: str, hint: str, *, text: str = "", judge: Judge = lambda _: "") -> None:
        super().__init__()
        self._title, self._hint, self._text, self._judge = title, hint, text, judge

    def compose(self) -> ComposeResult:
        with Vertical(id="ask") as box:
            box.border_title = Content(clean(self._title))
            yield Input(self._text, id="line", select_on_focus=False)
            yield Static(Content(clean(self._hint)), id="words")

    @on(Input.Changed)
    def _judge_it(self, event: Input.Changed) -> None:
        wrong = self._judge(event.value) if event.value else ""
        words = self.query_one("#words", Static)
        words.update(Content(clean(wrong or self._hint)))
        words.set_class(bool(wrong), "-wrong")

    @on(Input.Submitted)
    def _answer(self, event: Input.Submitted) -> None:
        if not self._judge(event.value):
            self.dismiss(event.value)

    def action_back(self) -> None:
        self.dismiss(None)
