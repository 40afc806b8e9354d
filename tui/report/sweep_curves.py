"""The curves and births of a sweep's report, drawn and as tables."""

from engine.errors import ConfigError
from engine.measures import DEFAULT_MEASURE
from engine.sweeps.births import BirthTable
from engine.sweeps.curves import Chart
from engine.sweeps.run_measures import CellMeasure, find_cell_measure
from tui.output.births import (
    BIRTH_HEADER,
    CIRCUIT_HEADER,
    birth_rows,
    births_lines,
    circuit_rows,
    measure_title,
    series_titles,
)
from tui.output.curves_svg import curves_svg
from tui.report.blocks import Block, Column, Items, Paragraph, Picture, Section, Table, numbers, row
from tui.report.sweep_material import SweepMaterial
from tui.state.number_text import format_fixed
from tui.state.sweep_chart import births_chart, sweep_chart

MOST_CHARTS = 6
_LONG = 3
"""Values from which an axis of numbers is drawn as a curve."""
_CHARTED = ("auc", DEFAULT_MEASURE.id, "exact_effect", "accuracy")


def curves(material: SweepMaterial) -> Section | None:
    """Return the measures along every axis of numbers, drawn and as a table; None without such an axis."""
    table = material.table()
    blocks: list[Block] = []
    for axis in (name for name, values in table.axes.items() if len(values) >= _LONG and name != "draw"):
        if not all(_is_number(value) for value in table.axes[axis]):
            continue
        for name in _CHARTED:
            measure = find_cell_measure(name)
            if len(blocks) < 2 * MOST_CHARTS and measure in material.measures():
                blocks += _chart(material, axis, measure)
    return Section(id="curves", title="Curves", blocks=tuple(blocks)) if blocks else None


def _chart(material: SweepMaterial, axis: str, measure: CellMeasure) -> list[Block]:
    try:
        of = measure.of.id if measure.of is not None else ""
        chart = sweep_chart(material.detail, material.found[of], axis=axis, measure=measure)
    except ConfigError:
        return []  # no run has it
    of_nodes = " of the nodes in most circuits" if measure.of is not None else ""
    caption = (
        f"{measure.title}{of_nodes} along {axis}: {measure.meaning}. A line is the mean over draws of the examples, "
    )
    return draw_chart(chart, f"{caption}a band their range.")


def draw_chart(chart: Chart, caption: str) -> list[Block]:
    """Return the chart as a drawing, and its numbers as a table; nothing without a curve."""
    if not any(value is not None for curve in chart.curves for value in curve.values):
        return []
    picture = Picture(svg=curves_svg(chart), alt=_alt(chart), caption=caption, mermaid=_mermaid(chart))
    rows = tuple(row(curve.name or "all", *map(format_number, curve.values)) for curve in chart.curves)
    table = Table(
        f"The same as numbers, by {chart.axis}.", (Column("Curve"), *numbers(*chart.labels)), rows, dense=True
    )
    return [picture, table]


def _alt(chart: Chart) -> str:
    """Describe the curves in words: where each begins and ends."""
    said = []
    for curve in chart.curves:
        known = [(label, value) for label, value in zip(chart.labels, curve.values, strict=True) if value is not None]
        if known:
            (first, begin), (last, end) = known[0], known[-1]
            said.append(
                f"{curve.name or 'the curve'} from {format_number(begin)} at {first} to {format_number(end)} at {last}"
            )
    more = f", and {chart.left_out} more curves" if chart.left_out else ""
    return f"Chart of {chart.title} along {chart.axis}: {'; '.join(said)}{more}."


def _mermaid(chart: Chart) -> str:
    """Return the chart for Mermaid, which needs a number at every place: gaps take the value before."""
    quoted = ", ".join(f'"{_plain(label)}"' for label in chart.labels)
    lines = ["xychart-beta", f'  title "{_plain(chart.title)}"', f'  x-axis "{_plain(chart.axis)}" [{quoted}]']
    for curve in chart.curves:
        values, last = [], next((value for value in curve.values if value is not None), None)
        if last is None:
            continue
        for value in curve.values:
            last = last if value is None else value
            values.append(f"{last:.4g}")
        lines.append(f"  line [{', '.join(values)}]")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return the letters, digits and simple signs of a text: a diagram's source has no way to escape others."""
    return "".join(each if each.isalnum() or each in " .,:+-_/=@()" else "?" for each in text)[:80]


def _is_number(text: str) -> bool:
    try:
        float(text.removeprefix("step"))
    except ValueError:
        return False
    return True


def format_number(value: float | None) -> str:
    """Format a value of a cell; empty without one."""
    return "" if value is None else format_fixed(value) if abs(value) < 1 else f"{value:.3g}"


def births(material: SweepMaterial) -> Section | None:
    """Return when each node came over the checkpoints; None without checkpoints."""
    if not material.births:
        return None
    blocks: list[Block] = [
        Paragraph(
            "A node is born at the checkpoint at which its score rises, found by fitting an S-shaped curve to the "
            "logarithm of the training step; the interval comes from draws of the examples."
        )
    ]
    for title, table in zip(series_titles(material.births), material.births, strict=True):
        blocks += _birth_table(material.name, title, table)
    return Section(id="births", title="Births over training", blocks=tuple(blocks))


def _birth_table(name: str, title: str, table: BirthTable) -> list[Block]:
    of = f"{title}: " if title else ""
    caption = f"{of}{measure_title(table)}, {len(table.steps)} checkpoints, {table.draws} draws of the examples."
    chart = births_chart(name, table, measure_title(table))
    drawn = draw_chart(chart, f"{of}what the model can do, and the nodes that came, over the training steps.")
    births = Table(
        caption,
        (Column("What"), *numbers(*BIRTH_HEADER[1:3]), Column(BIRTH_HEADER[3])),
        tuple(row(*each) for each in birth_rows(table)),
    )
    circuits = Table(
        f"{of}the circuit at each checkpoint: its size, and its Jaccard index with the one before, the last, and "
        "between draws.",
        numbers(*CIRCUIT_HEADER),
        tuple(row(*each) for each in circuit_rows(table)),
    )
    notes = tuple(line for line in births_lines(table) if line.startswith(("note", "held-out")))
    return [*drawn, births, circuits, *([Items(notes)] if notes else [])]
