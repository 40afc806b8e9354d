"""The evidence card of the shown run."""

from collections.abc import Sequence
from functools import partial

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.analysis.run_state import RunSnapshot
from engine.errors import Failure
from engine.results import Card
from sessions.protocol import SpecificityOfRun
from tui.actions import screen_actions
from tui.actions.key_labels import KeyLabel, key_label, key_label_in
from tui.output.card import card_lines
from tui.output.effects import cause_lines
from tui.output.reported_effects import one_effect_per_head
from tui.output.specificity import specificity_lines
from tui.screens.parts_loader import FetchPart, PartsLoader, Wanted
from tui.state.messages import format_message
from tui.state.node_parts import NodeParts, specificity_request
from tui.state.run import SessionRun
from tui.terminal.sanitize import clean
from tui.widgets.action_keys import ActionKeys
from tui.widgets.sheet_scroll import SheetScroll

_INKS = {"believable": "$ink-good", "weak": "$ink-second"}
_WIDEST = 120
"""Maximum columns of the sheet (card.tcss)."""
_BESIDE = 5
"""Columns of its border, padding and scroll bar."""
_BETWEEN = "   "

ACTIONS = screen_actions(
    "Card",
    (
        "specificity",
        "",
        "s",
        "Other tasks",
        "Remove the circuit and measure what every other ready-made task loses; takes a while",
        "other tasks",
    ),
    ("dismiss_sheet", "", "escape,b,q,enter", "Close", "Close the card", "close"),
)


class CardSheet(ModalScreen[None], ActionKeys):
    """A sheet over the workbench, closed by the same key or escape."""

    CSS_PATH = "card.tcss"
    actions = ACTIONS

    def __init__(self, run: SessionRun, card: Card, parts: NodeParts, fetch: FetchPart) -> None:
        super().__init__()
        self.picture, self.card, self.parts = run.picture, card, parts
        self.request = specificity_request(run)
        self.asked = self.request in parts.answers
        self.loader = PartsLoader(self, parts, fetch, self._wanted, self._paint)

    def compose(self) -> ComposeResult:
        with SheetScroll(self._border_words(), id="sheet") as sheet:
            sheet.border_title = "Evidence"
            yield Static(id="text")
            yield Static(id="other")

    def on_resize(self, _event: events.Resize) -> None:
        self._paint()

    def action_specificity(self) -> None:
        self.parts.forget_failures()
        self.asked = True
        self.loader.start()
        self._paint()

    def action_dismiss_sheet(self) -> None:
        self.dismiss()

    def _border_words(self) -> str:
        other = f"{key_label_in(self.app, 'card:specificity')} other tasks · "
        return f"{other}{key_label_in(self.app, 'card:dismiss_sheet')} closes"

    def _wanted(self) -> Wanted:
        return [(self.request if self.asked else None, SpecificityOfRun)]

    def _paint(self) -> None:
        width = min(self.app.size.width, _WIDEST) - _BESIDE
        text = format_card(self.picture, self.card, partial(key_label_in, self.app), width=width)
        self.query_one("#text", Static).update(text)
        if self.asked:
            parts = [Content(""), Content.assemble(("Without the circuit, other tasks", "bold $ink-second"))]
            parts += [Content.assemble((clean(line), "$ink-text")) for line in self._specificity_lines()]
            other = self.query_one("#other", Static)
            other.update(Content("\n").join(parts))
            self.call_after_refresh(other.scroll_visible, top=True, animate=False)

    def _specificity_lines(self) -> list[str]:
        found = self.parts.get(self.request, SpecificityOfRun)
        if found is None:
            return [self.parts.format_wait(self.request, "measuring every task with the circuit removed")]
        if isinstance(found, Failure):
            return format_message(found).splitlines()
        return specificity_lines(found)


def format_card(picture: RunSnapshot, card: Card, key: KeyLabel = key_label, *, width: int = 116) -> Content:
    """Format the card: verdict, reasons, statistics, and effects if they were measured."""
    rest = card_lines(card, key)[1:]
    parts = [Content.assemble((clean(card.verdict), f"bold {_INKS.get(card.verdict, '$ink-bad')}"))]
    parts += [Content.assemble(("· ", "$ink-dim"), (clean(reason), "$ink-strong")) for reason in card.reasons]
    parts.append(Content(""))
    for line in rest:
        name, gap, text = clean(line).partition("  ")
        parts.append(Content.assemble((name, "$ink-dim"), gap, (text, "$ink-text")))
    if picture.causes:
        parts += [Content(""), Content.assemble(("Effects of heads on the answer", "bold $ink-second"))]
        lines = pack_items([clean(line) for line in cause_lines(one_effect_per_head(picture))], width)
        parts += [Content.assemble((line, "$ink-text")) for line in lines]
    return Content("\n").join(parts)


def pack_items(lines: Sequence[str], width: int) -> list[str]:
    """Reflow list items, separated by three blanks, into lines of that width without splitting an item."""
    found: list[str] = []
    room = False
    for line in lines:
        items = line.strip().split(_BETWEEN) if line.startswith("  ") and _BETWEEN in line else []
        if not items:
            found.append(line)
            room = False
        for item in items:
            if room and len(found[-1]) + len(_BETWEEN) + len(item) <= width:
                found[-1] += _BETWEEN + item
            else:
                found.append(f"  {item}")
            room = True
    return found
