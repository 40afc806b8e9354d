"""Base widgets that draw lines of text and refresh only the parts that changed."""

from itertools import zip_longest

from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from tui.state.workbench_state import WorkbenchState
from tui.terminal.textual_private import update_scroll
from tui.widgets.error_boundary import ErrorBoundary
from tui.widgets.hover_text import HoverText
from tui.widgets.styled_line import StyledLine


class LinePicked(Message):
    """A line, card or entry of a list was clicked."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place


class LineDrawing(HoverText, ErrorBoundary):
    """Base of widgets that draw strips."""

    ALLOW_SELECT = False

    def lines(self, size: Size, /) -> list[Strip]:
        """Return all strips, including those out of view."""
        raise NotImplementedError

    def paint(self) -> None:
        """Redraw the visible lines that changed."""
        raise NotImplementedError

    def ink(self, name: str) -> Style:
        return self.screen.get_component_rich_style(f"ink--{name}", partial=True)

    def line(self) -> StyledLine:
        return StyledLine(self.ink)

    def notify_style_update(self) -> None:
        """Redraw on a style update.

        Textual also calls this when it draws nothing, as when a sheet opens over the screen; changes of the workbench
        state must be drawn then, too.
        """
        super().notify_style_update()
        if self.is_mounted and self.size:
            self.paint()


class LineWidget(LineDrawing):
    """A widget that draws the strips returned by `lines`. Call `paint` after its state changed."""

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self.state = state
        self._strips: list[Strip] = []

    def paint(self) -> None:
        if not self.is_attached:
            return  # a timer may still fire while the screen is being closed
        before, self._strips = self._strips, self.lines(self.size)
        for region in changed_regions(before, self._strips, self.size):
            self.refresh(region)

    def render_line(self, y: int) -> Strip:
        strip = self._strips[y] if y < len(self._strips) else Strip.blank(0)
        return strip.adjust_cell_length(self.size.width).apply_style(self.ground)

    def on_resize(self, _event: events.Resize) -> None:
        self._strips = self.lines(self.size)
        self.refresh()


class ScrollingLineWidget(ScrollView, LineDrawing, inherit_bindings=False):
    """A line widget that scrolls."""

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self.state = state
        self._strips: list[Strip] = []

    @property
    def room(self) -> Size:
        """Size of the content without the scroll bar."""
        return self.scrollable_content_region.size

    def paint(self) -> None:
        if not self.is_attached:
            return
        before, self._strips = self._strips, self.lines(self.room)
        self._grow()
        top = self.scroll_offset.y
        bottom = top + self.size.height
        for region in changed_regions(before[top:bottom], self._strips[top:bottom], self.size):
            self.refresh(region)

    def render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        strip = self._strips[row] if row < len(self._strips) else Strip.blank(0)
        return strip.adjust_cell_length(self.size.width).apply_style(self.ground)

    def on_resize(self, _event: events.Resize) -> None:
        self._fresh()
        self.refresh()

    def show_lines(self, first: int, last: int) -> None:
        """Scroll as little as needed to show these lines."""
        self._grow()
        height = self.room.height
        top = self.scroll_offset.y
        if last >= top + height:
            top = last - height + 1
        top = min(top, first)
        if top != self.scroll_offset.y:
            self.scroll_to(y=max(top, 0), animate=False, force=True, immediate=True)

    def _fresh(self) -> None:
        self._strips = self.lines(self.room)
        self._grow()

    def _grow(self) -> None:
        """Update the scroll bar.

        Setting virtual_size would lay out and resend the whole screen: 40 kB for one more line.
        """
        size = Size(self.room.width, self._lines_in_all())
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            update_scroll(self, size)

    def _lines_in_all(self) -> int:
        return len(self._strips)


class VirtualLineWidget(ScrollingLineWidget):
    """A scrolling line widget for any number of lines: only visible ones are made."""

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self._top = 0

    def count(self) -> int:
        """Return the number of lines."""
        raise NotImplementedError

    def row(self, y: int, size: Size, /) -> Strip:
        """Return line `y`."""
        raise NotImplementedError

    def lines(self, size: Size, /) -> list[Strip]:
        top = self._top = self.scroll_offset.y
        return [self.row(y, size) for y in range(top, min(top + size.height, self.count()))]

    def paint(self) -> None:
        self._grow()
        before, was = self._strips, self._top
        self._strips = self.lines(self.room)
        if was != self._top:
            self.refresh()
            return
        for region in changed_regions(before, self._strips, self.size):
            self.refresh(region)

    def render_line(self, y: int) -> Strip:
        if self.scroll_offset.y != self._top:
            self._strips = self.lines(self.room)
        strip = self._strips[y] if y < len(self._strips) else Strip.blank(0)
        return strip.adjust_cell_length(self.size.width).apply_style(self.ground)

    def _lines_in_all(self) -> int:
        return self.count()


def first_visible(first: int, chosen: int, room: int, count: int, *, centre: bool = False) -> int:
    """Return the first line to show, of `count` lines in `room`, so that the chosen one is visible.

    `first`: the one shown before, which moves as little as needed; `centre`: to the middle if it has to move.
    """
    if not first <= chosen < first + room:
        nearest = chosen if chosen < first else chosen - room + 1
        first = chosen - room // 2 if centre else nearest
    return min(max(first, 0), max(count - room, 0))


def changed_regions(before: list[Strip], after: list[Strip], size: Size) -> list[Region]:
    """Return the regions to refresh, where lines differ."""
    regions = []
    for y, (old, new) in enumerate(zip_longest(before, after)):
        if y >= size.height:
            break
        if old is None or new is None:
            regions.append(Region(0, y, size.width, 1))
        elif old != new:
            start, end = _span(old, new)
            regions.append(Region(start, y, max(1, end - start), 1))
    return regions


def _span(old: Strip, new: Strip) -> tuple[int, int]:
    """Return the first and end of the cells that differ, in whole segments."""
    was, now = list(old), list(new)
    start = 0
    for a, b in zip(was, now, strict=False):
        if a != b:
            break
        start += a.cell_length
    if old.cell_length != new.cell_length:
        return start, max(old.cell_length, new.cell_length)
    end = old.cell_length
    for a, b in zip(reversed(was), reversed(now), strict=False):
        if a != b:
            break
        end -= a.cell_length
    return start, max(start, end)
