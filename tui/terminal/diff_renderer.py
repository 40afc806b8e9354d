"""Sends the terminal only the cells that changed: what it shows is known cell by cell.

Textual 8.2 sends a changed line from its widget's left edge on, with every colour written anew and put back. Measured
on a step of the cursor over 80 x 64 heads at 160 x 48 in true colour, grid alone: 710 bytes so, 180 with this.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.console import RenderableType
from textual import events
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen
from textual.strip import Strip

from tui.terminal.input_driver import TolerantDriver
from tui.terminal.sgr import on_ground, transition, without_ink

Cell = tuple[str, str]
"""A sign and its SGR codes. A wide sign is followed by a cell without one."""

_UNKNOWN: Cell = ("\0", "")
"""Is like nothing that can be drawn."""
_NEAR = 4
"""Cells that did not change are sent again rather than passed over while that costs no more."""
_FEW, _FEWEST = 24, 12
"""Strokes up to which a good order is looked for, and up to which from every one of them."""
_LARGE = 2_000
"""Bytes from which a frame may be seen half drawn, and is worth the signs that keep a terminal from that."""


class TerminalCells:
    """What the terminal shows."""

    def __init__(self) -> None:
        self._lines: list[list[Cell]] = []
        self._width = 0

    def forget(self) -> None:
        """The terminal may show anything: after a change of its size, or another program's turn."""
        self._lines = []

    def update(self, pieces: Iterable[tuple[int, int, Strip]], colours: ColorSystem) -> str:
        """What to send so that these strips stand at their columns and lines (x, y); nothing where they stand there."""
        strokes: list[_TextRun] = []
        for x, y, strip in pieces:
            cells = _cells(strip, colours)
            line = self._line(y, x + len(cells))
            if line[x : x + len(cells)] != cells:
                _compare(line, x, y, cells, strokes)
        return _shortest_output(strokes)

    def _line(self, y: int, width: int) -> list[Cell]:
        while len(self._lines) <= y:
            self._lines.append([])
        line = self._lines[y]
        if len(line) < width:
            line.extend([_UNKNOWN] * (width - len(line)))
        return line


class _TextRun:
    """Neighbours that can be written without a turn of colour."""

    __slots__ = ("before", "blank", "codes", "end", "plain", "text", "x", "y")

    def __init__(self, x: int, y: int, cell: Cell, width: int, before: list[Cell]) -> None:
        self.x, self.y, self.end = x, y, x + width
        self.text, self.codes = cell
        self.blank = without_ink(self.codes)
        """How a blank looks that can be part of it."""
        self.plain = _has_fixed_width(self.text)
        """Whether it can be written in any order, and be added to."""
        self.before = before
        """The cells between it and the stroke before it, where they are few."""

    def takes(self, cell: Cell) -> bool:
        """Whether the cell can be part of it as it is."""
        sign, codes = cell
        return (codes == self.codes or (sign == " " and codes == self.blank)) and _has_fixed_width(sign)

    def joins(self, between: list[Cell], cell: Cell) -> bool:
        """Whether the cell, and those between that did not change, can be part of it."""
        if not self.plain:
            return False
        if not self.takes(cell):
            # Blanks take on any ink that comes after them.
            if not _has_fixed_width(cell[0]) or self.text.strip(" ") or without_ink(cell[1]) != self.codes:
                return False
            self.codes = cell[1]
        return all(map(self.takes, between))


def _compare(line: list[Cell], x: int, y: int, cells: list[Cell], strokes: list[_TextRun]) -> None:
    """Adds the strokes that make these cells of those in the line, where they take their place."""
    last, count = strokes[-1] if strokes and strokes[-1].y == y else None, len(cells)
    for place, cell in enumerate(cells):
        at = x + place
        if line[at] == cell:
            continue
        line[at] = cell
        sign = cell[0]
        if not sign:
            continue  # it comes with the wide sign before it
        width = 2 if place + 1 < count and not cells[place + 1][0] else 1
        between: list[Cell] = []
        if last is not None and last.plain:
            gap = at - last.end
            if 0 < gap <= _NEAR and gap <= place:
                between = cells[place - gap : place]
            if (not gap and last.takes(cell)) or ((between or not gap) and last.joins(between, cell)):
                last.text += "".join(each[0] for each in between) + sign if between else sign
                last.end = at + width
                continue
        last = _TextRun(at, y, cell, width, between)
        strokes.append(last)


def _shortest_output(strokes: list[_TextRun]) -> str:
    """They in an order that costs little: a turn of true colours is four times a step to another place."""
    if len(strokes) > _FEW or not all(stroke.plain for stroke in strokes):
        return _drawn(strokes)  # terminals do not agree what of two neighbours a wide sign covers
    begins = strokes if len(strokes) <= _FEWEST else strokes[:1]
    return min((_drawn(_nearest_first(strokes, begin)) for begin in begins), key=len, default="")


def _drawn(strokes: Iterable[_TextRun]) -> str:
    pen = _Pen()
    for stroke in strokes:
        pen.draw(stroke)
    return pen.rest()


def _nearest_first(strokes: list[_TextRun], begin: _TextRun) -> Iterator[_TextRun]:
    left, pen, nearest = list(strokes), _Pen(), begin
    while True:
        pen.draw(nearest)
        yield nearest
        left.remove(nearest)
        if not left:
            return
        nearest = min(left, key=pen.cost)


class _Pen:
    """The terminal's cursor and colours while a frame is written; both are as after a reset when it begins and ends."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._x = self._y = -1
        self._on = ""

    def draw(self, stroke: _TextRun) -> None:
        gap = len(stroke.before)
        there = gap and (self._x, self._y) == (stroke.x - gap, stroke.y)
        if there and all(_fits(each, self._on) and _has_fixed_width(each[0]) for each in stroke.before):
            # Cells that did not change are sent again rather than passed over where that costs no more.
            self._out.append("".join(each[0] for each in stroke.before))
            self._x = stroke.x
        if (self._x, self._y) != (stroke.x, stroke.y):
            self._out.append(self._move(stroke))
        on = self._look(stroke)
        if on != self._on:
            self._out.append(transition(self._on, on))
            self._on = on
        self._out.append(stroke.text)
        self._x, self._y = (stroke.end, stroke.y) if stroke.plain else (-1, -1)

    def cost(self, stroke: _TextRun) -> int:
        """Bytes for the way to a stroke."""
        here = (self._x, self._y) == (stroke.x, stroke.y)
        return (0 if here else len(self._move(stroke))) + len(transition(self._on, self._look(stroke)))

    def rest(self) -> str:
        return "".join((*self._out, "\x1b[m" if self._on else ""))

    def _look(self, stroke: _TextRun) -> str:
        if stroke.codes == self._on:
            return self._on
        return stroke.codes if stroke.text.strip(" ") else on_ground(self._on, stroke.codes)

    def _move(self, stroke: _TextRun) -> str:
        if stroke.y == self._y and stroke.x > self._x:
            return "\x1b[C" if stroke.x == self._x + 1 else f"\x1b[{stroke.x - self._x}C"
        return f"\x1b[{stroke.y + 1};{stroke.x + 1}H"


def _fits(cell: Cell, on: str) -> bool:
    """Whether the cell can be written with the pen as it is; a blank needs no ink of its own."""
    return cell[1] == on or (cell[0] == " " and cell[1] == without_ink(on))


def _has_fixed_width(sign: str) -> bool:
    """Whether every terminal gives the sign the same width."""
    return len(sign) == 1 and sign < "\U0001f000"


def _cells(strip: Strip, colours: ColorSystem) -> list[Cell]:
    found: list[Cell] = []
    for text, style, control in strip:
        if control or not text:
            continue
        codes = "" if style is None else (style._ansi or Strip.render_ansi(style, colours))
        found.extend(_split_cells(text, codes))
    return found


@lru_cache(maxsize=4_096)
def _split_cells(text: str, codes: str) -> tuple[Cell, ...]:
    """The text cell by cell. A blank has no ink, so that ink alone makes none anew."""
    blank = (" ", without_ink(codes))
    if text.isascii():
        return tuple(blank if sign == " " else (sign, codes) for sign in text)
    found: list[Cell] = []
    for start, end, width in split_graphemes(text)[0]:
        sign = text[start:end]
        if width:
            found.append(blank if sign == " " else (sign, codes))
            found.extend([("", codes)] * (width - 1))
    return tuple(found)


def _pieces(update: LayoutUpdate | ChopsUpdate) -> Iterator[tuple[int, int, Strip]]:
    if isinstance(update, LayoutUpdate):
        x, first = update.region.offset
        for y, line in enumerate(update.strips, first):
            strips = tuple(line)
            yield x, y, Strip(list(chain.from_iterable(strips)))
        return
    for y, left, right in update.spans:
        chops: Sequence[tuple[int, Strip | None]] = tuple(update.chops[y].items())
        for end, (x, strip) in zip(update.chop_ends[y], chops, strict=False):
            if strip is not None and x < right and end > left:
                yield x, y, strip


class DiffApp(App[None]):
    """A program whose frames are thin. Whatever else writes to the terminal has to call `draw_anew`."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._on_terminal = TerminalCells()

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice; where that is the usual one, one that survives whatever is typed or pasted."""
        usual = super().get_driver_class()
        return TolerantDriver if usual is LinuxDriver else usual

    def on_resize(self, _event: events.Resize) -> None:
        self._on_terminal.forget()

    def redraw_all(self) -> None:
        """Everything, whatever the terminal shows."""
        self._on_terminal.forget()
        self.screen.refresh(layout=True)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        driver = self._driver
        thin = isinstance(renderable, LayoutUpdate | ChopsUpdate)
        drawing = self._running and not self._closed and not self._batch_count
        if not thin or not drawing or driver is None or self.is_headless or driver.is_inline:
            super()._display(screen, renderable)
            return
        assert isinstance(renderable, LayoutUpdate | ChopsUpdate)
        colours = self.console._color_system or ColorSystem.TRUECOLOR
        try:
            text = self._on_terminal.update(_pieces(renderable), colours)
        except Exception as error:  # noqa: BLE001  # as Textual does: what a widget drew wrong is told, not lost
            self._handle_exception(error)
            text = ""
        x, y = self.screen.outer_size.clamp_offset(self.cursor_position)
        if text or (x, y) != self._previous_cursor_position:
            if x or y or (x, y) != self._previous_cursor_position:
                # Where nobody writes the cursor is hidden, and may be anywhere.
                text += f"\x1b[{y + 1};{x + 1}H" if x or y else "\x1b[H"
            self._previous_cursor_position = self.screen.outer_size.clamp_offset(self.cursor_position)
            large = self._sync_available and len(text) > _LARGE
            driver.write(f"\x1b[?2026h{text}\x1b[?2026l" if large else text)
            driver.flush()
        self.post_display_hook()
