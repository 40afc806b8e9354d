"""`headcode sweep births` and `plot`: what a sweep found along an axis."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from sessions.protocol import SweepBirths

_Sweep = Annotated[str, typer.Argument(metavar="SWEEP", help="Its name, its id or a prefix of it, or latest.")]
_Measure = Annotated[
    str,
    typer.Option(metavar="MEASURE", help="Of nodes. [default: exact effects where measured, else total variation]"),
]


def births(sweep: _Sweep = "latest", measure: _Measure = "", as_json: JsonOption = False) -> None:
    """Show when each node came over the checkpoints of a sweep, and when the model could do the task.

    Draws of the examples (--draws 3) give the intervals.
    """
    from tui.headless.births import fetch_births
    from tui.output.births import births_json, print_births
    from tui.output.console import print_json

    found: SweepBirths = fetch_births(sweep, measure)
    if as_json:
        print_json(births_json(found))
    else:
        print_births(found)


def plot(
    sweep: _Sweep,
    file: Annotated[str, typer.Argument(help="An .svg file; - draws it in the terminal.")] = "-",
    x: Annotated[str, typer.Option("--x", metavar="AXIS", help="The axis along which it is drawn.")] = "checkpoint",
    measure: Annotated[
        str,
        typer.Option(metavar="MEASURE", help="auc, accuracy, jaccard, verdict, seconds, or a measure of nodes."),
    ] = "auc",
    node: Annotated[str, typer.Option(metavar="LIST", help="Nodes: 1.2,m3. [default: those of most circuits]")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Draw a measure along an axis of a sweep: one curve per node or per other axis; draws are averaged."""
    import shutil

    import msgspec

    from tui.headless.sweep_chart import fetch_chart, write_chart
    from tui.output.console import print_json, print_line
    from tui.output.sweep import SCHEMA
    from tui.widgets.curve_chart import chart_lines

    nodes = tuple(name.strip() for name in node.split(",") if name.strip())
    chart = fetch_chart(sweep, axis=x, measure=measure, nodes=nodes)
    if as_json:
        about = msgspec.to_builtins(chart)
        print_json({"schema": SCHEMA, "sweep": sweep, "measure": measure, **about})
    elif file == "-":
        width, height = shutil.get_terminal_size((100, 24))
        print_line(chart.title)
        for line in chart_lines(chart, min(width, 140), min(max(height - 4, 12), 24)):
            print_line("".join(text for text, _ in line).rstrip())
    else:
        write_chart(chart, file, force=force)


def register(app: typer.Typer) -> None:
    """Add the commands to `headcode sweep`."""
    app.command("births")(births)
    app.command("plot")(plot)
