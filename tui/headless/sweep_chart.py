"""Make the chart of `headcode sweep plot`: ask the host, write SVG or print braille."""

from pathlib import Path

from engine.errors import ConfigError
from engine.machine.paths import path_of
from engine.sweeps.curves import Chart
from engine.sweeps.run_measures import CellMeasure, find_cell_measure
from sessions.client.connection import HostClient
from sessions.files.atomic_write import check_goal, write_atomically
from sessions.protocol import GetSweep, GetSweepMeasures, SweepDetail, SweepMeasures
from tui.headless.host_request import with_host
from tui.output.console import narrate
from tui.output.curves_svg import curves_svg
from tui.state.sweep_chart import sweep_chart


def fetch_chart(sweep: str, *, axis: str, measure: str, nodes: tuple[str, ...]) -> Chart:
    """Return the chart. Raises ConfigError for an unknown axis, measure or node, and the host's refusals."""
    chosen: CellMeasure = find_cell_measure(measure)
    if nodes and chosen.of is None:
        raise ConfigError(f"--node chooses nodes, but {chosen.title} is of a run.", hint="Give a measure of nodes.")

    async def question(client: HostClient) -> tuple[SweepDetail, SweepMeasures]:
        detail = await client.ask(GetSweep(sweep=sweep), SweepDetail)
        of = chosen.of.id if chosen.of is not None else ""
        return detail, await client.ask(GetSweepMeasures(sweep=detail.sweep.sweep_id, measure=of), SweepMeasures)

    detail, found = with_host(question)
    return sweep_chart(detail, found, axis=axis, measure=chosen, nodes=nodes)


def write_chart(chart: Chart, file: str, *, force: bool) -> None:
    """Write the SVG file. Raises ConfigError, CannotWrite."""
    goal = Path.cwd() / path_of(file)
    if goal.suffix.lower() != ".svg":
        raise ConfigError(f"{file} is no SVG file.", hint="Name it .svg, or - to draw it in the terminal.")
    check_goal(goal, force=force)
    text = curves_svg(chart)

    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8")

    write_atomically(goal, write, force=force)
    narrate(f"wrote {goal}")
