"""The help: every key, from the one table of actions."""

from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import ACTIONS, key_name


class Keys(ModalScreen[None]):
    """A sheet over the workbench; the same key, or escape, puts it away."""

    CSS_PATH = "keys.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss_sheet", "Close", show=False)
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="sheet") as sheet:
            sheet.border_title = "Keys"
            sheet.border_subtitle = "esc closes"
            yield Static(sheet_text(), id="text")

    def action_dismiss_sheet(self) -> None:
        self.dismiss()


def sheet_text() -> Content:
    """All actions by group: keys, title, what it does."""
    parts: list[Content | tuple[str, str]] = []
    for group, actions in groupby(ACTIONS, key=lambda action: action.group):
        parts.append((f"\n{group}\n" if parts else f"{group}\n", "bold $ink-second"))
        for action in actions:
            keys = " ".join(dict.fromkeys(key_name(key) for key in action.keys if not _alias(key, action.keys)))
            parts.append((f"  {keys:<11}", "bold $ink-accent"))
            parts.append((f"{action.title}\n", "$ink-strong"))
            parts.append((f"  {'':<11}{action.tooltip}\n", "$ink-dim"))
    return Content.assemble(*parts)


def _alias(key: str, keys: tuple[str, ...]) -> bool:
    """Other terminals' way to name a capital letter."""
    return key.startswith("shift+") and key.removeprefix("shift+").upper() in keys
