"""Small braille line charts, side by side, identified by position and name rather than colour."""

import math
from collections.abc import Sequence

from tui.widgets.braille import BrailleCanvas
from tui.widgets.styled_line import StyledLine


def value_range(curves: Sequence[Sequence[float | None]]) -> tuple[float, float, bool]:
    """Return the lowest and highest finite value of all curves, and True if a log scale suits them."""
    finite = [value for curve in curves for value in curve if value is not None and math.isfinite(value)]
    if not finite:
        return 0.0, 1.0, False
    low, high = min(finite), max(finite)
    return low, high, low > 0 and high > 20 * low


def draw_curve(
    values: Sequence[float | None], width: int, height: int, *, span: tuple[float, float, bool], share: float = 1.0
) -> BrailleCanvas:
    """Draw the curve over that share of the width; values that are not finite leave gaps."""
    canvas = BrailleCanvas(width, height)
    low, high, logarithmic = span
    if logarithmic:
        low, high = math.log(low), math.log(high)
    columns = max(1, round((2 * width - 1) * min(max(share, 0.0), 1.0)))
    before: tuple[int, int] | None = None
    for place, value in enumerate(values):
        if value is None or not math.isfinite(value) or (logarithmic and value <= 0):
            before = None
            continue
        scaled = math.log(value) if logarithmic else value
        level = (scaled - low) / (high - low) if high > low else 0.5
        x = round(place / max(len(values) - 1, 1) * columns)
        y = round((1 - level) * (4 * height - 1))
        canvas.stroke(before or (x, y), (x, y), "accent")
        before = (x, y)
    return canvas


def add_row(line: StyledLine, canvas: BrailleCanvas, row: int) -> None:
    """Add one row of the canvas to the line."""
    for x in range(canvas.width):
        line.add(*canvas.cell(x, row))
