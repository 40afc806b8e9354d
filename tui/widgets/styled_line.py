"""Lines of styled text, built left to right; every foreign word in them has been through `clean`."""

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
"""What a word means; `ink.tcss` says how it looks."""

Inks = Callable[[str], Style]
_SIGNS_A_CELL = 8
"""With more accents than that nobody can read a letter: the rest is cut off."""


class StyledLine:
    """One line of the screen in the making."""

    def __init__(self, inks: Inks) -> None:
        self._inks = inks
        self._segments: list[Segment] = []
        self.width = 0

    def add(self, text: str, ink: str = "text") -> "StyledLine":
        """Text of our own, or foreign text that was cleaned."""
        if text:
            self._segments.append(Segment(text, self._inks(ink)))
            self.width += cell_len(text)
        return self

    def add_styled(self, text: str, style: Style) -> "StyledLine":
        self._segments.append(Segment(text, style))
        self.width += cell_len(text)
        return self

    def to(self, column: int, sign: str = " ", ink: str = "faint") -> "StyledLine":
        """Fills up to the column."""
        if column > self.width:
            self.add(sign * (column - self.width), ink)
        return self

    @property
    def text(self) -> str:
        """What stands there so far, without its inks."""
        return "".join(segment.text for segment in self._segments)

    def strip(self) -> Strip:
        return Strip(self._segments, self.width)


def take_cells(text: str, width: int) -> str:
    """As much of a cleaned text as `width` cells hold."""
    taken, used = 0, 0
    for sign in text:
        used += cell_len(sign)
        if used > width:
            break
        taken += 1
    return text[:taken]


def fit(text: str, width: int) -> str:
    """The beginning of a cleaned text, at most `width` cells; an ellipsis says that there is more."""
    if width <= 0:
        return ""
    if cell_len(text[: width + 1]) <= width:
        # Accents of their own take no cell, so that more letters may fit than there are cells.
        text, whole = text[: width * _SIGNS_A_CELL], len(text) <= width * _SIGNS_A_CELL
        if whole and cell_len(text) <= width:
            return text
    return take_cells(text, width - 1) + "…"


def fit_end(text: str, width: int) -> str:
    """The end of a cleaned text, at most `width` cells: of a prompt, the end is what the model continues."""
    if width <= 0:
        return ""
    longer = len(text) > width + 1
    text = text[-(width + 1) :]
    if not longer and cell_len(text) <= width:
        return text
    return "…" + take_cells(text[::-1], width - 1)[::-1]


def one_line(text: str, limit: int = 400) -> str:
    """The last `limit` characters of a foreign text, harmless and on one line."""
    return clean(text[-limit:])


def wrap(text: str, width: int, most: int) -> list[str]:
    """A foreign text over several lines of at most `width` cells; after `most` lines an ellipsis."""
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
    """A thin bar for progress: the line done, and the line to go."""
    halves = round(min(max(share, 0.0), 1.0) * width * 2)
    done = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return done, "─" * (width - len(done))


def sparkline(values: Iterable[float], width: int) -> str:
    """The newest finite values as a row of small columns, the largest highest."""
    points = list(values)
    if not points or width < 1:
        return ""
    if len(points) > width:
        # The mean of each stretch, so that the whole course is seen and not its end alone.
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
