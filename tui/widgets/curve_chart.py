"""Curves of a sweep in braille: an axis with its values, a letter at the end of each curve, a legend."""

import math
from collections.abc import Sequence

from engine.sweeps.curves import AxisCurve, Chart
from tui.state.number_text import format_number
from tui.terminal.sanitize import clean
from tui.widgets.braille import BrailleCanvas

INKS = ("accent", "second", "good", "bad", "strong", "dim", "text", "faint")
"""Of curves in turn; letters tell them apart without colours."""
LETTERS = "abcdefgh"
_LABEL = 7
Piece = tuple[str, str]
"""Text and ink."""


def chart_lines(chart: Chart, width: int, height: int, *, top: float | None = None) -> list[list[Piece]]:
    """Return the chart as lines of (text, ink): the curves, the axis, the legend. `top`: of the scale."""
    legend = _legend(chart, width)
    room = max(height - 2 - len(legend), 3)
    columns = max(width - _LABEL - 2, 8)
    low, high = value_span(chart.curves, top)
    canvas = BrailleCanvas(columns, room)
    ends: dict[tuple[int, int], Piece] = {}
    for number, curve in reversed(list(enumerate(chart.curves))):
        _draw(canvas, chart.places, curve, (low, high), INKS[number % len(INKS)])
    for number, curve in enumerate(chart.curves if len(chart.curves) > 1 else ()):
        _mark(ends, canvas, chart.places, curve, (low, high), (LETTERS[number], INKS[number % len(INKS)]))
    lines: list[list[Piece]] = []
    for row in range(room):
        label = {0: high, room - 1: low, room // 2: (low + high) / 2}.get(row)
        text = "" if label is None or (row == room // 2 and room < 7) else format_number(label, 6)
        line: list[Piece] = [(f"{text:>{_LABEL - 1}} ", "dim"), ("│", "faint")]
        line += [ends.get((x, row), canvas.cell(x, row)) for x in range(columns)]
        lines.append(line)
    lines.append([(" " * _LABEL + "└" + "─" * columns, "faint")])
    lines.append([(" " * (_LABEL + 1) + _axis_labels(chart, columns), "dim")])
    return [*lines, *legend]


def value_span(curves: Sequence[AxisCurve], top: float | None = None) -> tuple[float, float]:
    """Return the scale: from 0, or the smallest value below it, to the largest, or 1 for shares that reach half."""
    values = [value for curve in curves for value in curve.values if value is not None]
    low, high = min([0.0, *values]), max(values, default=1.0)
    if top is not None:
        return low, max(top, high)
    if 0.5 < high <= 1:
        high = 1.0
    return low, high if high > low else low + 1.0


def _draw(
    canvas: BrailleCanvas, places: Sequence[float], curve: AxisCurve, span: tuple[float, float], ink: str
) -> None:
    before: tuple[int, int] | None = None
    for place, value in zip(places, curve.values, strict=True):
        if value is None or not math.isfinite(value):
            continue  # a checkpoint that is missing leaves no gap: its neighbours are joined
        dot = _dot(canvas, place, value, span)
        canvas.stroke(before or dot, dot, ink)
        before = dot


def _mark(
    ends: dict[tuple[int, int], Piece],
    canvas: BrailleCanvas,
    places: Sequence[float],
    curve: AxisCurve,
    span: tuple[float, float],
    mark: Piece,
) -> None:
    """Put the letter at the curve's last point that has no letter yet."""
    measured = [(place, value) for place, value in zip(places, curve.values, strict=True) if value is not None]
    for place, value in reversed(measured):
        x, y = _dot(canvas, place, value, span)
        cell = (x // 2, y // 4)
        if cell not in ends:
            ends[cell] = mark
            return


def _dot(canvas: BrailleCanvas, place: float, value: float, span: tuple[float, float]) -> tuple[int, int]:
    low, high = span
    share = (min(max(value, low), high) - low) / (high - low)
    return round(place * (2 * canvas.width - 1)), round((1 - share) * (4 * canvas.height - 1))


def _axis_labels(chart: Chart, columns: int) -> str:
    """Return the values under their places, as many as fit; the first and the last always."""
    line = [" "] * columns
    order = list(range(len(chart.labels)))
    if len(order) > 2:
        order = [0, len(order) - 1, *order[1:-1]]
    for index in order:
        text = clean(chart.labels[index])[:14]
        start = round(chart.places[index] * (columns - 1)) - len(text) // 2
        start = min(max(start, 0), max(columns - len(text), 0))
        around = line[max(start - 2, 0) : start + len(text) + 2]
        if all(sign == " " for sign in around):
            line[start : start + len(text)] = text
    return "".join(line)[:columns].rstrip()


def _legend(chart: Chart, width: int) -> list[list[Piece]]:
    """Return the legend, up to three lines."""
    if len(chart.curves) == 1:
        return [[(f" {clean(chart.curves[0].name)}", "text")]] if chart.curves[0].name else []
    lines: list[list[Piece]] = [[(" ", "dim")]]
    used = 1
    for number, curve in enumerate(chart.curves):
        name = clean(curve.name) or clean(chart.title)
        name = name[: max(width - 8, 8)]
        if used + len(name) + 4 > width and used > 1:
            lines.append([(" ", "dim")])
            used = 1
        lines[-1] += [(LETTERS[number], INKS[number % len(INKS)]), (f" {name}   ", "text")]
        used += len(name) + 5
    if chart.left_out:
        lines[-1].append((f"and {chart.left_out} more", "faint"))
    return lines[:3]
