"""The command `headcode`: its subcommands, and the one place where errors become exit codes."""

from tui import (
    current_folder,  # noqa: F401  # before any import that could be satisfied from the current folder
    start,  # noqa: F401  # before anything large
)

# isort: split
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from engine.errors import Failure, HeadcodeError
from tui.commands import (
    ablate,
    atlas,
    bench,
    cause,
    circuits,
    compare,
    demo,
    doctor,
    examples,
    explain,
    export_import,
    families,
    gc,
    host,
    keys,
    models,
    neurons,
    places,
    probe,
    replay,
    report,
    runs,
    sessions,
    sessions_edit,
    specificity,
    sql,
    steer,
    sweep,
    tasks,
    verify,
)
from tui.output.cli_options import ColourOption
from tui.terminal.sanitize import clean

EXIT_CODES = {"input": 2, "engine": 3, "store": 4, "host": 4, "cancelled": 130}
"""Exit code of each family of failures. 1 is reserved for a check that failed."""
BROKEN_PIPE = 141
"""128 + SIGPIPE, as other tools return when the reader of their output has closed it."""

_UsageError: type[typer.BadParameter] = typer.BadParameter.__base__  # type: ignore[assignment]  # not exported

app = typer.Typer(
    name="headcode",
    help="Find circuits in language models with discrete sparse autoencoders.",
    epilog="Exit codes: 0 success; 1 check failed; 2 usage error or bad input; 3 the engine failed; "
    "4 the store or the host failed; 130 cancelled.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("probe")(probe.probe)
app.command("tasks")(tasks.tasks)
app.add_typer(models.app, name="models")
app.add_typer(bench.app, name="bench")
app.add_typer(sessions.app, name="sessions")
for command in (
    sessions_edit.rename,
    sessions_edit.note,
    sessions_edit.search,
    sessions_edit.delete,
    sessions_edit.restore,
    sessions_edit.empty,
):
    sessions.app.command()(command)
sessions.app.command(cls=sessions_edit.TagCommand)(sessions_edit.tag)
app.add_typer(runs.app, name="runs")
app.add_typer(sweep.app, name="sweep")
app.command("compare")(compare.compare)
app.command("replay")(replay.replay)
app.command("verify")(verify.verify)
app.command("cause")(cause.cause)
app.command("places")(places.places)
app.command("explain")(explain.explain)
app.command("families")(families.families)
app.command("specificity")(specificity.specificity)
app.command("through")(ablate.through)
app.command("ablate")(ablate.ablate)
app.command("steer")(steer.steer)
app.command("neurons")(neurons.neurons)
app.command("neuron")(neurons.neuron)
app.command("atlas")(atlas.atlas)
app.add_typer(circuits.app, name="circuits")
app.add_typer(examples.app, name="examples")
app.add_typer(host.app, name="host")
app.command("sql")(sql.sql)
app.command("gc")(gc.gc)
app.command("doctor")(doctor.doctor)
app.command("report")(report.report)
app.command("export")(export_import.export)
app.command("import")(export_import.import_)
app.command("keys")(keys.keys)
app.command("demo", hidden=True)(demo.demo)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"headcode {version('headcode')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def workbench(
    context: typer.Context,
    session: Annotated[str | None, typer.Option(help="Open this session: its name or id.")] = None,
    model: Annotated[str | None, typer.Option(help="Start on this model. [default: toy]")] = None,
    task: Annotated[str | None, typer.Option(help="Start on this ready-made task.")] = None,
    color: ColourOption = "auto",
    mono: Annotated[
        bool, typer.Option("--mono", help="Use shades and digits instead of colours, like NO_COLOR.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Text lines and a prompt instead of a screen; also set by HEADCODE_PLAIN=1.")
    ] = False,
    debug: Annotated[  # noqa: ARG001  # main() removes it from the arguments; declared here for --help
        bool, typer.Option("--debug", help="Show the traceback of an error; every command accepts it.")
    ] = False,
    version: Annotated[  # noqa: ARG001  # handled by its callback
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Find circuits in language models with discrete sparse autoencoders.

    Without a command, opens the workbench in this terminal.
    """
    if context.invoked_subcommand is None:
        demo.open_workbench(session=session, model=model, task=task, color="none" if mono else color, plain=plain)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words, debug = _take_debug(list(sys.argv[1:] if arguments is None else arguments))
    streams = sys.stdout, sys.stderr
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = typer.main.get_command(app).main(words, prog_name="headcode", standalone_mode=False)
        sys.stdout.flush()
    except HeadcodeError as error:
        return _failed(error, error.as_failure(), debug)
    except _UsageError as error:
        _usage(error)
        return EXIT_CODES["input"]
    except SystemExit as error:
        # Typer exits like this when the reader has closed the pipe, and replaces the streams by wrappers.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        sys.stdout, sys.stderr = streams
        _drop_output()
        return BROKEN_PIPE
    except (KeyboardInterrupt, typer.Abort):
        _say("Stopped.", "")
        return EXIT_CODES["cancelled"]
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        failure = Failure(
            family="store",
            name=type(error).__name__,
            message=f"The system refused: {error.strerror or error}{where}.",
            hint="Check free space and permissions: headcode doctor",
        )
        return _failed(error, failure, debug)
    except Exception as error:  # noqa: BLE001  # last resort: a bug in Headcode itself
        failure = Failure(
            family="engine",
            name=type(error).__name__,
            message=f"Internal error: {type(error).__name__}: {error}.",
            hint="Run it again with --debug for the traceback, and please report it.",
        )
        return _failed(error, failure, debug)
    return code if isinstance(code, int) else 0


def _failed(error: BaseException, failure: Failure, debug: bool) -> int:
    if debug:
        import traceback

        sys.stderr.write(clean("".join(traceback.format_exception(error)), lines=True))
    _say(failure.message, failure.hint)
    return EXIT_CODES.get(failure.family, 3)


def _drop_output() -> None:
    """Send what is left of stdout to /dev/null: Python flushes it at exit, and nothing reads it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str, hint: str) -> None:
    lines = [f"headcode: {clean(message, lines=True)}"]
    if hint:
        lines.append(f"  hint: {clean(hint, lines=True)}")
    try:
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
    except OSError:
        return  # stderr is closed; the exit code still reports the failure


def _usage(error: typer.BadParameter) -> None:
    context = error.ctx
    path = context.command_path if context else "headcode"
    _say(error.format_message(), f"{path} --help lists its options.")


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    """Return the arguments without --debug (before a lone --), and whether it was there."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def run() -> None:
    """Run the command line and exit with its code."""
    raise SystemExit(main())


if __name__ == "__main__":
    run()
