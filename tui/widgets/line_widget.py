"""Widgets that paint whole lines and send the terminal only the cells that changed."""

from itertools import zip_longest

from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from tui.state.workbench_state import WorkbenchState
from tui.widgets.error_boundary import ErrorBoundary
from tui.widgets.hover_text import HoverText
from tui.widgets.styled_line import StyledLine


class LineWidget(HoverText, ErrorBoundary, Widget):
    """Draws the lines that `lines` gives. Call `paint` when what they show has changed."""

    ALLOW_SELECT = False

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self.state = state
        self._strips: list[Strip] = []

    def lines(self, size: Size, /) -> list[Strip]:
        """What is to be seen now."""
        raise NotImplementedError

    def ink(self, name: str) -> Style:
        return self.screen.get_component_rich_style(f"ink--{name}", partial=True)

    def line(self) -> StyledLine:
        return StyledLine(self.ink)

    def paint(self) -> None:
        """Draws again; unchanged lines are not sent."""
        if not self.is_attached:
            return  # a timer's last word, when the screen is being closed
        before, self._strips = self._strips, self.lines(self.size)
        for region in changed_regions(before, self._strips, self.size):
            self.refresh(region)

    def render_line(self, y: int) -> Strip:
        strip = self._strips[y] if y < len(self._strips) else Strip.blank(0)
        return strip.adjust_cell_length(self.size.width).apply_style(self.ground)

    def on_resize(self, _event: events.Resize) -> None:
        self._strips = self.lines(self.size)
        self.refresh()

    def notify_style_update(self) -> None:
        """Also comes when nothing is drawn again, as when a sheet is laid over the screen: what the state has changed
        meanwhile must be drawn, not only known."""
        super().notify_style_update()
        if self.is_mounted and self.size:
            self.paint()


class ScrollingLineWidget(HoverText, ErrorBoundary, ScrollView, inherit_bindings=False):
    """The same, for more lines than there is room for."""

    ALLOW_SELECT = False

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self.state = state
        self._strips: list[Strip] = []

    def lines(self, size: Size, /) -> list[Strip]:
        """What is to be seen now, all of it."""
        raise NotImplementedError

    @property
    def room(self) -> Size:
        """What the scroll bar leaves."""
        return self.scrollable_content_region.size

    def ink(self, name: str) -> Style:
        return self.screen.get_component_rich_style(f"ink--{name}", partial=True)

    def line(self) -> StyledLine:
        return StyledLine(self.ink)

    def paint(self) -> None:
        """Draws again; lines that are out of sight or unchanged are not sent."""
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

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted and self.size:
            self.paint()

    def _fresh(self) -> None:
        self._strips = self.lines(self.room)
        self._grow()

    def _grow(self) -> None:
        """Tells the scroll bar how many lines there are.

        Setting virtual_size would lay the whole screen out again and send all of it: 40 kB for one more line.
        """
        size = Size(self.room.width, self._lines_in_all())
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)

    def _lines_in_all(self) -> int:
        return len(self._strips)


class VirtualLineWidget(ScrollingLineWidget):
    """The same, for any number of lines: only those in sight are made."""

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self._top = 0

    def count(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    def row(self, y: int, size: Size, /) -> Strip:
        """One of them."""
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

    def show_lines(self, first: int, last: int) -> None:
        """Scrolls as little as needed to have these lines in sight."""
        self._grow()
        height = self.room.height
        top = self.scroll_offset.y
        if last >= top + height:
            top = last - height + 1
        top = min(top, first)
        if top != self.scroll_offset.y:
            self.scroll_to(y=max(top, 0), animate=False, force=True, immediate=True)

    def _lines_in_all(self) -> int:
        return self.count()


def changed_regions(before: list[Strip], after: list[Strip], size: Size) -> list[Region]:
    """The parts of lines that differ, as regions to refresh."""
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
    """First and last cell that differ, in whole segments."""
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
