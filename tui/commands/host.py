"""`headcode host`: the process that owns the store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from sessions.protocol import AnyRequest
    from sessions.rows import HostStatus

T = TypeVar("T")

app = typer.Typer(
    help="Show and stop the host: the process that owns the store.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("status")
def status(as_json: JsonOption = False) -> None:
    """Show whether a host is running and what it does. Does not start one."""
    import asyncio
    import time

    import msgspec

    from engine.machine.folders import find_folders
    from engine.machine.memory import format_bytes
    from tui.output.console import narrate, print_columns, print_json
    from tui.state.engine_status import format_work
    from tui.terminal.sanitize import clean

    places = find_folders()
    found = asyncio.run(ask_status())
    if as_json:
        print_json(
            {
                "schema": "headcode.host/1",
                "running": found is not None,
                "socket": str(places.socket) if found is None else found.socket,
                "store": str(places.store),
                "status": msgspec.to_builtins(found),
            }
        )
        return
    if found is None:
        print_columns([("host", "not running"), ("store", str(places.store)), ("socket", str(places.socket))])
        return
    idle = f"exits in {found.idle_exit_s:.0f} s if nothing happens" if found.idle_exit_s is not None else "in use"
    worker = found.worker_state
    if found.worker_pid is not None:
        worker += f", process {found.worker_pid}" + (f", model {found.worker_model}" if found.worker_model else "")
    work = found.at_work
    print_columns(
        [
            ("host", f"process {found.pid}, version {found.version}, up {found.uptime_s:.0f} s, {idle}"),
            ("clients", str(found.clients)),
            ("worker", worker),
            ("runs", f"{found.queued} waiting" + (f", {found.running} under way" if found.running else "")),
            *([("at work", format_work(work, int(time.time() * 1e6)))] if work is not None else []),
            ("store", f"{found.store} ({format_bytes(found.store_bytes)})"),
            *([("recording", f"stopped: {found.trouble}")] if found.trouble else []),
            ("socket", found.socket),
        ]
    )
    if work is not None and work.silent:
        narrate(f"{clean(work.title)} may hang: headcode host cancel ends it; queued work continues.")


@app.command("cancel")
def cancel(as_json: JsonOption = False) -> None:
    """End the engine's current work, whichever client started it; queued work continues in a new engine."""
    import asyncio
    import time

    from sessions.protocol import EndWork, StatusAnswer
    from tui.output.console import print_json, print_line
    from tui.state.engine_status import format_work

    before = asyncio.run(_ask(EndWork(), StatusAnswer))
    work = before.status.at_work if before is not None else None
    if as_json:
        import msgspec

        print_json({"schema": "headcode.host_cancel/1", "ended": msgspec.to_builtins(work)})
        return
    message = f"Ended: {format_work(work, int(time.time() * 1e6))}" if work is not None else "No host is running."
    print_line(message)


@app.command("stop")
def stop(as_json: JsonOption = False) -> None:
    """Stop the host; unfinished runs are recorded as interrupted."""
    import asyncio

    from engine.machine.folders import find_folders
    from sessions.client.connection import stop_host
    from tui.output.console import print_json, print_line

    stopped = asyncio.run(stop_host(find_folders()))
    if as_json:
        print_json({"schema": "headcode.host_stop/1", "stopped": stopped is not None, "pid": stopped})
        return
    print_line("No host was running." if stopped is None else f"The host has ended (process {stopped}).")


@app.command("log")
def log(
    lines: Annotated[int, typer.Option("--lines", "-n", help="Number of lines, from the end.", min=1)] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show the last lines of the host's and worker's logs."""
    from engine.machine.folders import find_folders
    from tui.output.console import print_json, print_line

    folder = find_folders().logs
    files = sorted(path for path in folder.glob("*.log") if path.is_file()) if folder.is_dir() else []
    ends = [(path, _tail(path, lines)) for path in files]
    if as_json:
        logs = [{"file": str(path), "lines": tail} for path, tail in ends]
        print_json({"schema": "headcode.host_log/1", "folder": str(folder), "logs": logs})
        return
    if not files:
        print_line(f"No log yet: {folder}")
    for path, tail in ends:
        print_line(f"== {path}")
        for text in tail:
            print_line(text)


async def ask_status() -> "HostStatus | None":
    """Return the status of the running host, or None if there is none. Does not start one."""
    from sessions.protocol import GetStatus, StatusAnswer

    answer = await _ask(GetStatus(), StatusAnswer)
    return None if answer is None else answer.status


async def _ask(request: "AnyRequest", want: type[T]) -> T | None:
    """Return the running host's answer, or None if there is no host."""
    from engine.machine.folders import find_folders
    from sessions.client.connection import HostClient
    from sessions.errors import NoHost

    places = find_folders()
    try:
        async with await HostClient.connect(places, start=False) as client:
            return await client.ask(request, want)
    except NoHost:
        return None


def _tail(path: Path, lines: int) -> list[str]:
    with path.open("rb") as file:
        # Log lines are short; 400 bytes each is generous.
        file.seek(max(0, path.stat().st_size - 400 * lines))
        return file.read().decode("utf-8", "replace").splitlines()[-lines:]
