"""`headcode sweep`: runs over every combination of models, examples, draws and options."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from engine.planning.option_table import OPTIONS
from tui.commands.option_parameters import Chosen, with_options
from tui.commands.sweep_look import register
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from sessions.client.connection import HostClient
    from sessions.protocol import SweepDetail

_RUN = "run"


class DefaultCommandGroup(TyperGroup):
    """A group whose command may be left out: `headcode sweep SPEC.toml` and `headcode sweep --task ioi` run a sweep."""

    default_command = _RUN

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help", "-h"):
            args = [_RUN, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=DefaultCommandGroup,
    help="Run every combination of models, examples, draws and options: headcode sweep SPEC.toml, or axes as "
    "options, which headcode sweep run --help lists.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Sweep = Annotated[str, typer.Argument(metavar="SWEEP", help="Its name, its id or a prefix of it, or latest.")]
_On = Annotated[str, typer.Option("--on", help="Where it runs: local, ray or slurm.")]
_Workers = Annotated[
    int | None, typer.Option(help="Number of workers. [default: as many as fit in memory, at most one a core]", min=1)
]
_Address = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local for a new one here. "
        "[default: RAY_ADDRESS, one on this machine, or a new one]"
    ),
]
_Slurm = Annotated[
    str | None,
    typer.Option(
        metavar="OPTIONS", help="Options of sbatch: partition=gpu,account=lab,gres=gpu:1,time=2:00:00,folder=/shared/x."
    ),
]
_Detach = Annotated[bool, typer.Option("--detach", help="Return as soon as it has begun; the host goes on.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing on stderr while it runs.")]
_AXES = tuple(option.path for option in OPTIONS)


@app.command(_RUN)
@with_options(*_AXES, as_text=True)
def run(
    *,
    spec: Annotated[
        str | None, typer.Argument(metavar="SPEC.toml", help="A file of axes; options here override it.")
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="LIST", help="Ready-made tasks: ioi,greater_than.")] = None,
    examples: Annotated[str | None, typer.Option(metavar="LIST", help="Files of examples.")] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Checkpoints of the models: all, names, steps, or ranges 0..143000:1000."),
    ] = None,
    draws: Annotated[
        str | None, typer.Option(metavar="N", help="Draws of the tasks' examples: a count, a range or a list of seeds.")
    ] = None,
    pairs: Annotated[int, typer.Option(help="Example pairs of a task; 0: as many as a run needs.", min=0)] = 0,
    usable: Annotated[bool, typer.Option("--usable", help="Use only task pairs the model can do.")] = False,
    chosen: Chosen,
    on: _On = "local",
    workers: _Workers = None,
    address: _Address = None,
    slurm: _Slurm = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the sweep; one of that name is continued. [default: made from the axes]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print units, groups, memory and time, and what is done already.")
    ] = False,
    detach: _Detach = False,
    quiet: _Quiet = False,
    as_json: JsonOption = False,
) -> None:
    """Run a sweep: every combination of the values given, each an ordinary run. What is done is not done again.

    A value is a list (a,b) or a range (0..9, 0..1:.25). --seeds 3 is three seeds in each run, --seeds 0..2 three runs.
    Exit code 1: some units failed.
    """
    from engine.sweeps.axes import option_word
    from sessions.protocol import StartSweep
    from tui.headless.host_request import with_host
    from tui.headless.sweeps import executor_settings, read_plan, start

    words = {option_word(option): str(chosen[option.path]) for option in OPTIONS if option.path in chosen}
    own = {"task": task, "examples": examples, "checkpoint": checkpoint, "draws": draws}
    words |= {word: text for word, text in own.items() if text is not None}
    if spec is None and not words:
        from engine.errors import ConfigError

        raise ConfigError("Nothing to sweep.", hint="Give a TOML file, or axes: headcode sweep --task ioi --seeds 0..9")
    plan = read_plan(spec, words, name=name, pairs=pairs, usable=usable)
    settings = executor_settings(on, address, slurm)
    if dry_run:
        from sessions.protocol import EstimateSweep, SweepEstimate
        from tui.output.console import print_json
        from tui.output.sweep import plan_json, print_plan

        asked = EstimateSweep(plan=plan, workers=workers, on=on, settings=settings)
        found = with_host(lambda client: client.ask(asked, SweepEstimate))
        if as_json:
            print_json(plan_json(plan, found))
        else:
            print_plan(plan, found)
        return
    request = StartSweep(plan=plan, on=on, workers=workers, settings=settings)
    detail = with_host(lambda client: start(client, request, say=_say(quiet), detach=detach))
    _finish(detail, as_json=as_json)


@app.command("list")
def list_sweeps(as_json: JsonOption = False) -> None:
    """List the sweeps, the most recently planned first."""
    from sessions.protocol import ListSweeps, SweepsAnswer
    from tui.headless.host_request import with_host
    from tui.output.console import narrate, print_json
    from tui.output.sweep import SCHEMA, print_sweeps, row_json
    from tui.terminal.times import moment

    found = with_host(lambda client: client.ask(ListSweeps(), SweepsAnswer))
    if as_json:
        rows = [row_json(row, active=row.sweep_id in found.active) for row in found.sweeps]
        print_json({"schema": SCHEMA, "sweeps": rows})
    elif not found.sweeps:
        narrate("No sweeps yet. headcode sweep --task ioi --seeds 0..4 runs one.")
    else:
        print_sweeps(found.sweeps, found.active, [moment(row.planned_us) for row in found.sweeps])


@app.command("show")
def show(
    sweep: _Sweep,
    every: Annotated[bool, typer.Option("--all", help="Show every unit; by default the first 40.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the units of a sweep with their runs."""
    from tui.output.console import print_json
    from tui.output.sweep import print_summary, print_units, sweep_json

    detail = _detail(sweep)
    if as_json:
        print_json(sweep_json(detail))
        return
    print_summary(detail)
    print_units(detail, every=every)


@app.command("status")
def status(sweep: Annotated[str, typer.Argument(metavar="[SWEEP]")] = "latest", as_json: JsonOption = False) -> None:
    """Show how far a sweep is, what each worker does, and what failed."""
    from tui.headless.sweeps import format_progress
    from tui.output.console import print_columns, print_json, print_line
    from tui.output.sweep import print_summary, progress_json, sweep_json

    detail = _detail(sweep)
    progress = detail.progress
    if as_json:
        print_json({**sweep_json(detail), "rows": [], **progress_json(progress)})
        return
    print_summary(detail)
    if progress.active:
        print_line(f"on {progress.on}: {format_progress(progress)}")
        print_columns([(f"  {each.name}", each.stage or "idle", each.unit) for each in progress.workers])


@app.command("log")
def log(
    sweep: Annotated[str, typer.Argument(metavar="[SWEEP]")] = "latest",
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORDS]...", help="Only units with these words: labels, run, key, state."),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only units without a finished run.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what the engine logged in each unit, wherever it ran, and why it failed; failed units first."""
    from tui.headless.unit_logs import unit_logs
    from tui.output.console import narrate, print_json, print_line
    from tui.output.sweep import SCHEMA, format_labels, unit_json

    detail = _detail(sweep)
    found = unit_logs(detail, words=words or [], failed=failed)
    if as_json:
        logs = [{**unit_json(unit), "lines": list(each.lines)} for unit, each in found]
        print_json({"schema": SCHEMA, "name": detail.sweep.name, "id": detail.sweep.sweep_id, "logs": logs})
        return
    if not found:
        narrate(f"No unit of {detail.sweep.name} logged anything." if not words and not failed else "No such log.")
    for unit, each in found:
        print_line(f"== {format_labels(unit)}: {unit.state}")
        for line in each.lines:
            print_line(line)


@app.command("retry")
def retry_sweep(
    sweep: _Sweep,
    failed: Annotated[bool, typer.Option("--failed", help="Only units that failed, not those never finished.")] = False,
    on: _On = "local",
    workers: _Workers = None,
    address: _Address = None,
    slurm: _Slurm = None,
    detach: _Detach = False,
    quiet: _Quiet = False,
    as_json: JsonOption = False,
) -> None:
    """Run the units of a sweep again that have no finished run."""
    from sessions.protocol import RetrySweep
    from tui.headless.host_request import with_host
    from tui.headless.sweeps import executor_settings, retry

    settings = executor_settings(on, address, slurm)
    request = RetrySweep(sweep=sweep, failed=failed, on=on, workers=workers, settings=settings)
    _finish(with_host(lambda client: retry(client, request, say=_say(quiet), detach=detach)), as_json=as_json)


@app.command("cancel")
def cancel(sweep: Annotated[str, typer.Argument(metavar="[SWEEP]")] = "latest", as_json: JsonOption = False) -> None:
    """Stop a sweep that is under way; finished units stay."""
    from sessions.protocol import CancelSweep, GetSweep, SweepAnswer, SweepDetail
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.sweep import print_summary, sweep_json

    async def question(client: "HostClient") -> SweepDetail:
        await client.ask(CancelSweep(sweep=sweep), SweepAnswer)
        return await client.ask(GetSweep(sweep=sweep), SweepDetail)

    detail = with_host(question)
    if as_json:
        print_json({**sweep_json(detail), "rows": []})
    else:
        print_summary(detail)


@app.command("gather")
def gather(
    sweep: _Sweep,
    folder: Annotated[Path, typer.Argument(help="Folder with the .headcode files that units left.")],
    as_json: JsonOption = False,
) -> None:
    """Take the files that units left on other machines into a sweep, each unit once.

    Exit code 1: some files are no units of this sweep.
    """
    from engine.machine.paths import path_of
    from sessions.protocol import GatherSweep, SweepGathered
    from tui.headless.host_request import with_host
    from tui.output.console import narrate, print_json, print_line
    from tui.output.sweep import SCHEMA, row_json

    request = GatherSweep(sweep=sweep, folder=str(Path.cwd() / path_of(str(folder))))
    found = with_host(lambda client: client.ask(request, SweepGathered))
    if as_json:
        about = {"new": found.new, "known": found.known, "refused": list(found.refused)}
        print_json({"schema": SCHEMA, **row_json(found.sweep, active=False), **about})
    else:
        known = f", {found.known} known already" if found.known else ""
        print_line(f"{found.sweep.name}: {found.new} taken in{known}; {found.sweep.done} of {found.sweep.units} done")
        for line in found.refused:
            narrate(f"  refused: {line}")
    if found.refused:
        raise typer.Exit(1)


@app.command("export")
def export(
    sweep: _Sweep,
    file: Annotated[str, typer.Argument(help="A .csv, .json or .parquet file; - writes CSV to stdout.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write the units of a sweep as a table: labels, state, run."""
    from tui.headless.export_sweep import write_units

    write_units(_detail(sweep), file, force=force)


register(app)


def _detail(sweep: str) -> "SweepDetail":
    from sessions.protocol import GetSweep, SweepDetail
    from tui.headless.host_request import with_host

    return with_host(lambda client: client.ask(GetSweep(sweep=sweep), SweepDetail))


def _say(quiet: bool) -> "Callable[[str], None]":
    from tui.output.console import narrate

    return (lambda _: None) if quiet else narrate


def _finish(detail: "SweepDetail", *, as_json: bool) -> None:
    """Print the sweep; exit with code 1 if units failed, 130 if it was stopped."""
    from tui.output.console import narrate, print_json
    from tui.output.sweep import print_summary, sweep_json

    if as_json:
        print_json(sweep_json(detail))
    else:
        print_summary(detail)
        if detail.sweep.left and not detail.progress.active:
            narrate(f"To go on: headcode sweep retry {detail.sweep.sweep_id}")
    if detail.sweep.failed and not detail.progress.active:
        raise typer.Exit(1)
    if detail.sweep.left and not detail.progress.active:
        raise typer.Exit(130)
