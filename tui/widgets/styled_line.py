"""Lines of styled text, built left to right from sanitised text."""

from collections.abc import Callable, Iterable
from itertools import pairwise

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.terminal.sanitize import clean

INKS: frozenset[str] = frozenset(
    {
        "text",
        "strong",
        "dim",
        "faint",
        "accent",
        "second",
        "good",
        "bad",
        "positive",
        "negative",
        "key",
        "title",
        "chosen",
        "groove",
        "cursor",
        "tab",
        "tab-on",
        "gone",
        "come",
    }
)
"""Names of text styles; `styled_line.tcss` defines them."""

Inks = Callable[[str], Style]
_SIGNS_A_CELL = 8
"""Maximum characters per cell: more combining accents are cut off."""


class StyledLine:
    """Builder of one line of the screen."""

    def __init__(self, inks: Inks) -> None:
        self._inks = inks
        self._segments: list[Segment] = []
        self.width = 0

    def add(self, text: str, ink: str = "text") -> "StyledLine":
        """Append text; foreign text must be sanitised."""
        if text:
            self._segments.append(Segment(text, self._inks(ink)))
            self.width += cell_len(text)
        return self

    def add_styled(self, text: str, style: Style) -> "StyledLine":
        self._segments.append(Segment(text, style))
        self.width += cell_len(text)
        return self

    def to(self, column: int, sign: str = " ", ink: str = "faint") -> "StyledLine":
        """Fill up to the column."""
        if column > self.width:
            self.add(sign * (column - self.width), ink)
        return self

    @property
    def text(self) -> str:
        """The text so far, without styles."""
        return "".join(segment.text for segment in self._segments)

    def strip(self) -> Strip:
        return Strip(self._segments, self.width)


def take_cells(text: str, width: int) -> str:
    """Return as much of a sanitised text as fits into `width` cells."""
    taken, used = 0, 0
    for sign in text:
        used += cell_len(sign)
        if used > width:
            break
        taken += 1
    return text[:taken]


def fit(text: str, width: int) -> str:
    """Return the beginning of a sanitised text, at most `width` cells, with an ellipsis if it was cut."""
    if width <= 0:
        return ""
    if cell_len(text[: width + 1]) <= width:
        # Combining accents take no cell, so more characters than cells may fit.
        text, whole = text[: width * _SIGNS_A_CELL], len(text) <= width * _SIGNS_A_CELL
        if whole and cell_len(text) <= width:
            return text
    return take_cells(text, width - 1) + "…"


def fit_end(text: str, width: int) -> str:
    """Return the end of a sanitised text, at most `width` cells: the end of a prompt matters most."""
    if width <= 0:
        return ""
    longer = len(text) > width + 1
    text = text[-(width + 1) :]
    if not longer and cell_len(text) <= width:
        return text
    return "…" + take_cells(text[::-1], width - 1)[::-1]


def one_line(text: str, limit: int = 400) -> str:
    """Return the last `limit` characters of a foreign text, sanitised, on one line."""
    return clean(text[-limit:])


def wrap(text: str, width: int, most: int) -> list[str]:
    """Sanitise and wrap a text to lines of at most `width` cells; an ellipsis after `most` lines."""
    if width < 1 or most < 1:
        return []
    lines: list[str] = []
    for paragraph in clean(text[: width * most * 2], lines=True).split("\n"):
        lines.extend(_fold(paragraph, width))
        if len(lines) > most:
            break
    if len(lines) > most or len(text) > width * most * 2:
        lines = lines[:most]
        lines[-1] = fit(lines[-1] + "……", width) if cell_len(lines[-1]) >= width else lines[-1] + "…"
    return lines


def bar(share: float, width: int) -> tuple[str, str]:
    """Return both parts of a thin progress bar: done and remaining."""
    halves = round(min(max(share, 0.0), 1.0) * width * 2)
    done = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return done, "─" * (width - len(done))


def sparkline(values: Iterable[float], width: int) -> str:
    """Return the values as a sparkline; more values than columns are averaged."""
    points = list(values)
    if not points or width < 1:
        return ""
    if len(points) > width:
        # Average each stretch, so that the whole course is visible.
        edges = [round(i * len(points) / width) for i in range(width + 1)]
        points = [sum(points[a:b]) / (b - a) for a, b in pairwise(edges) if b > a]
    low, high = min(points), max(points)
    span = high - low
    return "".join("▁▂▃▄▅▆▇█"[min(7, int((value - low) / span * 7.999))] if span > 0 else "▁" for value in points)


def _fold(paragraph: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in paragraph.split(" "):
        while cell_len(word) > width:
            head = take_cells(word, width) or word[0]
            if line:
                lines.append(line)
                line = ""
            lines.append(head)
            word = word[len(head) :]
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= width:
            line = joined
        else:
            lines.append(line)
            line = word
    lines.append(line)
    return lines
