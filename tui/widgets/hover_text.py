"""What a place means, told where the mouse rests. Nothing is drawn, and nothing sent, while it does not move."""

from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.geometry import Offset

if TYPE_CHECKING:
    from textual.widget import Widget as Base
else:
    Base = object


class HoverText(Base):
    """Mixed into widgets that say in `tip_at` what stands at a place."""

    _pointer: Offset | None = None

    def tip_at(self, place: Offset, /) -> Content | None:  # noqa: ARG002  # heirs read it
        """The words for a place of the widget's content; None where there is nothing to tell."""
        return None

    def _on_mouse_move(self, event: events.MouseMove) -> None:
        # Textual calls this of every class, beside an heir's own.
        self._pointer = event.get_content_offset(self)
        self.update_hover_text()

    def _on_leave(self, _event: events.Leave) -> None:
        self._pointer = None

    def update_hover_text(self) -> None:
        """After what is shown has changed under a resting mouse: other words, or none."""
        if self._pointer is None and self.tooltip is None:
            return
        content = self.tip_at(self._pointer) if self._pointer is not None else None
        plain = None if content is None else content.plain
        if (content is None) != (self.tooltip is None) or plain != getattr(self.tooltip, "plain", None):
            self.tooltip = content
