"""The tables of a sweep's report: a measure in every cell, as the workbench shows them."""

import itertools
from collections.abc import Iterator

from engine.sweeps.run_measures import CellMeasure
from tui.report.blocks import LEVELS, Block, Cell, Column, Paragraph, Section, Table, Text, numbers, strong
from tui.report.sweep_material import SweepMaterial
from tui.state.sweep_table import SweepTable

MOST_PAGES, MOST_COLUMNS, MOST_ROWS = 6, 40, 60
"""Of a measure's tables; the rest is said to be left out, and `headcode sweep export` has it."""


def tables(material: SweepMaterial) -> Section | None:
    """Return a table per measure, two axes in each and a page per value of the others."""
    if not material.units:
        return None
    about = "One table per measure. The darker a cell, the larger its number. Empty: no such number."
    blocks: list[Block] = [Paragraph(about, quiet=True)]
    for measure in material.measures():
        table = material.table()
        table.measure = measure
        if measure.of is not None:
            table.take_measures(material.found[measure.of.id], (measure.of.id, ""))
        pages = list(_pages(table))
        for page in pages[:MOST_PAGES]:
            table.page = dict(page)
            table.turn_page(0)
            blocks.append(_table(table, measure))
        if len(pages) > MOST_PAGES:
            blocks.append(
                Paragraph(f"{len(pages) - MOST_PAGES} more tables of {measure.title} are left out.", quiet=True)
            )
    return Section(id="tables", title="Tables", blocks=tuple(blocks))


def _pages(table: SweepTable) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield every combination of the axes that are neither rows nor columns."""
    yield from itertools.product(*([(axis, value) for value in table.axes[axis]] for axis in table.page))


def _table(table: SweepTable, measure: CellMeasure) -> Table:
    node = f" of {table.node}, the node in most circuits" if measure.of is not None else ""
    page = f" ({', '.join(f'{axis} {value}' for axis, value in table.page.items())})" if table.page else ""
    rows, columns = list(table.row_values)[:MOST_ROWS], list(table.column_values)[:MOST_COLUMNS]
    cut = len(rows) < len(table.row_values) or len(columns) < len(table.column_values)
    caption: Text = (
        strong(f"{measure.title}{node}{page}: "),
        f"{measure.meaning}. Down: {table.rows or 'one row'}; across: {table.columns or 'one column'}."
        f"{' Only the first rows and columns are shown.' if cut else ''}",
    )
    made = tuple(
        (Cell(value or "all"), *(_cell(table, at, column) for column in range(len(columns))))
        for at, value in enumerate(rows)
    )
    return Table(caption, (Column(table.rows or ""), *numbers(*(each or "all" for each in columns))), made, dense=True)


def _cell(table: SweepTable, at: int, column: int) -> Cell:
    cell = table.cell(at, column)
    if cell is None or (cell.value is None and cell.unit.state == "done"):
        return Cell("")
    if cell.value is None:
        return Cell("" if cell.unit.state == "waiting" else cell.unit.state)
    return Cell(cell.text, level=None if cell.level is None else round(cell.level * LEVELS))
