"""`headcode export` and `headcode import`: write and read sessions, grids and circuits as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import ConfigError
from engine.machine.paths import path_of
from engine.nodes import format_count, names
from tui.headless.export_formats import EXPORT_FORMATS, ExportFormat, format_of_name
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from sessions.client.connection import HostClient
    from sessions.protocol.bundle_manifest import ExportResult, ImportResult
    from sessions.rows import CircuitRow

STDOUT = "-"
BUNDLE = "bundle"
FORMATS = (BUNDLE, *(each.name for each in EXPORT_FORMATS))


def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar="SESSION|RUN",
            help="A session for a bundle (mine.headcode), otherwise a run: NAME/2, NAME/2@0 or an id.",
        ),
    ],
    file: Annotated[str, typer.Argument(help="Output file; the name selects the format (h.csv: heads). - is stdout.")],
    form: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")
    ] = None,
    measure: Annotated[
        str | None, typer.Option(help="Measure of grid and circuit. [default: the one last viewed]")
    ] = None,
    cut: Annotated[
        int | None,
        typer.Option(help="Size of the circuit. [default: the run's circuit size]", min=1, show_default=False),
    ] = None,
    sae: Annotated[bool, typer.Option("--sae", help="Include the SAE weights in a bundle (large).")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a session to one file, or a run's heads, edges, grid or importances for other tools."""
    chosen = find_format(file, form)
    if chosen is None:
        if file == STDOUT:
            raise ConfigError("A bundle cannot go to stdout.", hint="Give it a name: mine.headcode")
        for option, value in (("--measure", measure), ("--cut", cut)):
            if value is not None:
                raise ConfigError(f"{option} does not apply to a bundle.", hint="Omit it.")
        _bundle(what, file, sae=sae, force=force, as_json=as_json)
        return
    if sae:
        raise ConfigError("--sae applies only to a bundle.", hint="headcode export SESSION mine.headcode --sae")
    from tui.headless.export_run import write_run

    write_run(what, file, chosen, measure=measure, cut=cut, force=force, as_json=as_json)


def import_(
    file: Annotated[Path, typer.Argument(help="A .headcode file, or a circuit as importance JSON.")],
    name: Annotated[str | None, typer.Option("--name", help="Local name for the session.")] = None,
    as_copy: Annotated[
        bool, typer.Option("--as-copy", help="Import under new ids, even if the session already exists.")
    ] = False,
    as_circuit: Annotated[
        str | None,
        typer.Option(
            "--as-circuit", metavar="NAME", help="Save the heads of an importance JSON as a circuit of this name."
        ),
    ] = None,
    session: Annotated[str | None, typer.Option(help="Session for the circuit.")] = None,
    top: Annotated[
        int | None, typer.Option(help="Take this many best heads of the file instead of those in its graph.", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import an exported session, or a circuit found by another tool."""
    path = Path.cwd() / path_of(str(file))
    if as_circuit is None:
        if path.suffix.lower() == ".json":
            raise ConfigError(
                f"{file} is not a bundle.", hint="Import a circuit with --as-circuit NAME --session SESSION."
            )
        for option, value in (("--session", session), ("--top", top)):
            if value is not None:
                raise ConfigError(f"{option} applies only to a circuit.", hint="Also give --as-circuit NAME.")
        _import_bundle(path, name=name, as_copy=as_copy, as_json=as_json)
        return
    if name is not None or as_copy:
        raise ConfigError("--name and --as-copy apply only to a session.", hint="Omit them.")
    if session is None:
        raise ConfigError("A circuit needs a session.", hint="Give one, for example --session latest")
    _keep(path, as_circuit, session, top, as_json=as_json)


def find_format(file: str, form: str | None) -> ExportFormat | None:
    """Return the requested format, or the one of the file's name; None: a bundle.

    Raises ConfigError if neither gives a format.
    """
    if form is not None:
        if form not in FORMATS:
            raise ConfigError(f"--format {form} does not exist.", hint="Formats: " + ", ".join(FORMATS) + ".")
        return next((each for each in EXPORT_FORMATS if each.name == form), None)
    name = Path(file)
    if name.suffix.lower() == ".headcode":
        return None
    found = format_of_name(name.stem, name.suffix)
    if found is None:
        what = "stdout" if file == STDOUT else file
        raise ConfigError(f"{what} does not give a format.", hint="Give --format: " + ", ".join(FORMATS) + ".")
    return found


def _bundle(what: str, file: str, *, sae: bool, force: bool, as_json: bool) -> None:
    from engine.machine.memory import format_bytes
    from sessions.files.atomic_write import apply_umask
    from sessions.protocol import BundleExported, ExportSession
    from tui.headless.host_request import with_host
    from tui.output.console import narrate, print_json, print_line

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
                "format": BUNDLE,
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
        narrate(f"note: {done.sae_missing} files of SAE weights no longer exist.")


def _import_bundle(path: Path, *, name: str | None, as_copy: bool, as_json: bool) -> None:
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
    status = {
        "new": f"{done.n_events} events, {done.n_runs} runs",
        "same": "already imported, with the same entries",
        "older": "already here, with newer entries than this file",
    }[done.arrival]
    print_line(f"{row.name}  {row.session_id}  {status}")


def _keep(path: Path, name: str, session: str, top: int | None, *, as_json: bool) -> None:
    from sessions.protocol import CircuitAnswer, SaveCircuit
    from tui.headless.host_request import with_host
    from tui.output.console import print_json, print_line
    from tui.output.importance_json import read_importance
    from tui.output.node_json import circuits_json

    found = read_importance(path)
    heads, how = found.circuit(top)
    places = tuple((head.layer, head.head) for head in heads)
    source = f"imported from {path.name}: {how} ({found.n_layers} layers of {found.n_heads} heads)"

    async def question(client: "HostClient") -> "CircuitRow":
        return (
            await client.ask(SaveCircuit(session=session, name=name, heads=places, source=source), CircuitAnswer)
        ).circuit

    row = with_host(question)
    if as_json:
        print_json({"schema": "headcode.circuits/1", "circuits": circuits_json([row])})
        return
    listed = " ".join(names(row.heads)) or "none"
    print_line(f"kept {row.name} in {row.session}: {format_count(row.heads)}, {how}  {listed}")
