"""`headcode replay`: a recorded session or run again, on the screen, as text, as a film or a picture."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tui.output.cli_options import ColourOption, check_colour


def replay(
    what: Annotated[
        str, typer.Argument(metavar="SESSION|RUN", help="Name or id of a session; NAME/2 or an id for one run; latest.")
    ],
    speed: Annotated[
        str | None,
        typer.Option(help="1x to 100x, or max. [default: 1x; 4x for a film; max for --json]", show_default=False),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="Start point: a run's number, +5:30, 14:02:11, 50%, or words of a marker (edit, note)."
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="As text: progress on stderr, grids on stdout.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the log entries as JSON lines.")] = False,
    cast: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record the screen as asciicast v2, for asciinema play.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a picture of the screen at --from, or at the end.")
    ] = None,
    size: Annotated[str, typer.Option(help="Columns and rows of the film or picture.")] = "120x36",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    measure: Annotated[
        str, typer.Option(help="Measure shown in the printed grid (a field of nodes).")
    ] = "total_variation",
    color: ColourOption = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="With --plain: print only the grids.")] = False,
) -> None:
    """Replay a recorded session or run. Needs no model and no worker."""
    import asyncio

    from engine.errors import ConfigError
    from engine.measures import find_measure
    from tui.headless import replay as replaying

    check_colour(color)
    asked = [name for name, on in (("--plain", plain), ("--json", as_json), ("--cast", cast), ("--svg", svg)) if on]
    if len(asked) > 1:
        raise ConfigError(f"{' and '.join(asked)} cannot be combined.", hint="Give only one of them.")
    pace = replaying.read_speed(speed) if speed is not None else None
    shown = find_measure(measure)
    columns, rows = replaying.read_size(size)
    for path in (cast, svg):
        if path is not None:
            replaying.check_target(path, force=force)
    found = asyncio.run(replaying.find_recorded_session(what, start))
    if cast is not None or svg is not None:
        from engine.machine.memory import format_bytes
        from tui.app.film import make_film, make_still
        from tui.output.console import narrate

        path = cast or svg
        assert path is not None
        making = (
            make_film(found, size=(columns, rows), speed=pace or 4.0)
            if cast
            else make_still(found, size=(columns, rows))
        )
        path.write_text(asyncio.run(making), encoding="utf-8")
        how = f"; asciinema play {path} shows it" if cast else ""
        narrate(f"{path}: {columns} x {rows}, {format_bytes(path.stat().st_size)}{how}")
    elif as_json:
        asyncio.run(replaying.print_entries(found, speed=pace))
    elif plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from tui.output.console import detect_style
        from tui.output.progress import make_reporter

        with make_reporter(quiet=quiet, color=color) as reporter:
            asyncio.run(
                replaying.replay_plain(found, reporter, speed=pace or 1.0, measure=shown, output=detect_style(color))
            )
    else:
        from tui.app.launch import run_replay

        raise typer.Exit(
            run_replay(found.target, start=start, speed=pace or 1.0, colours=None if color == "auto" else color)
        )
