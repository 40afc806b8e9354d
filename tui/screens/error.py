"""The sheet of an error that only the user can fix, with its hint."""

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.errors import Failure
from tui.actions import screen_actions
from tui.actions.key_labels import key_label_in
from tui.terminal.sanitize import clean
from tui.widgets.action_keys import ActionKeys
from tui.widgets.sheet_scroll import SheetScroll

ACTIONS = screen_actions(
    "Trouble",
    ("answer.again", "True", "r,enter", "Try again", "Try to reach the host again", "try again"),
    ("answer.leave", "False", "q,ctrl+q,escape", "Leave", "Quit the program", "leave"),
)


class ErrorSheet(ModalScreen[bool], ActionKeys):
    """The sheet; returns True to try again, False to quit."""

    CSS_PATH = "error.tcss"
    actions = ACTIONS

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure

    def compose(self) -> ComposeResult:
        again, leave = (key_label_in(self.app, f"trouble:answer.{name}") for name in ("again", "leave"))
        with SheetScroll(f"{again} tries again · {leave} leaves", id="notice") as notice:
            notice.border_title = "The workbench cannot start"
            yield Static(
                Content.assemble(
                    (clean(self.failure.message, lines=True), "$ink-strong"),
                    (f"\n\n{clean(self.failure.hint, lines=True)}" if self.failure.hint else "", "$ink-second"),
                ),
                id="text",
            )

    def action_answer(self, again: bool) -> None:
        self.dismiss(again)
