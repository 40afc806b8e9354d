"""Straight lines drawn with braille characters: every cell has two by four dots."""

from collections.abc import Sequence
from itertools import pairwise

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Unicode bits by column and row of the dot."""


class BrailleCanvas:
    """A grid of braille cells. A cell has the ink of the last line through it: draw the important lines last."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._dots: dict[tuple[int, int], int] = {}
        self._inks: dict[tuple[int, int], str] = {}

    def line(self, start: tuple[int, int], end: tuple[int, int], ink: str) -> None:
        """Draw from the middle of one cell (column, line) to the middle of another."""
        self.stroke((start[0] * 2, start[1] * 4 + 2), (end[0] * 2, end[1] * 4 + 2), ink)

    def route(self, points: Sequence[tuple[int, int]], ink: str, *, dashed: bool = False) -> None:
        """Draw from cell to cell, each in a lower line than the previous one.

        The line leaves and enters each cell vertically and slants only between them, where no labels are.
        """
        for (x0, y0), (x1, y1) in pairwise(points):
            out, into = (x0 * 2, y0 * 4 + 3), (x1 * 2, y1 * 4)
            self.stroke((x0 * 2, y0 * 4 + 2), out, ink, dashed=dashed)
            self.stroke((out[0], out[1] + 1), (into[0], into[1] - 1), ink, dashed=dashed)
            self.stroke(into, (x1 * 2, y1 * 4 + 2), ink, dashed=dashed)

    def stroke(self, start: tuple[int, int], end: tuple[int, int], ink: str, *, dashed: bool = False) -> None:
        """Draw from one dot (column, row) to another; dashed: two dots, then none for two."""
        (x0, y0), (x1, y1) = start, end
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            if dashed and step % 4 >= 2:
                continue
            x = x0 + round((x1 - x0) * step / steps)
            y = y0 + round((y1 - y0) * step / steps)
            cell = (x // 2, y // 4)
            if 0 <= cell[0] < self.width and 0 <= cell[1] < self.height:
                self._dots[cell] = self._dots.get(cell, 0) | _DOTS[x % 2][y % 4]
                self._inks[cell] = ink

    def cell(self, x: int, y: int) -> tuple[str, str]:
        """Return the character and ink of a cell; a blank where no line runs."""
        dots = self._dots.get((x, y))
        return (" ", "faint") if dots is None else (chr(0x2800 + dots), self._inks[(x, y)])
