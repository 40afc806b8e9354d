"""`headcode bench`: how well the measures find known circuits, and how fast the everyday steps are."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.config import LoadOptions
from tui.commands.bench_speed import speed
from tui.commands.option_parameters import Chosen, with_options
from tui.output.cli_options import ColourOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.analysis.benchmark import BenchmarkResult, BenchmarkRun
    from engine.errors import Failure
    from sessions.client.connection import HostClient
    from tui.headless.bench_inputs import BenchInputs
    from tui.headless.bench_runner import BenchRequest, BenchState

app = typer.Typer(
    help="Benchmark how well circuits are found, and how fast.", no_args_is_help=True, rich_markup_mode=None
)
app.command("speed")(speed)


@app.command("circuits")
@with_options(*LoadOptions.__struct_fields__)
def circuits(
    *,
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            "--model",
            help="Models, comma-separated. [default: installed models that have a reference circuit]",
        ),
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Ready-made tasks, comma-separated. [default: all with a reference circuit]")
    ] = None,
    measures: Annotated[
        str | None,
        typer.Option(help="Measures, comma-separated (fields of a probe's nodes). [default: all, effects included]"),
    ] = None,
    examples: Annotated[str, typer.Option(help="Prompt pairs per run, comma-separated: 10,25,250.")] = "10",
    seeds: Annotated[
        str, typer.Option(help="Number of draws of prompts and SAE seeds (3), or their numbers (0,4,7).")
    ] = "3",
    recipe: Annotated[str, typer.Option(help="contrast, published, or both.")] = "contrast,published",
    usable: Annotated[
        bool, typer.Option("--usable", help="Use only pairs the model can do, as the references do.")
    ] = False,
    cuts: Annotated[
        str | None,
        typer.Option(
            help="Smallest effect of a true head, as shares of the base. [default: bundled .05; others .02,.04]"
        ),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            help="What is judged: heads, mlps, nodes (heads and MLPs together) or edges, comma-separated. mlps, nodes "
            "and edges of a circuit with MLPs make runs with --nodes all; a reference that covers heads only is judged "
            "by its heads. "
            "[default: heads,edges]"
        ),
    ] = None,
    by: Annotated[
        str, typer.Option(help="Quality shown in the tables: auc, average_precision, precision_at_size or f1.")
    ] = "auc",
    name: Annotated[
        str | None, typer.Option(help="Name of the benchmark's session. [default: derived from the other options]")
    ] = None,
    show: Annotated[
        str | None, typer.Option(metavar="NAME", help="Show a stored benchmark without running anything.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run everything again, in a new session.")] = False,
    chosen: Chosen,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    as_json: JsonOption = False,
    color: ColourOption = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing on stderr while it runs.")] = False,
) -> None:
    """Evaluate every measure on known circuits: planted, measured head by head, or published.

    The runs are kept in a session of their own. After an interruption, the same command resumes.
    """
    from engine.analysis.benchmark import benchmark_rows, plan_runs
    from engine.config import find_recipe
    from engine.errors import Cancelled, ConfigError
    from engine.machine.folders import find_folders
    from engine.planning.option_text import read_seeds
    from engine.references.ground_truth import reference_models
    from tui.commands.probe import make_loading
    from tui.headless.bench_inputs import (
        DEFAULT_LEVELS,
        check_measures,
        find_bench_inputs,
        parse_cuts,
        parse_levels,
        parse_pair_counts,
        split_list,
        wants_causes,
    )
    from tui.headless.bench_runner import BenchRequest
    from tui.output.bench import bench_json, bench_tables, check_quality, print_tables
    from tui.output.bench import markdown as in_markdown
    from tui.output.console import detect_style, print_json, write_data

    check_quality(by)
    loading = make_loading(chosen)
    output, only = detect_style(color), check_measures(split_list(measures, "--measures") or ())
    asked, wanted, cut_at = split_list(models, "--models"), split_list(tasks, "--tasks"), parse_cuts(cuts)
    levels = parse_levels(level)
    recipes = tuple(dict.fromkeys(find_recipe(each).recipe for each in split_list(recipe, "--recipe") or ()))
    pairs, draws, folder = parse_pair_counts(examples, "--examples"), read_seeds(seeds), find_folders().models
    if min(draws) < 0:
        raise ConfigError(f"--seeds {seeds}: draws are numbered from 0.", hint="A count (3) or a list (0,4,7).")
    if show is not None:
        state = _read(show)
        held = {cell.model for cell in state.taken}
        ground = find_bench_inputs(
            asked or tuple(name for name in reference_models() if name in held),
            wanted,
            cut_at,
            folder,
            levels or (("nodes", "edges") if any(cell.nodes == "all" for cell in state.taken) else DEFAULT_LEVELS),
        )
        total = len(state.taken)
    else:
        levels = levels or DEFAULT_LEVELS
        ground = find_bench_inputs(asked, wanted, cut_at, folder, levels)
        request = BenchRequest(
            cells=tuple(
                plan_runs(ground.tasks, recipes, pairs, draws, usable=usable, dtype=loading.dtype, mlps=ground.mlps)
            ),
            cause=wants_causes(only),
            exact="exact_effect" in only,
            edges=ground.edges,
            name=name,
            fresh=fresh,
            loading=loading,
        )
        total = len(request.cells)
        state = _run(request, ground, quiet=quiet)
    rows = benchmark_rows(state.taken.values(), ground.truths, only)
    left_out = [*ground.left_out, *((cell.model, cell.task, each.message) for cell, each in state.failed.items())]
    tables = bench_tables(rows, by, only)
    if as_json:
        session = state.session
        print_json(
            bench_json(
                rows, session=session.name, session_id=session.session_id, done=len(state.taken), total=total,
                left_out=left_out,
            )
        )  # fmt: skip
    elif markdown:
        write_data(in_markdown(tables))
    else:
        print_tables(tables, output)
    if state.stopped:
        raise Cancelled
    if not rows:
        raise ConfigError(
            f"Nothing was measured: {'; '.join(each.message for each in state.failed.values()) or 'no run is done'}",
            hint=_way_out(state, folder),
        )


def _way_out(state: "BenchState", models: "Path") -> str:
    """Return what to do about a benchmark in which nothing was measured."""
    if state.kept:
        return f"headcode sessions show {state.session.session_id}"
    return next(_hint(cell, each, models) for cell, each in state.failed.items())


def _hint(cell: "BenchmarkRun", failure: "Failure", models: "Path") -> str:
    """Return what to do about a run that failed: for published circuits, how to get their model without the hub."""
    from tui.headless.bench_inputs import how_to_install

    return (failure.name == "HubUnreachable" and how_to_install(cell.model, models)) or failure.hint


def _read(name: str) -> "BenchState":
    from tui.headless.bench_runner import read_bench
    from tui.headless.host_request import with_host

    return with_host(lambda client: read_bench(client, name))


def _run(request: "BenchRequest", ground: "BenchInputs", *, quiet: bool) -> "BenchState":
    """Run the request and save a summary as a note in its session."""
    import shlex

    from engine.analysis.benchmark import benchmark_rows
    from tui.headless.bench_inputs import format_skipped
    from tui.headless.bench_runner import HEADING, BenchRunner, keep_summary
    from tui.headless.host_request import with_host
    from tui.output.bench import bench_tables, summary
    from tui.output.console import narrate

    def say(text: str) -> None:
        if not quiet:
            narrate(text)

    for text in format_skipped(ground.left_out):
        say(f"skipped: {text}.")

    async def go(client: "HostClient") -> "BenchState":
        state = await BenchRunner(client, request, _BenchReporter(request, ground, say)).conduct()
        tables = bench_tables(benchmark_rows(state.taken.values(), ground.truths))
        if tables:
            summaries = (line for table in tables for line in (table.title, *(f"  {each}" for each in summary(table))))
            await keep_summary(client, state.session, "\n".join([f"{HEADING}, {len(state.taken)} runs", *summaries]))
        return state

    state = with_host(go)
    name = shlex.quote(state.session.name)
    if state.stopped:
        say(f"Stopped with {len(state.taken)} of {len(request.cells)} runs done; the same command resumes.")
    elif state.n_before == len(request.cells):
        say(f"All {len(request.cells)} runs were already done (session {name}); --fresh runs them again.")
    if state.kept:
        say(f"kept in session {name}: headcode bench circuits --show {name}")
    return state


class _BenchReporter:
    """Print a line for every finished run."""

    def __init__(self, request: "BenchRequest", ground: "BenchInputs", say: "Callable[[str], None]") -> None:
        import time

        self.request, self.ground, self.say, self.clock = request, ground, say, time.monotonic
        self.last = self.clock()
        self.spent: dict[BenchmarkRun, float] = {}

    def __call__(self, cell: "BenchmarkRun", found: "BenchmarkResult | Failure", bench: "BenchState") -> None:
        from engine.errors import Failure
        from engine.machine.folders import find_folders
        from engine.planning.time_estimate import format_seconds
        from tui.headless.bench_runner import seconds_left
        from tui.output.bench import format_finding

        now = self.clock()
        self.spent[cell], self.last = now - self.last, now
        over = len({*bench.taken, *bench.failed})
        what = f"{cell.model} {cell.task}, {cell.recipe}, {cell.examples} + {cell.examples}, draw {cell.draw}"
        what += "" if cell.dtype == "auto" else f", {cell.dtype}"
        if isinstance(found, Failure):
            hint = _hint(cell, found, find_folders().models)
            self.say(f"[{over}/{len(self.request.cells)}] {what}: {found.message} {hint}".rstrip())
            return
        gone = {*bench.taken, *bench.failed}
        left = seconds_left([each for each in self.request.cells if each not in gone], self.spent)
        still = "" if not left else f"; about {format_seconds(left)} left"
        finding = format_finding(found, self.ground.truths[cell.model, cell.task])
        self.say(f"[{over}/{len(self.request.cells)}] {what}: {finding}{self.spent[cell]:.1f} s{still}")
