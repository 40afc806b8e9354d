"""Look of one cell of the grid: size, colours, symbols. Pure functions, no widget."""

from functools import lru_cache

import msgspec
from rich.cells import cell_len
from rich.color import Color
from rich.style import Style

from tui.state.node_signs import KNOWN
from tui.state.number_text import format_number
from tui.themes.colour_maps import DEFAULT_MAP, Rgb
from tui.themes.diverging import diverging_colours
from tui.themes.themes import LEVELS, Depth, heat_colours, needs_dark_text

KNOWN_INSIDE = "◈"
"""A known head inside the circuit, where two columns must also show its shade."""
SILENT = "·"
SHADES = " ░▒▓█"


class CellSize(msgspec.Struct, frozen=True):
    """Columns and rows of one head."""

    width: int
    height: int


def cell_size(room_width: int, room_height: int, n_layers: int, n_heads: int) -> CellSize:
    """Return the largest cell size for which the grid fits; at least two columns by one row."""
    width = min(max(room_width // max(n_heads, 1), 2), 7)
    height = min(max(room_height // max(n_layers, 1), 1), 3)
    if width < 4:
        height = 1
    elif width < 6:
        height = min(height, 2)
    return CellSize(width, height)


def level_of(intensity: float | None) -> int:
    """Return the level in the colour map; -1 without a value. Only values at the floor get level 0."""
    if intensity is None:
        return -1
    return 0 if intensity <= 0 else max(1, round(intensity * (LEVELS - 1)))


class CellMark(msgspec.Struct, frozen=True):
    """State of a cell besides its value."""

    circuit: bool = False
    known: bool = False
    cursor: bool = False
    chosen: bool = False
    """Marked by the user."""
    signs: str = ""
    """Two symbols, for significance and seed stability; empty if not shown."""

    @property
    def edges(self) -> tuple[str, str] | None:
        """Brackets around the value in a cell one line high; None without any."""
        if self.chosen:
            return ("«", "»") if self.circuit else ("‹", "›")
        return ("[", "]") if self.circuit else None


PLAIN = CellMark()
_POINTED = ("▸", "◂")
"""Brackets of the cursor's cell without colours, if it has no others."""


@lru_cache(maxsize=16_384)
def cell_rows(value: str, level: int, size: CellSize, mark: CellMark, shaded: bool) -> tuple[tuple[str, str, str], ...]:
    """Return the characters of a cell, row by row, as (left edge, middle, right edge).

    `value` is the number to show; `shaded` fills the cell with a shade character, for terminals without colours. At
    least one shade character always stays visible there, because only it shows the value.
    """
    inner = size.width - 2
    fill = fill_of(level, mark) if shaded else " "
    if size.height == 1:
        sign = value[:1] if value[:1] == "+" or level >= LEVELS else ""
        single = _single_row(value, size, mark, fill, sign, shaded=shaded)
        # Symbols take both columns of a two-column cell, and level 0 has no shade.
        room = shaded and level > 0 and not sign and not (mark.signs and size.width < 4)
        return (_with_shade(single, fill, mark) if room else single,)
    rows = []
    middle = (size.height - 1) // 2
    for row in range(size.height):
        left, sign, right = _frame(row, size.height, mark)
        if shaded and row != middle:
            sign = " "  # corners and sides suffice as a frame
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
    """Return the shade of a level. The cursor's cell is drawn in reverse, so its shade is inverted."""
    shade = shade_of(level)
    return SHADES[-1 - shade] if mark.cursor else SHADES[shade]


def _with_shade(row: tuple[str, str, str], fill: str, mark: CellMark) -> tuple[str, str, str]:
    """Replace the right edge by the shade if no other character shows it."""
    left, body, right = row
    if fill in left + body + right:
        return row
    return (KNOWN_INSIDE if right == KNOWN and not mark.chosen else left, body, fill)


def _single_row(
    value: str, size: CellSize, mark: CellMark, fill: str, sign: str, *, shaded: bool
) -> tuple[str, str, str]:
    """Return a cell of one line. `sign` of a difference is shown even if its number has no room."""
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
    """Put the significance symbol left and the stability symbol right in the last row of a cell."""
    chance, seeds = mark.signs[0], mark.signs[1]
    body = (chance if chance != " " else body[0]) + body[1:]
    if seeds == " ":
        return body
    return body[:-2] + seeds + KNOWN if body.endswith(KNOWN) else body[:-1] + seeds


def significance_sign(q_value: float | None) -> str:
    """Return the symbol for a q-value: * up to .05, ' up to .2, else a blank."""
    if q_value is None or not q_value <= _WEAK:
        return " "
    return "*" if q_value <= _SIGNIFICANT else "'"


def stability_sign(stability: float) -> str:
    """Return the symbol for stability over seeds: ● all, ○ at least half, else a blank."""
    return "●" if stability >= 1 else "○" if stability >= 0.5 else " "


_SIGNIFICANT, _WEAK = 0.05, 0.2
SIGNS = "* q ≤ .05  ' q ≤ .2  ● every seed  ○ half"
"""Legend of the symbols."""


def _signed_row(value: str, size: CellSize, mark: CellMark, fill: str, left: str, right: str) -> tuple[str, str, str]:
    """Return a cell of one line with both symbols; they have priority over the number and the brackets."""
    chance, seeds = (sign if sign != " " else fill for sign in mark.signs)
    if size.width < 4:
        return (left if mark.chosen else chance, fill * (size.width - 2), right if mark.chosen else seeds)
    room = size.width - 4
    return (left, chance + (_centred(value, room, fill) if room else "") + seeds, right)


def _frame(row: int, height: int, mark: CellMark) -> tuple[str, str, str]:
    """Return a row of the frame: heavy for the cursor, double for marked heads, light and closed for the circuit."""
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
        # Blanks around the number keep it legible inside a shade, if there is room.
        return fill * (left - 1) + f" {value} " + fill * (pad - left - 1)
    return fill * left + value + fill * (pad - left)


def format_value(value: float | None, level: int, width: int, *, digits: int = 3) -> str:
    """Format a value for a cell: a dot for zero, empty if it does not fit."""
    if width <= 2:
        return "?" if level < 0 and value is not None else ""
    if level < 0:
        return "" if value is None else "?"
    if level == 0 and value == 0:
        return SILENT
    text = format_number(value, min(max(width - 2, 1), digits))
    return text if len(text) <= width - 2 else ""


def format_difference(difference: float | None, level: int, width: int, *, digits: int = 3) -> str:
    """Format a difference for a cell; only its sign if the number does not fit."""
    if difference is None:
        return "?" if width > 2 else ""
    if level % LEVELS == 0:
        return SILENT if width > 2 else ""
    sign = "+" if difference > 0 else "-"
    text = sign + format_number(abs(difference), min(max(width - 3, 1), digits))
    return text if len(text) <= width - 2 else sign


def shade_of(level: int) -> int:
    """Return the index in SHADES of a level."""
    level = level % LEVELS if level > 0 else level  # the second half of a signed palette has the other sign
    return 0 if level <= 0 else min(len(SHADES) - 1, 1 + level * (len(SHADES) - 1) // LEVELS)


class CellPalette(msgspec.Struct, frozen=True):
    """Styles of all cells for one theme and colour depth."""

    cells: tuple[Style, ...]
    """Styles by level; the last one is for level -1, a head without a value."""
    marked: tuple[Style, ...]
    """Styles by level for heads with symbols, which must be legible: circuit, known, marked, cursor."""
    cursor: Style
    shaded: bool


@lru_cache(maxsize=32)
def palette(*, dark: bool, depth: Depth, faded: bool, name: str = DEFAULT_MAP) -> CellPalette:
    """Return background colours if the terminal has enough of them, else styles for shade characters."""
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
    """Return the palette for differences: LEVELS levels for each sign (tui.themes.diverging)."""
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
