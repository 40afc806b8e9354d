"""Where text goes: stdout is data, stderr is narration; how many colours each can show."""

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
"""Columns where there is no terminal to ask: a file is read in an editor or a pager."""
_SIGNS_A_CELL = 8
"""With more accents than that nobody can read a letter: the rest is cut off."""


class OutputStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What can be shown where the result goes."""

    colours: Colours
    width: int
    unicode: bool = True


def find_colours(choice: str, *, terminal: bool, environ: Mapping[str, str]) -> Colours:
    """The number of colours to use: what was asked for, else what the terminal says it can.

    Raises ConfigError for a choice there is not. NO_COLOR and TERM=dumb mean none, and so does a pipe.
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
    """What the stream (stdout) can show."""
    out = sys.stdout if stream is None else stream
    terminal = out.isatty()
    return OutputStyle(
        colours=find_colours(choice, terminal=terminal, environ=os.environ),
        width=terminal_size()[0] if terminal else PIPED_WIDTH,
        unicode="utf" in (getattr(out, "encoding", None) or "utf-8").lower(),
    )


def terminal_size() -> tuple[int, int]:
    import shutil

    size = shutil.get_terminal_size()
    return size.columns, size.lines


def make_console(output: OutputStyle, stream: IO[str] | None = None) -> "Console":
    """A rich console that guesses nothing: no markup, no highlighting, the colours of `output`."""
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
    """One JSON object on stdout, indented for eyes, on lines for diff. NaN and infinities become null."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    write_data(text + "\n")


def write_data(text: str) -> None:
    """Data on stdout: as it is into a file or a pipe; what could steer or fool a terminal is escaped there."""
    sys.stdout.write(escaped(text, lines=True) if sys.stdout.isatty() else text)


def print_line(text: str = "") -> None:
    """One line of data on stdout, foreign characters disarmed."""
    sys.stdout.write(clean(text) + "\n")


def narrate(text: str) -> None:
    """One line of narration on stderr."""
    sys.stderr.write(clean(text) + "\n")


def print_columns(rows: list[tuple[str, ...]], *, header: tuple[str, ...] = (), right: Collection[int] = ()) -> None:
    """Rows with their columns aligned in terminal cells, the last one left as long as it is.

    `right` names the columns that are set to the right, as numbers are.
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
    """A clean text with blanks behind it (before it: `right`) up to `width` cells.

    A letter of Chinese takes two cells and an accent of its own none, which ljust does not know.
    """
    from rich.cells import cell_len

    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def shorten(text: str, width: int) -> str:
    """The beginning of a clean text in at most `width` cells; three points say that there was more."""
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


def format_bytes(count: int) -> str:
    """A size as people say it: 538 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
