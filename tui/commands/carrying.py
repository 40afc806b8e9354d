"""`headcode export` and `headcode import`: sessions, grids and circuits in and out of files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.options import JsonOption

if TYPE_CHECKING:
    from sessions.bundle_format import Imported
    from sessions.client import HostClient


def export(
    what: Annotated[str, typer.Argument(metavar="SESSION|RUN", help="Session: name or id; run: NAME/2 or its id.")],
    file: Annotated[Path, typer.Argument(help="mine.headcode takes the whole session; - is stdout.")],
    sae: Annotated[bool, typer.Option("--sae", help="With the SAE weights (large).")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a session into one file, for another machine or another person."""
    from sessions.bundle_format import Exported
    from sessions.wire import BundleExported, ExportSession
    from tui.commands.asking import with_host
    from tui.output import bytes_in_words, narrate, print_json, print_line

    path = str(Path.cwd() / file.expanduser())

    async def question(client: "HostClient") -> Exported:
        request = ExportSession(session=what, path=path, sae=sae, force=force)
        return (await client.ask(request, BundleExported)).exported

    done = with_host(question)
    counts = done.manifest.counts
    if as_json:
        print_json(
            {
                "schema": "headcode.export/1",
                "path": done.path,
                "session_id": done.session_id,
                "n_bytes": done.n_bytes,
                "sha256": done.sha256,
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
        f"{bytes_in_words(done.n_bytes)}; sha256 {done.sha256[:16]}"
    )
    if done.sae_missing:
        narrate(f"note: the SAE weights of {done.sae_missing} runs are no longer here.")


def import_(
    file: Annotated[Path, typer.Argument(help="A .headcode file.")],
    name: Annotated[str | None, typer.Option("--name", help="What to call the session here.")] = None,
    as_copy: Annotated[
        bool, typer.Option("--as-copy", help="Under new ids, beside the session it may be here as already.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take in what somebody exported."""
    import msgspec

    from sessions.wire import BundleImported, ImportBundle
    from tui.commands.asking import with_host
    from tui.output import print_json, print_line

    path = str(Path.cwd() / file.expanduser())

    async def question(client: "HostClient") -> "Imported":
        return (await client.ask(ImportBundle(path=path, name=name, as_copy=as_copy), BundleImported)).imported

    done = with_host(question)
    if as_json:
        print_json({"schema": "headcode.import/1", **msgspec.to_builtins(done)})
        return
    row = done.session
    if done.arrival == "new":
        print_line(f"{row.name}  {row.session_id}  {done.n_events} events, {done.n_runs} runs")
    elif done.arrival == "same":
        print_line(f"{row.name}  {row.session_id}  is here already, entry for entry")
    else:
        print_line(f"{row.name}  {row.session_id}  is here already, and has gone on since this file was written")
