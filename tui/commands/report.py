"""`headcode report`: a run, a session or a sweep as one page for people who have never seen Headcode."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from sessions.client.connection import HostClient
    from tui.report.blocks import Document

STDOUT = "-"
_SUFFIXES = {"html": ".html", "md": ".md"}


def report(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN|SESSION|SWEEP", help="A run, NAME/2; a session with all its runs; or a sweep, by its name."
        ),
    ],
    file: Annotated[str, typer.Argument(help="Output file: .html or .md. - is stdout.")],
    form: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="html or md. [default: by the name; - is html]")
    ] = None,
    load_model: Annotated[
        bool,
        typer.Option(
            "--load-model",
            help="Load the model for attention and what codes write. By default only a model in memory is asked.",
        ),
    ] = False,
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="It is a sweep's name. By default a run or session goes first."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a run, a session or a sweep as one self-contained page to read offline, print or send.

    It explains every number to a reader who has never seen Headcode: question, examples, grid, circuit, codes, effects,
    evidence, settings, how to repeat it, notes; of a sweep its tables, curves, births, one run in full, and every unit.
    """
    from engine.errors import ConfigError
    from engine.machine.folders import find_folders
    from engine.machine.memory import format_bytes
    from engine.machine.paths import path_of
    from sessions.files.atomic_write import check_goal
    from tui.headless.export_run import write_text
    from tui.headless.host_request import with_host
    from tui.output.console import narrate, print_json, print_line, write_data
    from tui.report.any_report import make_report
    from tui.report.document import FORMATS

    suffix = find_suffix(file, form)
    goal = None if file == STDOUT else Path.cwd() / path_of(file)
    if goal is None and as_json:
        raise ConfigError("--json describes a file, and - is stdout.", hint="Give a file, or omit --json.")
    if goal is not None:
        check_goal(goal, force=force)

    async def question(client: "HostClient") -> "Document":
        return await make_report(client, what, sweep=sweep, load=load_model, models=find_folders().models)

    made = with_host(question)
    text = FORMATS[suffix](made)
    if goal is None:
        write_data(text)
        return
    n_bytes = write_text(goal, [text], force=force)
    if as_json:
        form = suffix.removeprefix(".")
        print_json({"schema": "headcode.report/1", "path": str(goal), "format": form, "n_bytes": n_bytes})
        return
    print_line(str(goal))
    narrate(f"{made.title}: {format_bytes(n_bytes)}")


def find_suffix(file: str, form: str | None) -> str:
    """Return the suffix of the format. Raises ConfigError for one that does not exist, or a name without one."""
    from engine.errors import ConfigError
    from tui.report.document import FORMATS

    if form is not None:
        if form not in _SUFFIXES:
            raise ConfigError(f"--format {form} does not exist.", hint="Formats: html, md.")
        return _SUFFIXES[form]
    if file == STDOUT:
        return ".html"
    suffix = Path(file).suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"{file} does not give a format.", hint="Name it .html or .md, or give --format html or md.")
    return suffix
