"""The list of keys, from the table of actions."""

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import Action, format_keys, screen_actions
from tui.actions.key_labels import key_label_in
from tui.widgets.action_keys import ActionKeys
from tui.widgets.sheet_scroll import SheetScroll

_TITLE = 28
_WIDE = 132
"""Minimum columns for showing what each key does."""


ACTIONS = screen_actions(
    "Help", ("dismiss_sheet", "", "escape,question_mark,q,enter", "Close", "Close the list of keys", "close")
)


class HelpSheet(ModalScreen[None], ActionKeys):
    """A sheet over the workbench, closed by the same key or escape."""

    CSS_PATH = "help.tcss"
    actions = ACTIONS

    def __init__(self, table: Sequence[Action]) -> None:
        super().__init__()
        self.table = table

    def compose(self) -> ComposeResult:
        with SheetScroll(f"{key_label_in(self.app, 'help:dismiss_sheet')} closes", id="sheet") as sheet:
            sheet.border_title = "Keys"
            yield Static(format_help(self.table, wide=self.app.size.width >= _WIDE), id="text")

    def on_resize(self, event: events.Resize) -> None:
        self.query_one("#text", Static).update(format_help(self.table, wide=event.size.width >= _WIDE))

    def action_dismiss_sheet(self) -> None:
        self.dismiss()


def format_help(table: Sequence[Action], *, wide: bool) -> Content:
    """Format all actions by group: keys and title, and with `wide` what they do."""
    lines: list[Content] = []
    across = max(len(" ".join(format_keys(action.keys))) for action in table)
    for group in dict.fromkeys(action.group for action in table):
        actions = [action for action in table if action.group == group]
        if lines:
            lines.append(Content(""))
        lines.append(Content.assemble((group, "bold $ink-second")))
        for action in actions:
            keys = " ".join(format_keys(action.keys))
            what = (f"  {action.tooltip}", "$ink-dim") if wide else ("", "")
            name = (f"{action.title:<{_TITLE}}" if wide else action.title, "$ink-strong")
            lines.append(Content.assemble((f"  {keys:<{across}}  ", "bold $ink-accent"), name, what))
    return Content("\n").join(lines)
