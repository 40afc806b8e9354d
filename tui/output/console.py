"""Output on stdout (data) and stderr (narration), and how many colours each supports."""

import os
import sys
from collections.abc import Collection, Mapping
from typing import IO, TYPE_CHECKING, Literal

import msgspec

from tui.output.cli_options import check_colour
from tui.terminal.sanitize import clean, escaped

if TYPE_CHECKING:
    from rich.console import Console

Colours = Literal["truecolor", "256", "16", "none"]
_RICH_SYSTEM: dict[Colours, Literal["truecolor", "256", "standard"] | None] = {
    "truecolor": "truecolor",
    "256": "256",
    "16": "standard",
    "none": None,
}
PIPED_WIDTH = 100
"""Columns for output that is not a terminal: it is read in an editor or a pager."""
_SIGNS_A_CELL = 8
"""Maximum characters per cell; further combining accents are unreadable and are cut."""


class OutputStyle(msgspec.Struct, frozen=True, kw_only=True):
    """Colours, width and character set of an output."""

    colours: Colours
    width: int
    unicode: bool = True


def find_colours(choice: str, *, terminal: bool, environ: Mapping[str, str]) -> Colours:
    """Return the number of colours: the chosen one, else what the terminal supports.

    NO_COLOR, TERM=dumb and a pipe mean none. Raises ConfigError for an unknown choice.
    """
    check_colour(choice)
    if choice != "auto":
        return choice  # type: ignore[return-value]  # checked above
    name = environ.get("TERM", "")
    if not terminal or environ.get("NO_COLOR") or name in ("dumb", ""):
        return "none"
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    if "256color" in name or name.endswith("-kitty") or name in ("alacritty", "foot", "wezterm"):
        return "256"
    return "16"


def detect_style(choice: str, stream: IO[str] | None = None) -> OutputStyle:
    """Return the style that the stream (default: stdout) supports."""
    out = sys.stdout if stream is None else stream
    terminal = out.isatty()
    return OutputStyle(
        colours=find_colours(choice, terminal=terminal, environ=os.environ),
        width=terminal_size()[0] if terminal else PIPED_WIDTH,
        unicode="utf" in (getattr(out, "encoding", None) or "utf-8").lower(),
    )


def terminal_size() -> tuple[int, int]:
    """Return columns and rows of the terminal."""
    import shutil

    size = shutil.get_terminal_size()
    return size.columns, size.lines


def make_console(output: OutputStyle, stream: IO[str] | None = None) -> "Console":
    """Return a rich console without guessing: no markup, no highlighting, the colours of `output`."""
    from rich.console import Console

    return Console(
        file=sys.stdout if stream is None else stream,
        color_system=_RICH_SYSTEM[output.colours],
        no_color=output.colours == "none",
        force_terminal=output.colours != "none",
        width=output.width,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )


def print_json(value: object) -> None:
    """Print one indented JSON object on stdout. NaN and infinities become null."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    write_data(text + "\n")


def write_data(text: str) -> None:
    """Write data to stdout: unchanged to a file or pipe, with control characters escaped on a terminal."""
    sys.stdout.write(escaped(text, lines=True) if sys.stdout.isatty() else text)


def print_line(text: str = "") -> None:
    """Print one sanitised line of data on stdout."""
    sys.stdout.write(clean(text) + "\n")


def narrate(text: str) -> None:
    """Print one line of narration on stderr."""
    sys.stderr.write(clean(text) + "\n")


def print_columns(rows: list[tuple[str, ...]], *, header: tuple[str, ...] = (), right: Collection[int] = ()) -> None:
    """Print rows with aligned columns, measured in terminal cells; the last column is not padded.

    `right` lists the columns to align right, such as numbers.
    """
    table = [header, *rows] if header else rows
    if not table:
        return
    from rich.cells import cell_len

    cleaned = [tuple(clean(cell) for cell in row) for row in table]
    widths = [max(cell_len(row[column]) for row in cleaned) for column in range(len(cleaned[0]))]
    for row in cleaned:
        cells = [
            pad(cell, width, right=column in right)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Pad a clean text with spaces to `width` cells, on the left if `right` is set.

    Unlike ljust, this counts wide characters as two cells and combining accents as none.
    """
    from rich.cells import cell_len

    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def shorten(text: str, width: int) -> str:
    """Cut a clean text to `width` cells, ending in three points if something was cut."""
    from rich.cells import split_graphemes

    most = width * _SIGNS_A_CELL
    letters, cells = split_graphemes(text[:most])
    if len(text) <= most and cells <= width:
        return text
    used, end = 0, 0
    for _, after, wide in letters:
        used += wide
        if used > width - 3:
            break
        end = after
    return text[:end] + "..."
