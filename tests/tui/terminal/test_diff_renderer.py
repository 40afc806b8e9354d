"""What is sent to the terminal leaves it showing what the screen is, and is little."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

from tui.terminal.diff_renderer import TerminalCells
from tui.terminal.textual_private import frame_pieces

from ..opening import at_rest

_STEP = re.compile(r"\x1b\[([\d;]*)([HCm])|([^\x1b]+)")
_OFF = {"22": {"1", "2"}, "23": {"3"}, "24": {"4"}, "25": {"5"}, "27": {"7"}, "29": {"9"}}
_SEEN_ON_BLANKS = {"4", "7", "9"}


class Glass:
    """A terminal, as far as frames need one: it moves, colours and writes, and knows nothing else."""

    def __init__(self, width: int, height: int) -> None:
        self.cells = [[("?", frozenset(), "", "")] * width for _ in range(height)]
        self.x = self.y = 0
        self.look()

    def look(self) -> None:
        self.attributes: set[str] = set()
        self.ink = self.ground = ""

    def take(self, text: str) -> None:
        place = 0
        for found in _STEP.finditer(text):
            assert found.start() == place, text[place : found.start()]
            place = found.end()
            numbers, kind, signs = found.groups()
            if signs:
                self.write(signs)
            elif kind == "H":
                self.y, self.x = (int(part) - 1 for part in (numbers or "1;1").split(";"))
            elif kind == "C":
                self.x += int(numbers or 1)
            else:
                self.colour(numbers.split(";"))
        assert place == len(text), text[place:]

    def colour(self, codes: list[str]) -> None:
        rest = iter(codes)
        for code in rest:
            if code in ("", "0"):
                self.look()
            elif code in ("38", "48"):
                kind = next(rest)
                whole = ";".join((code, kind, *(next(rest) for _ in range(3 if kind == "2" else 1))))
                self.ink, self.ground = (whole, self.ground) if code == "38" else (self.ink, whole)
            elif code in _OFF:
                self.attributes -= _OFF[code]
            elif len(code) == 1:
                self.attributes.add(code)
            elif code[0] in "39" and len(code) == 2:
                self.ink = "" if code == "39" else code
            else:
                self.ground = "" if code == "49" else code

    def write(self, signs: str) -> None:
        for start, end, width in split_graphemes(signs)[0]:
            sign, attributes, ink = signs[start:end], frozenset(self.attributes), self.ink
            if sign == " " and not attributes & _SEEN_ON_BLANKS:
                attributes, ink = frozenset(), ""
            for column in range(width):
                self.cells[self.y][self.x + column] = ("" if column else sign, attributes, ink, self.ground)
            self.x += width


COLOURS = [None, "red", "#102030", "#aabbcc", "color(123)", "bright_blue"]
STYLES = st.builds(
    lambda ink, ground, bold, dim, underline, reverse: Style(
        color=ink, bgcolor=ground, bold=bold or None, dim=dim or None, underline=underline or None, reverse=reverse
    ),
    *(st.sampled_from(COLOURS),) * 2,
    *(st.booleans(),) * 4,
)
SIGNS = [*"ab  ─█◆é日本語", "🙂", "e\u0301", "❤️"]
# Joined emoji are left out: Rich itself cuts them in two where a widget ends.
TEXTS = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=6).map("".join)
STRIPS = st.lists(st.builds(lambda text, style: Segment(text, style), TEXTS, STYLES), max_size=5).map(Strip)
LINES = st.tuples(STRIPS, st.lists(st.integers(1, 38), max_size=2, unique=True).map(sorted))
BLANK = Strip([Segment(" " * 40, Style())])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.integers(0, 3), LINES, min_size=1), min_size=1, max_size=6))
def test_the_terminal_shows_what_was_drawn(frames: list[dict[int, tuple[Strip, list[int]]]]) -> None:
    """Against the same lines drawn whole; they come in the pieces that widgets side by side make of them."""
    shown, thin, whole = TerminalCells(), Glass(40, 4), Glass(40, 4)
    for frame in [dict.fromkeys(range(4), (BLANK, [])), *frames]:
        pieces = []
        for y, (strip, cuts) in sorted(frame.items()):
            line = Strip.join([strip, BLANK]).crop(0, 40)
            for x, part in zip([0, *cuts], line.divide([*cuts, 40]), strict=True):
                pieces.append((x, y, part))
                whole.take(f"\x1b[{y + 1};{x + 1}H" + "".join(_sent(segment) for segment in part))
        thin.take(shown.update(pieces, ColorSystem.TRUECOLOR))
        assert thin.cells == whole.cells


def _sent(segment: Segment) -> str:
    codes = Strip.render_ansi(segment.style, ColorSystem.TRUECOLOR) if segment.style is not None else ""
    return f"\x1b[{codes}m{segment.text}\x1b[0m" if codes else segment.text


@given(STRIPS)
def test_what_stands_there_is_not_sent_again(strip: Strip) -> None:
    shown = TerminalCells()
    shown.update([(0, 0, strip)], ColorSystem.TRUECOLOR)
    assert shown.update([(0, 0, strip)], ColorSystem.TRUECOLOR) == ""
    shown.forget()
    if strip.cell_length:
        assert shown.update([(0, 0, strip)], ColorSystem.TRUECOLOR) != ""


def test_a_change_costs_its_cells_its_colours_and_a_step() -> None:
    bold = Style(color="#a0b0c0", bold=True)
    shown = TerminalCells()
    shown.update([(10, 4, Strip([Segment("rank ", Style(dim=True)), Segment("12", bold)]))], ColorSystem.TRUECOLOR)
    sent = shown.update(
        [(10, 4, Strip([Segment("rank ", Style(dim=True)), Segment("17", bold)]))], ColorSystem.TRUECOLOR
    )
    assert sent == "\x1b[5;17H\x1b[1;38;2;160;176;192m7\x1b[m"


def test_what_is_of_one_colour_is_written_at_one_time() -> None:
    """Two places of one look with another between them: its turn is paid once, and a blank needs no ink."""
    dim, red, ground = Style(color="#a0b0c0"), Style(color="#ff0000"), Style(bgcolor="#102030")
    shown = TerminalCells()
    shown.update([(0, 0, Strip([Segment("a" * 30, Style())]))], ColorSystem.TRUECOLOR)
    line = [Segment("x", dim), Segment("a" * 9), Segment("y", red), Segment("a" * 9), Segment("z", dim)]
    sent = shown.update([(0, 0, Strip([*line, Segment("  ", ground)]))], ColorSystem.TRUECOLOR)
    assert sent.count("160;176;192") == 1
    glass = Glass(30, 1)
    glass.take(f"\x1b[1;1H{'a' * 30}{sent}")
    assert "".join(cell[0] for cell in glass.cells[0]) == "x" + "a" * 9 + "y" + "a" * 9 + "z  " + "a" * 7
    assert [glass.cells[0][x][2] for x in (0, 10, 20, 21)] == [
        "38;2;160;176;192",
        "38;2;255;0;0",
        "38;2;160;176;192",
        "",
    ]


class Watched:
    """Every frame of a program, on a glass."""

    def __init__(self, app: Any) -> None:
        self.app, self.shown, self.sent = app, TerminalCells(), 0
        self.size = app.size
        self.glass = Glass(*app.size)
        inner = app._display

        def display(screen: Any, update: Any) -> None:
            inner(screen, update)
            if isinstance(update, LayoutUpdate | ChopsUpdate) and not app._batch_count:
                if app.size != self.size:
                    self.size, self.shown, self.glass = app.size, TerminalCells(), Glass(*app.size)
                text = self.shown.update(frame_pieces(update), ColorSystem.TRUECOLOR)
                self.sent += len(text)
                self.glass.take(text)

        app._display = display
        app.screen.refresh()

    def agrees(self) -> None:
        whole = Glass(*self.app.size)
        for y, strip in enumerate(self.app.screen._compositor.render_strips()):
            whole.take(f"\x1b[{y + 1};1H" + "".join(_sent(segment) for segment in strip))
        for y, (now, wanted) in enumerate(zip(self.glass.cells, whole.cells, strict=True)):
            assert now == wanted, f"line {y}"


@pytest.mark.parametrize("size", [(160, 48), (80, 24)])
async def test_every_frame_of_the_workbench_reaches_the_terminal(size: Any, recorded: Any, open_screen: Any) -> None:
    """You should see on the terminal, after any key, sheet and size, what the program believes to show."""
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, _until):
        watched = Watched(app)
        await pilot.pause()
        for keys in (
            "l l j j",
            "m m T T t",
            "] ] ]",
            "3 down down",
            "2 question_mark",
            "escape",
            "e",
            "down",
            "escape",
            "L",
            "down",
            "escape",
            "ctrl+t",
            "ctrl+p",
            "escape",
            "R",
            "escape",
            "enter",
            "escape",
            "w",
            "escape",
        ):
            await pilot.press(*keys.split())
            await at_rest(app, pilot)
            watched.agrees()
        await pilot.resize_terminal(130, 30)
        await pilot.pause()
        await pilot.press("l", "m")
        await at_rest(app, pilot)
        watched.agrees()


async def test_a_key_on_a_large_grid_sends_little(
    recorded: Any, open_screen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes in true colour, the most expensive case; aim: 200 for a step of the cursor. Measured: docs/lab, screen."""
    from tui.screens import pane_drawing

    monkeypatch.setattr(pane_drawing, "_REST_S", 3600)
    host = recorded.host()
    host.add(*recorded.events(n_layers=80, n_heads=64))
    async with open_screen(host) as (app, pilot, until):
        app.state.put_cursor(9, 20)
        app.screen.drawing.now()
        watched = Watched(app)
        await until(lambda: app.state.codes_key() in app.state.codes)

        async def costs(key: str, most: int, most_at_rest: int) -> None:
            watched.sent = 0
            await pilot.press(key)
            await pilot.pause()
            at_once, watched.sent = watched.sent, 0
            app.screen.drawing.rested()
            await until(lambda: app.state.codes_key() in app.state.codes)
            watched.agrees()
            assert at_once <= most, f"{key}: {at_once} bytes at once"
            assert watched.sent <= most_at_rest, f"{key}: {watched.sent} bytes when the cursor rests"

        for key in ("l", "l", "j", "k"):
            await costs(key, 240, 8_000)
        await costs("T", 4_000, 8_000)
        await costs("m", 40_000, 16_000)
        await costs("m", 40_000, 16_000)
        watched.sent = 0
        await pilot.pause(0.7)
        assert watched.sent == 0
