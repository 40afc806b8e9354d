"""`headcode bench speed`: time the everyday steps on this machine."""

from typing import Annotated

import typer

from tui.output.cli_options import JsonOption

SCHEMA = "headcode.bench-speed/1"


def speed(
    model: Annotated[str | None, typer.Option(help="Also time this larger, installed model.")] = None,
    repeat: Annotated[int, typer.Option(help="Number of repetitions; medians are printed.", min=1, max=100)] = 5,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing on stderr while it runs.")] = False,
) -> None:
    """Time the everyday steps: help, a first and a warm probe, the first frame of the screen, memory.

    Runs whole commands in a temporary installation; your host and sessions are not touched. The targets are for two
    idle cores.
    """
    import os
    import platform

    import msgspec

    from engine.catalog.local_models import find_model
    from engine.machine.folders import find_folders
    from tui.headless.speed import TrialInstallation, measure_speed
    from tui.output.console import narrate, print_columns, print_json

    models = find_folders().models
    if model is not None:
        find_model(model, models)
    trial, rows = TrialInstallation(models), []
    try:
        for row in measure_speed(trial, model=model, repeat=repeat):
            rows.append(row)
            if not quiet:
                narrate(f"{row.what}: {row.value:.2f} {row.unit}")
    finally:
        trial.close()
    load = os.getloadavg()[0]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}"
    if as_json:
        print_json({"schema": SCHEMA, "machine": machine, "rows": msgspec.to_builtins(rows)})
        return
    cells: list[tuple[str, ...]] = [
        (
            row.what,
            _format_value(row.value, row.unit),
            _format_value(row.slowest, row.unit) if row.repeats > 1 else "-",
            "-" if row.aim is None else f"{row.aim:g} {row.unit}",
        )
        for row in rows
    ]
    print_columns(cells, header=("what", "median", "slowest", "target"))
    narrate(f"{machine}; targets are for two idle cores.")


def _format_value(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if unit == "MB" else f"{value:.2f} {unit}"
