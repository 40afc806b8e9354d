"""Panes whose title can change without redrawing the pane."""

from typing import Any

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget


class TitledPane(Widget):
    """Base of panes with a border. Textual redraws a whole pane for a new title; this redraws its line."""

    _titling = False

    def put_title(self, words: str) -> None:
        """Set the title as text, not markup: it may contain a session's name."""
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
