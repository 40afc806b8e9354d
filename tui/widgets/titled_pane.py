"""Panes whose title changes with a key: only the line it stands on is drawn anew."""

from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

if TYPE_CHECKING:
    Pane = Widget
else:
    Pane = object


class TitledPane(Pane):
    """Mixed into a pane with a border. Textual draws all of a pane, with everything in it, for another title."""

    _titling = False

    def put_title(self, words: str) -> None:
        """Words that may hold a session's name, which is no markup."""
        self._titling = True
        try:
            self.border_title = Content(words)
        finally:
            self._titling = False

    def refresh(self, *regions: Region, **named: Any) -> Any:
        if self._titling and not regions and self.outer_size:
            left, top = self.content_offset
            regions = (Region(-left, -top, self.outer_size.width, 1),)
        return super().refresh(*regions, **named)
