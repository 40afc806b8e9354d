"""Texts around the grid while a difference is shown: the sides, the values, and how well the sides agree."""

from collections.abc import Callable

from rich.style import Style

from engine.measures import MEASURES, Measure, value_of
from engine.nodes import NodeId
from engine.results import NodeScores
from tui.actions.key_labels import KeyLabel
from tui.state.grid_view import GridView, decimals_of
from tui.state.node_signs import KNOWN
from tui.state.number_text import format_fixed, format_number
from tui.state.subtraction import GridDifference
from tui.terminal.sanitize import clean
from tui.themes.themes import LEVELS
from tui.widgets.heat_cell import SHADES, CellPalette
from tui.widgets.styled_line import StyledLine, fit

_NAME_WIDTH = 22


def format_title(against: GridDifference) -> str:
    """Format what is subtracted, for the end of the pane's title."""
    return f" minus {clean(against.side.title)}"


def add_meaning(
    first: StyledLine, second: StyledLine, against: GridDifference, measure: Measure, width: int, key: KeyLabel
) -> None:
    """Add what is subtracted and what each sign means."""
    what = "in the circuit or not" if against.member else measure.title
    first.add(fit(f"{what}: this run minus {clean(against.side.title)}", width - 2), "strong")
    if against.member:
        words = "+ only here, - only there"
    elif measure.high_is_evidence:
        words = "+ higher here, - higher there"
    else:
        words = "+ higher here, - higher there (low values are evidence)"
    if not against.side.final:
        words += "; the subtracted run is partial"
    if against.unshared:
        second.add(fit(f"{against.unshared}; {words}; {key('difference')} ends it", width - 2), "second")
        return
    second.add(fit(f"{words}; {key('difference')} or {key('end_difference')} ends it", width - 2), "second")


def add_cursor_values(line: StyledLine, against: GridDifference, view: GridView, head: NodeId) -> None:
    """Add the values of the head at the cursor on both sides."""
    here, there = against.here.get(head), against.there.get(head)
    name = "in the circuit" if against.member else view.measure.title
    line.add(f" {head} ", "strong").add(f"{name} ", "dim").add(format_number(here), "text").add(" - ", "dim")
    line.add(format_number(there), "text").add(" = ", "dim").add(format_signed(against.differences.get(head)), "strong")
    if head in view.circuit:
        line.add("  [ ] circuit", "second")
    if head in against.circuit:
        line.add(f"  {KNOWN} there", "accent")


def add_scale(line: StyledLine, against: GridDifference, colours: CellPalette, width: int) -> None:
    """Add the colour scale, from higher there to higher here."""
    largest = against.largest
    room = max(min(24, width - 44), 8) // 2
    line.add(f" -{format_number(largest, 4)} ", "dim")
    steps = [step * (LEVELS - 1) // max(room - 1, 1) for step in range(room)]
    for step in reversed(steps):
        _swatch(line, colours, LEVELS + step if step else 0)
    for step in steps:
        _swatch(line, colours, step)
    line.add(f" +{format_number(largest, 4)}", "dim")
    if line.width + 14 <= width:
        line.add("   [ ] ", "strong").add("here", "dim")
    if line.width + 10 <= width:
        line.add(f"  {KNOWN} ", "strong").add("there", "dim")


def _swatch(line: StyledLine, colours: CellPalette, level: int) -> None:
    style: Style = colours.cells[level]
    if colours.shaded:
        step = level % LEVELS
        line.add_styled(SHADES[0 if not step else min(len(SHADES) - 1, 1 + step * (len(SHADES) - 1) // LEVELS)], style)
    else:
        line.add_styled(" ", style)


def add_agreement(line: StyledLine, second: StyledLine, against: GridDifference, width: int) -> None:
    """Add how many heads the circuits share and how well the rankings agree."""
    grid = against.grid
    line.add(f"  {len(grid.both)} in both, {len(grid.only_a)} only here, {len(grid.only_b)} only there", "text")
    words = [("Jaccard", grid.jaccard)]
    if against.member:
        words += [("AUC", grid.auc_a_finds_b), ("precision", grid.precision), ("recall", grid.recall)]
    else:
        words += [("Spearman", grid.spearman), ("Kendall", grid.kendall), ("AUC", grid.auc_a_finds_b)]
    for name, value in words:
        if second.width + len(name) + 8 <= width:
            second.add(f" {name} ", "dim").add(format_fixed(value), "strong").add(" ")


def make_page_rows(
    make: Callable[[], StyledLine], against: GridDifference, node: NodeScores, shown: Measure, width: int
) -> list[StyledLine]:
    """Make the rows of the head page: every measure on both sides and the difference."""
    side = against.side
    if side.heads is not None:
        inside = "in" if node.id in against.circuit else "not in"
        return [make().add(fit(f" {inside} {clean(side.title)}", width - 1), "second")]
    lines = [make().add(fit(f" minus {clean(side.title)}", width - 1), "second")]
    other = next((each for each in side.nodes if each.id == node.id), None)
    if other is None:
        return [*lines, make().add(fit(f" it has no {node.id}: it looked at heads alone", width - 1), "dim")]
    header = make().add(" " * _NAME_WIDTH).add("  here   there     diff", "faint")
    lines.append(header)
    for measure in MEASURES:
        here, there = value_of(node, measure), value_of(other, measure)
        if here is None and there is None:
            continue
        on = measure is shown
        places = decimals_of(measure)
        line = make().add(" ▸ " if on else "   ", "accent")
        name = fit(measure.title.removesuffix(" (no SAE)"), _NAME_WIDTH - 4)
        line.add(name, "strong" if on else "dim").to(_NAME_WIDTH)
        line.add(f"{format_fixed(here, places):>6} {format_fixed(there, places):>7} ", "text")
        difference = None if here is None or there is None else round(here - there, 6)
        ink = "dim" if not difference else ("positive" if difference > 0 else "negative")
        line.add(f"{format_signed(difference, places):>8}", ink)
        lines.append(line)
    return lines


def format_signed(difference: float | None, places: int | None = None) -> str:
    """Format a difference with its sign; 0 for none."""
    if difference is None:
        return "–"
    if not difference:
        return "0"
    text = format_number(abs(difference)) if places is None else format_fixed(abs(difference), places)
    return ("+" if difference > 0 else "-") + text
