"""How far to believe the shown run: its card, whole."""

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.results import Card
from engine.state import RunPicture
from tui.actions import sheet_actions
from tui.keynames import Key, key_of, named
from tui.output_card import card_lines
from tui.output_cause import cause_lines
from tui.text import clean
from tui.widgets.keyed import Keyed, bindings_of

_INKS = {"believable": "$ink-good", "weak": "$ink-second"}


ACTIONS = sheet_actions("Card", ("dismiss_sheet", "", "escape,b,q,enter", "Close", "Put the card away", "close"))


class CardSheet(Keyed, ModalScreen[None]):
    """A sheet over the workbench; the same key, or escape, puts it away."""

    CSS_PATH = "card.tcss"
    actions = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ACTIONS)

    def __init__(self, picture: RunPicture, card: Card) -> None:
        super().__init__()
        self.picture = picture
        self.card = card

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="sheet") as sheet:
            sheet.border_title = "How far to believe it"
            sheet.border_subtitle = Content(f"{key_of(self.app, 'card:dismiss_sheet')} closes")
            yield Static(sheet_text(self.picture, self.card, partial(key_of, self.app)), id="text")

    def action_dismiss_sheet(self) -> None:
        self.dismiss()


def sheet_text(picture: RunPicture, card: Card, key: Key = named) -> Content:
    """The verdict in its ink, the numbers behind it, and the effects where they were measured."""
    rest = card_lines(card, key)[1:]
    parts = [Content.assemble((clean(card.verdict), f"bold {_INKS.get(card.verdict, '$ink-bad')}"))]
    parts += [Content.assemble(("· ", "$ink-dim"), (clean(reason), "$ink-strong")) for reason in card.reasons]
    parts.append(Content(""))
    for line in rest:
        name, gap, told = clean(line).partition("  ")
        parts += [Content.assemble((name, "$ink-dim"), gap, (told, "$ink-text")), Content("")]
    if picture.causes:
        parts.append(Content.assemble(("What heads do to the answer", "bold $ink-second")))
        parts += [Content.assemble((clean(line), "$ink-text")) for line in cause_lines(picture)]
    return Content("\n").join(parts)
