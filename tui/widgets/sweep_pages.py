"""The other pages of a sweep: curves, births, the film over checkpoints, workers and failures."""

from collections.abc import Callable, Collection, Sequence

from textual.geometry import Size

from engine.nodes import EMBEDDING, NodeId, mlp, parse_node
from engine.sweeps.curves import Chart
from engine.sweeps.run_measures import RunMeasures, value_at_node
from engine.sweeps.series import CHECKPOINT, step_of_labels
from tui.output.births import BIRTH_HEADER, CIRCUIT_HEADER, birth_rows, circuit_rows, measure_title, series_titles
from tui.state.number_text import format_fixed
from tui.state.sweep_state import SweepState
from tui.terminal.sanitize import clean
from tui.widgets.curve_chart import chart_lines
from tui.widgets.heat_cell import SHADES, CellPalette, level_of, shade_of
from tui.widgets.styled_line import StyledLine, fit
from tui.widgets.sweep_grid import drawn, progress_lines

Make = Callable[[], StyledLine]
_CELL = 7
_CHART = 10
"""Lines below the film's grid from which on the curves are drawn there."""
_BESIDE = 130
"""Columns from which on the births' curves stand beside the list."""


def page_lines(make: Make, state: SweepState, size: Size, colours: CellPalette) -> list[StyledLine]:
    """Return the lines of the page."""
    match state.page:
        case "curves":
            return _curves(make, state, size)
        case "births":
            return _births(make, state, size)
        case "film":
            return _film(make, state, size, colours)
        case _:
            lines = progress_lines(make, state, size, rows=0, every=True)
            state.top = min(state.top, max(len(lines) - size.height, 0))
            return lines[state.top :]


def _curves(make: Make, state: SweepState, size: Size) -> list[StyledLine]:
    chart = state.chart()
    head = make().add(" ").add(state.table.measure.title, "strong").add(f"  {state.table.measure.meaning}", "faint")
    if isinstance(chart, str):
        return [head, make().add(f" {clean(chart)}", "dim")]
    about = make().add(f" along {clean(chart.axis)}, mean over draws", "dim").add(f"  {state.words}", state.ink)
    return [head, about, *drawn(make, chart_lines(chart, size.width - 1, size.height - 2))]


def _births(make: Make, state: SweepState, size: Size) -> list[StyledLine]:
    table = state.birth_table
    if table is None:
        words = "fitting the transitions …" if state.births is None else "no finished run at a checkpoint with a step"
        return [make().add(f" {words}", "dim")]
    assert state.births is not None
    title = series_titles(state.births)[state.series]
    draws = f"{table.draws} draw{'s' * (table.draws != 1)}"
    head = make().add(f" {measure_title(table)}", "strong").add(f"  {len(table.steps)} checkpoints, {draws}", "dim")
    head.add(fit(f"  {title}", size.width - head.width - 1), "second")
    listed = [BIRTH_HEADER, *birth_rows(table)]
    circuits = _columns([CIRCUIT_HEADER, *circuit_rows(table)], right=range(6))
    body = [*_columns(listed, right=(1,)), ("", False), *circuits]
    beside = size.width >= _BESIDE
    left = size.width // 2 if beside else size.width
    chart_height = size.height - 1 if beside else max(min(size.height - 2 - len(listed), 12), 8)
    chart = chart_lines(_births_chart(state), size.width - left - 2 if beside else size.width - 1, chart_height)
    room = max(size.height - 1 - (0 if beside else chart_height), 1)
    state.top = min(state.top, max(len(body) - room, 0))
    lines = []
    for row in range(room):
        text, faint = body[row + state.top] if row + state.top < len(body) else ("", False)
        line = make().add(" ").add(fit(clean(text), left - 2), "faint" if faint else "text")
        if beside and row < len(chart):
            line.to(left)
            for piece in chart[row]:
                line.add(*piece)
        lines.append(line)
    return [head, *lines, *([] if beside else drawn(make, chart))]


def _columns(rows: Sequence[tuple[str, ...]], *, right: Collection[int]) -> list[tuple[str, bool]]:
    """Return the rows as aligned text, each with whether it is faint: the header, and what has no transition."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    found = []
    for number, row in enumerate(rows):
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        found.append(("  ".join(cells).rstrip(), not number or "no transition" in row))
    return found


def _births_chart(state: SweepState) -> Chart:
    chart = state.chart()
    assert not isinstance(chart, str)
    return chart


def _film(make: Make, state: SweepState, size: Size, colours: CellPalette) -> list[StyledLine]:
    """Return the grid of the nodes at one checkpoint, and the time line of all of them."""
    frames = state.frames
    if not frames or state.every is None or not state.every.nodes:
        return [make().add(" no finished run here yet" if not frames else " reading the runs …", "dim")]
    state.frame = min(state.frame, len(frames) - 1)
    unit = frames[state.frame]
    found = state.table.run_measures(unit.run_id)
    measure = state.table.measure.of
    title = measure.title if measure is not None else "total variation"
    head = make().add(" ").add(title, "strong").add("  at ", "dim")
    value = dict(unit.labels).get(CHECKPOINT, dict(unit.labels).get(state.table.columns, ""))
    head.add(clean(value), "second").add(f"  {state.frame + 1} of {len(frames)}", "dim")
    if found is not None and found.accuracy is not None:
        head.add(f"  can do {found.accuracy:.0%} of pairs", "text")
    if found is not None:
        head.add(fit(f"  circuit {' '.join(found.circuit)}", size.width - head.width - 1), "dim")
    lines = [head, _rail(make, state, size.width), make()]
    lines += _nodes(make, state, found, size.height - len(lines), size.width, colours)
    chart = state.chart() if size.height - len(lines) > _CHART else ""
    if not isinstance(chart, str):
        lines.append(make())
        lines += drawn(make, chart_lines(chart, min(size.width - 1, 150), min(size.height - len(lines), 24)))
    return lines


def _rail(make: Make, state: SweepState, width: int) -> StyledLine:
    """Return the time line: a tick for every checkpoint at its step, the part played in the accent's ink."""
    frames, room = state.frames, max(width - 4, 8)
    steps = [step_of_labels(unit.labels) for unit in frames]
    known = [step for step in steps if step is not None]
    top = max(known, default=0)
    even = [place / max(len(frames) - 1, 1) for place in range(len(frames))]
    shares = [step / top for step in known] if top and len(known) == len(frames) else even
    places = [round(share * (room - 1)) for share in shares]
    here = places[state.frame]
    line = make().add("▶ " if state.playing else "‖ ", "good" if state.playing else "second")
    for column in range(room):
        ink = "accent" if column <= here else "groove"
        if column == here:
            line.add("┃", "cursor")
        else:
            line.add("┿" if column in places else ("━" if column < here else "─"), ink)
    return line


def _nodes(
    make: Make, state: SweepState, found: RunMeasures | None, height: int, width: int, colours: CellPalette
) -> list[StyledLine]:
    assert state.every is not None
    names = state.every.nodes
    parsed = {node: place for place, name in enumerate(names) if (node := parse_node(name)) is not None}
    layers = max((node.layer for node in parsed), default=0) + 1
    heads = max((node.head for node in parsed if node.is_head), default=-1) + 1
    others = any(not node.is_head for node in parsed)
    top = _largest(state)
    circuit = set(found.circuit) if found is not None else set()
    fits = max((width - 8 - (_CELL + 2 if others else 0)) // _CELL, 1)
    header = make().to(6)
    for head in range(min(heads, fits)):
        header.add(str(head).rjust(_CELL - 1) + " ", "dim")
    if others:
        header.add("  " + "mlp".rjust(_CELL - 1), "dim")
    lines = [header]
    if EMBEDDING in parsed:
        lines.append(_row(make, "emb", [EMBEDDING], parsed, found, circuit, top, colours))
    for layer in range(layers):
        nodes: list[NodeId | None] = [NodeId(layer, head) for head in range(min(heads, fits))]
        nodes += [None, mlp(layer)] if others else []
        lines.append(_row(make, str(layer), nodes, parsed, found, circuit, top, colours))
    if len(lines) > height:
        lines = [*lines[: height - 1], make().add(f" and {len(lines) - height + 1} more rows", "faint")]
    return lines


def _row(
    make: Make,
    label: str,
    nodes: list[NodeId | None] | list[NodeId],
    places: dict[NodeId, int],
    found: RunMeasures | None,
    circuit: set[str],
    top: float,
    colours: CellPalette,
) -> StyledLine:
    line = make().add(f" {label:>3}", "dim").to(6)
    for node in nodes:
        if node is None:
            line.add("  ")
            continue
        place = places.get(node, -1)
        value = None if found is None or place < 0 else value_at_node(found, place)
        level = level_of(None if value is None else min(value / top, 1.0) if top else 0.0)
        text = format_fixed(value).rjust(_CELL - 2)
        inside = str(node) in circuit
        text = f"[{text[1:]}]" if inside else text + " "
        if colours.shaded:
            text = SHADES[shade_of(level)] + text[1:]
        line.add_styled(text + " ", (colours.marked if inside else colours.cells)[level])
    return line


def _largest(state: SweepState) -> float:
    """Return the value drawn at full intensity: the same in all frames."""
    measure = state.table.measure.of
    if measure is None or measure.ceiling:
        return 1.0 if measure is None else measure.ceiling or 1.0
    values = []
    for unit in state.frames:
        run = state.table.run_measures(unit.run_id)
        if run is not None:
            values += [value for place in range(len(run.values)) if (value := value_at_node(run, place)) is not None]
    return max(values, default=1.0)
