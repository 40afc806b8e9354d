"""Open the workbench, or its stand-in where there is no terminal."""

import sys

import typer

from tui.output.cli_options import ColourOption, check_colour


def open_workbench(
    *, session: str | None, model: str | None, task: str | None, color: str, plain: bool = False
) -> None:
    """Open the screen or plain mode. Raises ConfigError if the screen has no terminal to draw on."""
    from engine.errors import ConfigError
    from engine.machine.folders import find_folders
    from tui.settings.settings import load

    check_colour(color)
    plain = plain or bool(load(find_folders().settings)["screen.plain"])
    if not plain and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "The workbench needs a terminal, and stdin or stdout is not one.",
            hint="Without a terminal use headcode --plain, or headcode probe ioi; headcode --help lists all commands.",
        )
    if task is not None:
        from engine.tasks.registry import find_task

        task = find_task(task).name
    if model is not None:
        from tui.commands.probe import model_name

        model = model_name(model)
    from tui.app.launch import run_plain_workbench, run_workbench

    asked = model is not None or task is not None
    model, task = model or "toy", task or "ioi"
    if plain:
        raise typer.Exit(run_plain_workbench(session=session, model=model, task=task, asked=asked))
    colours = None if color == "auto" else color
    raise typer.Exit(run_workbench(session=session, model=model, task=task, asked=asked, colours=colours))


def demo(
    color: ColourOption = "auto",
) -> None:
    """Open the workbench on a terminal; elsewhere print the grid of indirect objects on the bundled model."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        open_workbench(session=None, model=None, task=None, color=color)
        return
    from tui.commands.probe import probe

    probe(target="ioi", usable=True, color=color)
