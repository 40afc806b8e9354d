"""A sheet to choose one entry: a grouped list, filtered while the user types."""

from collections.abc import Callable, Sequence

import msgspec
from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tui.actions import screen_actions
from tui.actions.key_labels import key_label_in
from tui.terminal.sanitize import clean
from tui.widgets.action_keys import ActionKeys
from tui.widgets.styled_line import fit

_WIDTH = 120
"""Columns of the box (choice.tcss)."""


class ChoiceItem(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the list."""

    id: str
    group: str
    title: str
    detail: str = ""


ACTIONS = screen_actions("Choice", ("back", "", "escape", "Back", "Back without a choice", "back"))


class ChoiceSheet(ModalScreen[str | None], ActionKeys):
    """The sheet; returns the id of the chosen entry, or None if the user went back."""

    CSS_PATH = "choice.tcss"
    actions = ACTIONS

    def __init__(self, title: str, entries: Sequence[ChoiceItem], *, empty: str) -> None:
        super().__init__()
        self._title, self._entries, self._empty = title, entries, empty

    def compose(self) -> ComposeResult:
        with Vertical(id="choose") as box:
            box.border_title = Content(clean(self._title))
            back = key_label_in(self.app, "choice:back")
            box.border_subtitle = Content(f"enter chooses · {back} goes back · type to filter")
            yield Input(placeholder="words to search for", id="words")
            yield OptionList(id="list", markup=False)

    def on_mount(self) -> None:
        self._fill("")

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, typed: str) -> None:
        shown = self.query_one("#list", OptionList)
        words = typed.casefold().split()
        found = [entry for entry in self._entries if all(word in _text(entry) for word in words)]
        shown.clear_options()
        group = ""
        for entry in found:
            if entry.group != group:
                group = entry.group
                shown.add_option(Option(Content.styled(clean(group), "$ink-accent"), disabled=True))
            room = max(self._room() - cell_len(entry.title) - 5, 0)
            line = Content.assemble(
                ("  " + clean(entry.title), "$ink-strong"), ("   " + fit(clean(entry.detail), room), "$ink-dim")
            )
            shown.add_option(Option(line, id=entry.id))
        if not found:
            words_ = self._empty if not self._entries else "No entry contains all of these words."
            shown.add_option(Option(Content(clean(words_)), disabled=True))
        else:
            shown.highlighted = 1

    def _room(self) -> int:
        """Return the columns of a line of the list."""
        return min(_WIDTH, self.app.size.width) - 6

    @on(Input.Submitted)
    def _take(self) -> None:
        shown = self.query_one("#list", OptionList)
        if shown.highlighted is not None:
            shown.action_select()

    @on(OptionList.OptionSelected)
    def _answer(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def on_key(self, event: events.Key) -> None:
        """Move in the list with the arrows while the input has the focus."""
        shown = self.query_one("#list", OptionList)
        moves: dict[str, Callable[[], object]] = {
            "up": shown.action_cursor_up,
            "down": shown.action_cursor_down,
            "pageup": shown.action_page_up,
            "pagedown": shown.action_page_down,
        }
        if event.key in moves and self.focused is not shown:
            moves[event.key]()
            event.stop()
            event.prevent_default()

    def action_back(self) -> None:
        self.dismiss(None)


def _text(entry: ChoiceItem) -> str:
    return f"{entry.group} {entry.title} {entry.detail}".casefold()
