"""How one cell of the grid looks: its size, its colours, its signs. No widget, so that it can be tried out alone."""

from functools import lru_cache

import msgspec
from rich.cells import cell_len
from rich.color import Color
from rich.style import Style

from tui.state.number_text import format_number
from tui.themes.colour_maps import DEFAULT_MAP, Rgb
from tui.themes.diverging import diverging_colours
from tui.themes.themes import LEVELS, Depth, heat_colours, needs_dark_text

KNOWN = "◆"
KNOWN_INSIDE = "◈"
"""A known head of the circuit, where two columns have to show its shade as well."""
IDLE = "∅"
"""A head whose effect on the answer was measured and is less than a twentieth."""
SILENT = "·"
SHADES = " ░▒▓█"


class CellSize(msgspec.Struct, frozen=True):
    """How many columns and rows one head gets."""

    width: int
    height: int


def cell_size(room_width: int, room_height: int, n_layers: int, n_heads: int) -> CellSize:
    """The largest cells for which the whole grid fits; two columns by one row where nothing does."""
    width = min(max(room_width // max(n_heads, 1), 2), 7)
    height = min(max(room_height // max(n_layers, 1), 1), 3)
    if width < 4:
        height = 1
    elif width < 6:
        height = min(height, 2)
    return CellSize(width, height)


def level_of(loud: float | None) -> int:
    """The step of the colour map; -1 where there is no value. Only what is silent gets step 0."""
    if loud is None:
        return -1
    return 0 if loud <= 0 else max(1, round(loud * (LEVELS - 1)))


class CellMark(msgspec.Struct, frozen=True):
    """What is to be said about a cell besides its value."""

    circuit: bool = False
    known: bool = False
    cursor: bool = False
    chosen: bool = False
    """Marked by hand."""
    signs: str = ""
    """Two signs: how likely chance is, how many seeds agree. Empty: they are not asked for."""

    @property
    def edges(self) -> tuple[str, str] | None:
        """What stands left and right of the value where a cell is one line high."""
        if self.chosen:
            return ("«", "»") if self.circuit else ("‹", "›")
        return ("[", "]") if self.circuit else None


PLAIN = CellMark()
_POINTED = ("▸", "◂")
"""The edges of the cursor's cell where it has no others and no colour of its own."""


@lru_cache(maxsize=16_384)
def cell_rows(value: str, level: int, size: CellSize, mark: CellMark, shaded: bool) -> tuple[tuple[str, str, str], ...]:
    """The signs of a cell, row by row, as (left edge, middle, right edge).

    `value` is the number where it should stand; `shaded` fills the cell with a shade, for terminals without colours.
    Whatever else a cell says, some of its shade is left: on those terminals it is all that says how loud a head is.
    """
    inner = size.width - 2
    fill = fill_of(level, mark) if shaded else " "
    if size.height == 1:
        sign = value[:1] if value[:1] == "+" or level >= LEVELS else ""
        single = _single_row(value, size, mark, fill, sign, shaded=shaded)
        # Signs that were asked for take both columns where there are two, and what is silent has no shade.
        room = shaded and level > 0 and not sign and not (mark.signs and size.width < 4)
        return (_with_shade(single, fill, mark) if room else single,)
    rows = []
    middle = (size.height - 1) // 2
    for row in range(size.height):
        left, sign, right = _frame(row, size.height, mark)
        if shaded and row != middle:
            sign = " "  # the corners and sides are frame enough
        if row == middle and sign == " ":
            body = _centred(value, inner, fill)
        else:
            body = (fill if sign == " " else sign) * inner
        if mark.known and row == (size.height - 1 if size.height == 2 else 0):
            body = body[:-1] + KNOWN
        if mark.signs and row == size.height - 1:
            body = _with_signs(body, mark)
        rows.append((left if left != " " else fill, body, right if right != " " else fill))
    if shaded and not any(fill in "".join(each) for each in rows):
        rows[middle] = (rows[middle][0], fill * inner, rows[middle][2])
    return tuple(rows)


def fill_of(level: int, mark: CellMark = PLAIN) -> str:
    """The shade of a step of the colour map. The cursor's cell is drawn reversed, so it gets the shade's opposite."""
    shade = shade_of(level)
    return SHADES[-1 - shade] if mark.cursor else SHADES[shade]


def _with_shade(row: tuple[str, str, str], fill: str, mark: CellMark) -> tuple[str, str, str]:
    """The row of a cell, its closing edge given up where nothing else would show the shade."""
    left, body, right = row
    if fill in left + body + right:
        return row
    return (KNOWN_INSIDE if right == KNOWN and not mark.chosen else left, body, fill)


def _single_row(
    value: str, size: CellSize, mark: CellMark, fill: str, sign: str, *, shaded: bool
) -> tuple[str, str, str]:
    """`sign` is that of a difference: where there is no room for its number, it still has to be told."""
    left, right = mark.edges or (_POINTED if shaded and mark.cursor else (fill, fill))
    if mark.signs:
        return _signed_row(value, size, mark, fill, left, right)
    if size.width == 2:
        if mark.chosen and not sign:
            return (left, "", KNOWN if mark.known else right)
        if sign:
            return (left if mark.circuit else sign, "", sign if mark.circuit else KNOWN if mark.known else right)
        if mark.known:
            return (left, "", KNOWN)
        return (left, "", right)
    inner = size.width - 2
    if mark.known and inner >= 2 and cell_len(value) < inner:
        return (left, _centred(value, inner - 1, fill) + KNOWN, right)
    if mark.known and sign:
        return (left, _centred(sign, inner - 1, fill) + KNOWN if inner > 1 else sign, right)
    if mark.known:
        return (left, KNOWN.center(inner, fill), right)
    return (left, _centred(value, inner, fill, blanks=left == fill), right)


def _with_signs(body: str, mark: CellMark) -> str:
    """In the last row of a cell, chance to the left and seeds to the right; a known head keeps its sign."""
    chance, seeds = mark.signs[0], mark.signs[1]
    body = (chance if chance != " " else body[0]) + body[1:]
    if seeds == " ":
        return body
    return body[:-2] + seeds + KNOWN if body.endswith(KNOWN) else body[:-1] + seeds


def significance_sign(q_value: float | None) -> str:
    """How likely it is that chance alone brought a head that far, as a sign; a blank where it may well have."""
    if q_value is None or not q_value <= _MAYBE:
        return " "
    return "*" if q_value <= _HARDLY else "'"


def stability_sign(stability: float) -> str:
    """How many seeds put the head into the circuit: all, half, fewer."""
    return "●" if stability >= 1 else "○" if stability >= 0.5 else " "


_HARDLY, _MAYBE = 0.05, 0.2
SIGNS = "* q ≤ .05  ' q ≤ .2  ● every seed  ○ half"
"""What the signs mean, for a legend."""


def _signed_row(value: str, size: CellSize, mark: CellMark, fill: str, left: str, right: str) -> tuple[str, str, str]:
    """With the signs of chance and seeds, which go before the number; the circuit is underlined where they take all."""
    chance, seeds = (sign if sign != " " else fill for sign in mark.signs)
    if size.width < 4:
        return (left if mark.chosen else chance, fill * (size.width - 2), right if mark.chosen else seeds)
    room = size.width - 4
    return (left, chance + (_centred(value, room, fill) if room else "") + seeds, right)


def _frame(row: int, height: int, mark: CellMark) -> tuple[str, str, str]:
    """Heavy for the cursor, light and closed for the circuit; the cursor on a head outside it has corners alone."""
    if not (mark.cursor or mark.circuit or mark.chosen):
        return " ", " ", " "
    corners = ("┏┓", "┗┛") if mark.cursor else ("╔╗", "╚╝") if mark.chosen else ("╭╮", "╰╯")
    along, beside = ("━", "┃") if mark.cursor else ("═", "║") if mark.chosen else ("─", "│")
    if mark.cursor and mark.chosen:
        beside = "║"
    closed = mark.circuit and height > 2
    if row == 0:
        return corners[0][0], along if closed else " ", corners[0][1]
    if row == height - 1:
        return corners[1][0], along if closed else " ", corners[1][1]
    return (beside, " ", beside) if closed or (mark.cursor and mark.chosen) else (" ", " ", " ")


def _centred(value: str, width: int, fill: str, *, blanks: bool = True) -> str:
    length = cell_len(value)
    if not length or length > width:
        return fill * width
    pad = width - length
    left = (pad + 1) // 2
    if fill != " " and pad >= (2 if blanks else 4):
        # A blank on both sides keeps the number legible inside a shade; what has edges spares it where room is scarce.
        return fill * (left - 1) + f" {value} " + fill * (pad - left - 1)
    return fill * left + value + fill * (pad - left)


def format_value(value: float | None, level: int, width: int, *, digits: int = 3) -> str:
    """The number as it stands in a cell: a point for silence, nothing where it does not fit."""
    if width <= 2:
        return "?" if level < 0 and value is not None else ""
    if level < 0:
        return "" if value is None else "?"
    if level == 0 and value == 0:
        return SILENT
    text = format_number(value, min(max(width - 2, 1), digits))
    return text if len(text) <= width - 2 else ""


def format_difference(difference: float | None, level: int, width: int, *, digits: int = 3) -> str:
    """A signed number as it stands in a cell; where it does not fit, its sign alone."""
    if difference is None:
        return "?" if width > 2 else ""
    if level % LEVELS == 0:
        return SILENT if width > 2 else ""
    sign = "+" if difference > 0 else "-"
    text = sign + format_number(abs(difference), min(max(width - 3, 1), digits))
    return text if len(text) <= width - 2 else sign


def shade_of(level: int) -> int:
    """The place in SHADES of a step of the colour map."""
    level = level % LEVELS if level > 0 else level  # the second half of a signed palette is the other sign
    return 0 if level <= 0 else min(len(SHADES) - 1, 1 + level * (len(SHADES) - 1) // LEVELS)


class CellPalette(msgspec.Struct, frozen=True):
    """The styles of all cells for one theme and one kind of terminal."""

    cells: tuple[Style, ...]
    """By level; the last one is for level -1, a head without a value."""
    marked: tuple[Style, ...]
    """The same for heads of the circuit, known ones and the one under the cursor: their signs must be read."""
    cursor: Style
    shaded: bool


@lru_cache(maxsize=32)
def palette(*, dark: bool, depth: Depth, faded: bool, name: str = DEFAULT_MAP) -> CellPalette:
    """Colours on the ground where the terminal has enough of them, else shades of signs."""
    plain = Style(reverse=True, bold=True)
    if depth in ("16", "none"):
        colour = "cyan" if depth == "16" else None
        styles = tuple(Style(color=colour if level > 0 else None, dim=faded) for level in (*range(LEVELS), -1))
        return CellPalette(
            styles,
            tuple(Style(color=each.color, bold=True) for each in styles),
            plain,
            shaded=True,
        )
    colours = heat_colours(dark=dark, faded=faded, name=name)
    bright: Rgb = (0xFF, 0xFF, 0xFF)
    black: Rgb = (0x0A, 0x0D, 0x12)
    quiet_ink: Rgb = (0x56, 0x60, 0x70) if dark else (0x97, 0xA1, 0xAD)
    cells_, marked = [], []
    for level in (*range(LEVELS), -1):
        ground = colours[max(level, 0)]
        readable = black if needs_dark_text(ground) else bright
        ink = quiet_ink if level < 1 else readable
        cells_.append(_style(ink, ground))
        marked.append(_style(readable, ground, bold=True))
    return CellPalette(tuple(cells_), tuple(marked), plain, shaded=False)


@lru_cache(maxsize=32)
def signed_palette(*, dark: bool, depth: Depth, faded: bool, name: str = DEFAULT_MAP) -> CellPalette:
    """The same for differences: LEVELS steps of more here, LEVELS of more there (tui.themes.diverging)."""
    plain = Style(reverse=True, bold=True)
    if depth in ("16", "none"):
        colours = ("cyan", "yellow") if depth == "16" else (None, None)
        steps = [Style(color=colour if level else None, dim=faded) for colour in colours for level in range(LEVELS)]
        marked = [Style(color=step.color, bold=True) for step in (*steps, Style())]
        return CellPalette((*steps, Style(dim=True)), tuple(marked), plain, shaded=True)
    quiet_ink: Rgb = (0x56, 0x60, 0x70) if dark else (0x97, 0xA1, 0xAD)
    cells: list[Style] = []
    marked = []
    for level, ground in enumerate(
        [*diverging_colours(dark=dark, faded=faded, name=name), diverging_colours(dark=dark)[0]]
    ):
        readable: Rgb = (0x0A, 0x0D, 0x12) if needs_dark_text(ground) else (0xFF, 0xFF, 0xFF)
        cells.append(_style(quiet_ink if level % LEVELS == 0 else readable, ground))
        marked.append(_style(readable, ground, bold=True))
    return CellPalette(tuple(cells), tuple(marked), plain, shaded=False)


def _style(ink: Rgb, ground: Rgb, *, bold: bool = False) -> Style:
    return Style.from_color(Color.from_rgb(*ink), Color.from_rgb(*ground)) + Style(bold=bold)
