"""A page of documentation, to read."""

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Markdown

from tui.actions import screen_actions
from tui.actions.key_labels import key_label_in
from tui.state.documents import DocumentPage
from tui.widgets.action_keys import ActionKeys
from tui.widgets.sheet_scroll import SheetScroll

ACTIONS = screen_actions(
    "Document",
    ("close", "", "escape,q", "Close", "Close the page", "close"),
    ("scroll.down", "1", "j", "Down", "One line down", ""),
    ("scroll.up", "-1", "k", "Up", "One line up", ""),
)


class DocumentScreen(ModalScreen[None], ActionKeys):
    """Shows a page; its title is the path of the file."""

    CSS_PATH = "document.tcss"
    actions = ACTIONS

    def __init__(self, page: DocumentPage) -> None:
        super().__init__()
        self.page = page

    def compose(self) -> ComposeResult:
        with SheetScroll(f"{key_label_in(self.app, 'document:close')} closes", id="sheet") as sheet:
            sheet.border_title = Content(str(self.page.path))
            # Links lead to other files, which this screen does not open.
            yield Markdown(self.page.path.read_text(encoding="utf-8"), open_links=False)

    def on_mount(self) -> None:
        self.query_one(SheetScroll).focus()

    def action_scroll(self, by: int) -> None:
        self.query_one(SheetScroll).scroll_relative(y=by, animate=False)

    def action_close(self) -> None:
        self.dismiss()
