"""Scrolling text of a sheet; the lower border shows how much is left."""

from textual import events
from textual.containers import VerticalScroll
from textual.content import Content


class SheetScroll(VerticalScroll):
    """Scrolls with the arrows, page keys and wheel; the lower border shows the lines below and the closing key."""

    def __init__(self, closing: str, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self.closing = closing

    @property
    def lines_below(self) -> int:
        """Number of lines below the lower border."""
        return max(round(self.max_scroll_y - self.scroll_y), 0)

    def on_mount(self) -> None:
        self.border_subtitle = Content(self.closing)
        self.watch(self, "virtual_size", self._tell, init=False)

    def on_resize(self, _event: events.Resize) -> None:
        self._tell()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._tell()

    def _tell(self) -> None:
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        n = self.lines_below
        more = f"↓ {n} more {'line' if n == 1 else 'lines'} · " if n else ""
        self.border_subtitle = Content(more + self.closing)
