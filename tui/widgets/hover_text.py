"""Tooltips that depend on the position of the mouse within a widget."""

from textual import events
from textual.content import Content
from textual.geometry import Offset
from textual.widget import Widget


class HoverText(Widget):
    """Base of widgets that return the tooltip of a position in `tip_at`."""

    _pointer: Offset | None = None

    def tip_at(self, place: Offset, /) -> Content | None:  # noqa: ARG002  # subclasses use it
        """Return the tooltip for a position in the widget's content; None without one."""
        return None

    def _on_mouse_move(self, event: events.MouseMove) -> None:
        # Textual calls this handler of every class in the hierarchy.
        self._pointer = event.get_content_offset(self)
        self.update_hover_text()

    def _on_leave(self, _event: events.Leave) -> None:
        self._pointer = None

    def update_hover_text(self) -> None:
        """Update the tooltip after the content under a resting mouse has changed."""
        if self._pointer is None and self.tooltip is None:
            return
        content = self.tip_at(self._pointer) if self._pointer is not None else None
        plain = None if content is None else content.plain
        if (content is None) != (self.tooltip is None) or plain != getattr(self.tooltip, "plain", None):
            self.tooltip = content
