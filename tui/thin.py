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

from tui.keyboard import PatientDriver

Cell = tuple[str, str]
"""A sign and its SGR codes. A wide sign is followed by a cell without one."""

_UNKNOWN: Cell = ("\0", "")
"""Is like nothing that can be drawn."""
_NEAR = 4
"""Cells that did not change are sent again rather than passed over while that costs no more."""
_LARGE = 2_000
"""Bytes from which a frame may be seen half drawn, and is worth the signs that keep a terminal from that."""


class Shown:
    """What the terminal shows."""

    def __init__(self) -> None:
        self._lines: list[list[Cell]] = []
        self._width = 0

    def forget(self) -> None:
        """The terminal may show anything: after a change of its size, or another program's turn."""
        self._lines = []

    def update(self, pieces: Iterable[tuple[int, int, Strip]], colours: ColorSystem) -> str:
        """What to send so that these strips stand at their columns and lines (x, y); nothing where they stand there."""
        out: list[str] = []
        pen = _Pen(out)
        for x, y, strip in pieces:
            cells = _cells(strip, colours)
            line = self._line(y, x + len(cells))
            if line[x : x + len(cells)] != cells:
                self._send(line, x, y, cells, pen)
        pen.rest()
        return "".join(out)

    def _line(self, y: int, width: int) -> list[Cell]:
        while len(self._lines) <= y:
            self._lines.append([])
        line = self._lines[y]
        if len(line) < width:
            line.extend([_UNKNOWN] * (width - len(line)))
        return line

    def _send(self, line: list[Cell], x: int, y: int, cells: list[Cell], pen: "_Pen") -> None:
        last = len(cells)
        for place, cell in enumerate(cells):
            if line[x + place] == cell:
                continue
            line[x + place] = cell
            if not cell[0]:
                continue  # it comes with the wide sign before it
            wide = place + 1 < last and not cells[place + 1][0]
            if pen.y == y and 0 < x + place - pen.x <= _NEAR:
                between = cells[max(pen.x - x, 0) : place]
                if len(between) == x + place - pen.x and all(pen.fits(each) and _plain(each[0]) for each in between):
                    pen.write("".join(each[0] for each in between), len(between))
            pen.move(x + place, y)
            pen.style(cell)
            pen.write(cell[0], 2 if wide else 1)
            if not _plain(cell[0]):
                pen.lost()


class _Pen:
    """The terminal's cursor and colours while a frame is written; both are as after a reset when it begins and ends."""

    def __init__(self, out: list[str]) -> None:
        self._out = out
        self.x = self.y = -1
        self.on = ""

    def move(self, x: int, y: int) -> None:
        if (x, y) == (self.x, self.y):
            return
        if y == self.y and x > self.x:
            self._out.append("\x1b[C" if x == self.x + 1 else f"\x1b[{x - self.x}C")
        else:
            self._out.append(f"\x1b[{y + 1};{x + 1}H")
        self.x, self.y = x, y

    def fits(self, cell: Cell) -> bool:
        """Whether the cell can be written as the pen is; a blank needs no ink of its own."""
        return cell[1] == self.on or (cell[0] == " " and cell[1] == _without_ink(self.on))

    def style(self, cell: Cell) -> None:
        if not self.fits(cell):
            self._out.append(_turn(self.on, cell[1]))
            self.on = cell[1]

    def write(self, text: str, width: int) -> None:
        self._out.append(text)
        self.x += width

    def lost(self) -> None:
        """Terminals do not agree how wide that was."""
        self.x = self.y = -1

    def rest(self) -> None:
        if self.on:
            self._out.append("\x1b[m")


def _plain(sign: str) -> bool:
    """Whether every terminal gives the sign the same width."""
    return len(sign) == 1 and sign < "\U0001f000"


def _cells(strip: Strip, colours: ColorSystem) -> list[Cell]:
    found: list[Cell] = []
    for text, style, control in strip:
        if control or not text:
            continue
        codes = "" if style is None else (style._ansi or Strip.render_ansi(style, colours))
        found.extend(_signs(text, codes))
    return found


@lru_cache(maxsize=4_096)
def _signs(text: str, codes: str) -> tuple[Cell, ...]:
    """The text cell by cell. A blank has no ink, so that ink alone makes none anew."""
    blank = (" ", _without_ink(codes))
    if text.isascii():
        return tuple(blank if sign == " " else (sign, codes) for sign in text)
    found: list[Cell] = []
    for start, end, width in split_graphemes(text)[0]:
        sign = text[start:end]
        if width:
            found.append(blank if sign == " " else (sign, codes))
            found.extend([("", codes)] * (width - 1))
    return tuple(found)


_LINES = frozenset({"4", "7", "9", "21", "53"})
"""Underlined, reversed, struck, twice underlined, overlined: a blank shows them, and their colour."""


@lru_cache(maxsize=4_096)
def _without_ink(codes: str) -> str:
    attributes, _ink, ground = _parts(codes)
    return codes if attributes & _LINES else ground


@lru_cache(maxsize=4_096)
def _parts(codes: str) -> tuple[frozenset[str], str, str]:
    """Attributes, ink and ground of SGR codes as Rich writes them."""
    attributes, ink, ground = set(), "", ""
    rest = iter(codes.split(";") if codes else ())
    for code in rest:
        number = int(code)
        if number in (38, 48):
            kind = next(rest)
            whole = ";".join((code, kind, *(next(rest) for _ in range(3 if kind == "2" else 1))))
            ink, ground = (whole, ground) if number == 38 else (ink, whole)
        elif 30 <= number <= 39 or 90 <= number <= 97:
            ink = code
        elif 40 <= number <= 49 or 100 <= number <= 107:
            ground = code
        else:
            attributes.add(code)
    return frozenset(attributes), "" if ink == "39" else ink, "" if ground == "49" else ground


_ENDS = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "6": "25", "7": "27", "8": "28", "9": "29"}


@lru_cache(maxsize=4_096)
def _turn(before: str, after: str) -> str:
    """The shortest sequence from one look to another."""
    had, had_ink, had_ground = _parts(before)
    has, ink, ground = _parts(after)
    anew = f"\x1b[;{after}m" if after else "\x1b[m"
    gone = had - has
    if not gone <= _ENDS.keys():
        return anew
    ended = {_ENDS[code] for code in gone}
    come = {code for code in has if code not in had or _ENDS.get(code) in ended}
    codes = [*sorted(ended), *sorted(come)]
    if ink != had_ink:
        codes.append(ink or "39")
    if ground != had_ground:
        codes.append(ground or "49")
    if not codes:
        return ""
    step = f"\x1b[{';'.join(codes)}m"
    return step if len(step) <= len(anew) else anew


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


class ThinApp(App[None]):
    """A program whose frames are thin. Whatever else writes to the terminal has to call `draw_anew`."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._on_terminal = Shown()

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice; where that is the usual one, one that survives whatever is typed or pasted."""
        usual = super().get_driver_class()
        return PatientDriver if usual is LinuxDriver else usual

    def on_resize(self, _event: events.Resize) -> None:
        self._on_terminal.forget()

    def draw_anew(self) -> None:
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
            self._previous_cursor_position = self.screen.outer_size.clamp_offset(self.cursor_position)
            text += f"\x1b[{y + 1};{x + 1}H" if x or y else "\x1b[H"
            large = self._sync_available and len(text) > _LARGE
            driver.write(f"\x1b[?2026h{text}\x1b[?2026l" if large else text)
            driver.flush()
        self.post_display_hook()
