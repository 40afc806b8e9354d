"""`headcode export` and `headcode import`: sessions, grids and circuits in and out of files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import ConfigError
from engine.machine.paths import path_of
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from sessions.client.connection import HostClient
    from sessions.protocol.bundle_manifest import ExportResult, ImportResult
    from sessions.rows import CircuitRow

STDOUT = "-"
FORMATS = (
    "bundle",
    "heads-csv",
    "heads-json",
    "heads-parquet",
    "edges-csv",
    "edges-json",
    "edges-parquet",
    "importance-json",
    "grid-txt",
    "grid-md",
    "grid-ansi",
    "grid-svg",
)
_GRIDS = {".svg": "grid-svg", ".md": "grid-md", ".txt": "grid-txt", ".ansi": "grid-ansi", ".ans": "grid-ansi"}
_WORDS = {"head": "heads", "node": "heads", "edge": "edges", "importance": "importance", "circuit": "importance"}


def export(
    what: Annotated[
        str,
        typer.Argument(metavar="SESSION|RUN", help="A session for mine.headcode; else a run: NAME/2, NAME/2@0, an id."),
    ],
    file: Annotated[str, typer.Argument(help="Where to; its name says the format (h.csv: heads). - is stdout.")],
    form: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")
    ] = None,
    measure: Annotated[
        str | None, typer.Option(help="Grid and circuit by this measure. [default: as the run was last looked at]")
    ] = None,
    cut: Annotated[
        int | None, typer.Option(help="Heads in the circuit. [default: as the run is cut]", min=1, show_default=False)
    ] = None,
    sae: Annotated[bool, typer.Option("--sae", help="A bundle with the SAE weights (large).")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a session into one file, or a run's heads, edges, grid or importances for other tools."""
    chosen = find_format(file, form)
    if chosen == "bundle":
        if file == STDOUT:
            raise ConfigError("A bundle cannot go to stdout.", hint="Give it a name: mine.headcode")
        for option, value in (("--measure", measure), ("--cut", cut)):
            if value is not None:
                raise ConfigError(f"{option}: a bundle takes everything.", hint="Leave it out.")
        _bundle(what, file, sae=sae, force=force, as_json=as_json)
        return
    if sae:
        raise ConfigError("--sae: only a bundle carries weights.", hint="headcode export SESSION mine.headcode --sae")
    from tui.headless.export_run import write_run

    write_run(what, file, chosen, measure=measure, cut=cut, force=force, as_json=as_json)


def import_(
    file: Annotated[Path, typer.Argument(help="A .headcode file, or a circuit as importance JSON.")],
    name: Annotated[str | None, typer.Option("--name", help="What to call the session here.")] = None,
    as_copy: Annotated[
        bool, typer.Option("--as-copy", help="Under new ids, beside the session it may be here as already.")
    ] = False,
    as_circuit: Annotated[
        str | None,
        typer.Option("--as-circuit", metavar="NAME", help="Keep the heads of an importance JSON under this name."),
    ] = None,
    session: Annotated[str | None, typer.Option(help="The session that keeps the circuit.")] = None,
    top: Annotated[
        int | None, typer.Option(help="The best heads of that file, instead of those in its graph.", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take in a session that somebody exported, or a circuit another tool found."""
    path = Path.cwd() / path_of(str(file))
    if as_circuit is None:
        if path.suffix.lower() == ".json":
            raise ConfigError(
                f"{file} is no bundle.", hint="A circuit comes in with --as-circuit NAME --session SESSION."
            )
        for option, value in (("--session", session), ("--top", top)):
            if value is not None:
                raise ConfigError(f"{option} is for a circuit.", hint="Give --as-circuit NAME, too.")
        _take_in(path, name=name, as_copy=as_copy, as_json=as_json)
        return
    if name is not None or as_copy:
        raise ConfigError("--name and --as-copy are for a session.", hint="Leave them out.")
    if session is None:
        raise ConfigError("A circuit is kept in a session.", hint="Say in which: --session latest")
    _keep(path, as_circuit, session, top, as_json=as_json)


def find_format(file: str, form: str | None) -> str:
    """The format that was asked for, or that the file's name says. Raises ConfigError where neither does."""
    if form is not None:
        if form not in FORMATS:
            raise ConfigError(f"--format {form}: there is no such format.", hint="Formats: " + ", ".join(FORMATS) + ".")
        return form
    name = Path(file)
    suffix = name.suffix.lower()
    if suffix == ".headcode":
        return "bundle"
    if suffix in _GRIDS:
        return _GRIDS[suffix]
    if suffix in (".csv", ".json", ".parquet"):
        # Heads are what most people come for: a name that says nothing else, or several things, gets them.
        found = {what for word, what in _WORDS.items() if word in name.stem.lower()}
        told = f"{found.pop()}-{suffix[1:]}" if len(found) == 1 else ""
        return told if told in FORMATS else f"heads-{suffix[1:]}"
    what = "stdout" if file == STDOUT else file
    raise ConfigError(f"{what} does not say its format.", hint="Give --format: " + ", ".join(FORMATS) + ".")


def _bundle(what: str, file: str, *, sae: bool, force: bool, as_json: bool) -> None:
    from sessions.files.atomic_write import apply_umask
    from sessions.protocol import BundleExported, ExportSession
    from tui.headless.host_request import with_host
    from tui.output.console import format_bytes, narrate, print_json, print_line

    path = str(Path.cwd() / path_of(file))

    async def question(client: "HostClient") -> "ExportResult":
        request = ExportSession(session=what, path=path, sae=sae, force=force)
        return (await client.ask(request, BundleExported)).exported

    done = with_host(question)
    apply_umask(Path(done.path))
    counts = done.manifest.counts
    if as_json:
        print_json(
            {
                "schema": "headcode.export/1",
                "path": done.path,
                "format": "bundle",
                "n_bytes": done.n_bytes,
                "sha256": done.sha256,
                "session_id": done.session_id,
                "events": counts.events,
                "runs": counts.runs,
                "sae": counts.sae,
                "sae_missing": done.sae_missing,
            }
        )
        return
    print_line(done.path)
    weights = f", {counts.sae} SAE files" if sae else ""
    narrate(
        f"{done.manifest.session.name}: {counts.events} events, {counts.runs} runs{weights}, "
        f"{format_bytes(done.n_bytes)}; sha256 {done.sha256[:16]}"
    )
    if done.sae_missing:
        narrate(f"note: {done.sae_missing} files of SAE weights are no longer here.")


def _take_in(path: Path, *, name: str | None, as_copy: bool, as_json: bool) -> None:
    import msgspec

    from sessions.protocol import BundleImported, ImportBundle
    from tui.headless.host_request import with_host
    from tui.output.console import print_json, print_line

    async def question(client: "HostClient") -> "ImportResult":
        request = ImportBundle(path=str(path), name=name, as_copy=as_copy)
        return (await client.ask(request, BundleImported)).imported

    done = with_host(question)
    if as_json:
        print_json({"schema": "headcode.import/1", **msgspec.to_builtins(done)})
        return
    row = done.session
    told = {
        "new": f"{done.n_events} events, {done.n_runs} runs",
        "same": "is here already, entry for entry",
        "older": "is here already, and has gone on since this file was written",
    }[done.arrival]
    print_line(f"{row.name}  {row.session_id}  {told}")


def _keep(path: Path, name: str, session: str, top: int | None, *, as_json: bool) -> None:
    import msgspec

    from sessions.protocol import CircuitAnswer, SaveCircuit
    from tui.headless.host_request import with_host
    from tui.output.console import print_json, print_line
    from tui.output.importance_json import read_importance

    found = read_importance(path)
    heads, how = found.circuit(top)
    told = tuple((head.layer, head.head) for head in heads)
    source = f"imported from {path.name}: {how} ({found.n_layers} layers of {found.n_heads} heads)"

    async def question(client: "HostClient") -> "CircuitRow":
        return (
            await client.ask(SaveCircuit(session=session, name=name, heads=told, source=source), CircuitAnswer)
        ).circuit

    row = with_host(question)
    if as_json:
        print_json({"schema": "headcode.circuits/1", "circuits": [msgspec.to_builtins(row)]})
        return
    listed = " ".join(f"{layer}.{head}" for layer, head in row.heads) or "none"
    print_line(f"kept {row.name} in {row.session}: {len(row.heads)} heads, {how}  {listed}")
