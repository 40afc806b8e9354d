"""The list of keys, from the table of actions."""

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import Action, format_keys, screen_actions
from tui.actions.key_labels import key_label_in
from tui.actions.synonyms import SYNONYMS
from tui.state.entry_search import EntryIndex, PaletteEntry
from tui.terminal.sanitize import clean
from tui.widgets.action_keys import ActionKeys
from tui.widgets.sheet_scroll import SheetScroll

_TITLE = 28
_TITLE_BAR = "Keys: type to narrow"
_LONGEST = 60
"""Characters of a filter."""
_NEAR = 0.6
"""Share of the best score from which an action is listed."""
_WIDE = 132
"""Minimum columns for showing what each key does."""


ACTIONS = screen_actions(
    "Help", ("dismiss_sheet", "", "escape,question_mark,enter", "Close", "Close the list of keys", "close")
)


class HelpSheet(ModalScreen[None], ActionKeys):
    """A sheet over the workbench, closed by the same key or escape."""

    CSS_PATH = "help.tcss"
    actions = ACTIONS

    def __init__(self, table: Sequence[Action]) -> None:
        super().__init__()
        self.table = table
        self.typed = ""
        self._index = EntryIndex(
            PaletteEntry(
                id=action.full_id,
                title=action.title,
                detail=f"{action.tooltip} {action.group}",
                words=SYNONYMS.get(action.full_id, ()),
                keys=tuple(format_keys(action.keys)),
            )
            for action in table
        )

    def compose(self) -> ComposeResult:
        with SheetScroll(f"{key_label_in(self.app, 'help:dismiss_sheet')} closes", id="sheet") as sheet:
            sheet.border_title = Content(_TITLE_BAR)
            yield Static(format_help(self.table, wide=self.app.size.width >= _WIDE), id="text")

    def on_resize(self, event: events.Resize) -> None:
        self._fill(event.size.width)

    def on_key(self, event: events.Key) -> None:
        """Narrow the list by what is typed; backspace takes a letter back."""
        if any(event.key in action.keys for action in self.bound_actions):
            return
        if event.key == "backspace":
            self.typed = self.typed[:-1]
        elif event.is_printable and event.character is not None:
            self.typed = (self.typed + event.character).lstrip()[:_LONGEST]
        else:
            return
        event.stop()
        self._fill(self.app.size.width)

    def shown_actions(self) -> Sequence[Action]:
        """Return the actions that match what is typed, in the table's order; all if nothing is typed."""
        if not self.typed.strip():
            return self.table
        found = self._index.search(self.typed, limit=len(self.table))
        near = {entry.id for score, entry in found if score >= found[0][0] * _NEAR}
        return [action for action in self.table if action.full_id in near]

    def _fill(self, width: int) -> None:
        shown, wide = self.shown_actions(), width >= _WIDE
        sheet = self.query_one(SheetScroll)
        if self.typed and not sheet.styles.min_width:
            sheet.styles.min_width = sheet.size.width + 4  # the sheet stays as wide as it was
        sheet.border_title = Content(f"Keys: {clean(self.typed)}" if self.typed else _TITLE_BAR)
        words = format_help(shown, wide=wide) if shown else Content.styled("No action is called that.", "$ink-dim")
        self.query_one("#text", Static).update(words)

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
