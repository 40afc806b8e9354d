"""Something only the person can mend, whole and in words, with the way out."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.errors import Failure
from tui.text import clean


class Trouble(ModalScreen[bool]):
    """Answers True to try again, False to leave."""

    CSS_PATH = "trouble.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r,enter", "answer(True)", "Try again", show=False),
        Binding("q,ctrl+q,escape", "answer(False)", "Leave", show=False),
    ]

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="notice") as notice:
            notice.border_title = "The workbench cannot start"
            notice.border_subtitle = "r tries again · q leaves"
            yield Static(
                Content.assemble(
                    (clean(self.failure.message, lines=True), "$ink-strong"),
                    (f"\n\n{clean(self.failure.hint, lines=True)}" if self.failure.hint else "", "$ink-second"),
                ),
                id="text",
            )

    def action_answer(self, again: bool) -> None:
        self.dismiss(again)
