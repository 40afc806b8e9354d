"""A dose-response curve as strips of text: one per strength, the effect on the band of random directions."""

from collections.abc import Sequence

from engine.steering import DosePoint, DoseSummary
from tui.output.effects import format_signed
from tui.output.grid import format_short

Piece = tuple[str, str]
"""Text and ink."""
BAND, MEAN, ZERO, EFFECT = "░", "▒", "│", "●"
"""Between the least and the largest effect of random directions; no change; the effect."""


def effect_span(points: Sequence[DosePoint]) -> tuple[float, float]:
    """Return the least and the largest effect of the curve and its random directions, 0 among them."""
    values = [0.0, *(each for point in points for each in (point.effect, *point.random))]
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def dose_strip(point: DosePoint, span: tuple[float, float], width: int) -> list[Piece]:
    """Return one strength's strip, `width` cells in all."""
    low, high = span

    def cell(value: float) -> int:
        return min(max(round((value - low) / (high - low) * (width - 1)), 0), width - 1)

    cells: list[Piece] = [(" ", "faint")] * width
    if point.random:
        for place in range(cell(min(point.random)), cell(max(point.random)) + 1):
            cells[place] = (BAND, "dim")
    cells[cell(0.0)] = (ZERO, "faint") if cells[cell(0.0)][0] == " " else (MEAN, "dim")
    cells[cell(point.effect)] = (EFFECT, "accent" if point.outside or not point.random else "text")
    return cells


def format_summary(summary: DoseSummary, control: str) -> str:
    """Say whether the direction does more than random ones of the same length."""
    slope, size = format_signed(summary.slope), format_short(summary.size)
    if summary.p_slope is None or summary.p_size is None:
        return f"slope {slope} per unit of strength, size {size}; no random directions to compare with"
    of = "the head can write" if control == "head" else "of the stream"
    return (
        f"slope {slope} per unit of strength (p {format_short(summary.p_slope)}), size {size} "
        f"(p {format_short(summary.p_size)}) beside {len(summary.random_slopes)} random directions {of}; "
        f"outside their band at {summary.outside} of {summary.points} strengths"
    )


def exceeds(summary: DoseSummary) -> bool:
    """Return True if slope or size is larger than that of every random direction."""
    least = 1 / (1 + len(summary.random_slopes))
    return bool(summary.random_slopes) and least in (summary.p_slope, summary.p_size)
