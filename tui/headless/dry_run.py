"""`headcode probe --dry-run`: estimates of a run's memory and time."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from engine.planning.preflight import Preflight
    from tui.headless.run_probe import ProbeRequest


def print_preflight(request: "ProbeRequest", *, as_json: bool) -> None:
    """Print the preflight; exit with code 1 if the run does not fit. Raises ConfigError for `--again`."""
    import asyncio

    import msgspec

    from engine.errors import ConfigError
    from tui.output.console import print_columns, print_json
    from tui.terminal.sanitize import clean

    if request.again is not None:
        raise ConfigError(
            f"--again {request.again} repeats a known run; headcode sessions show has its times.",
            hint="Omit --dry-run, or give the task and the settings.",
        )
    found = asyncio.run(ask_preflight(request))
    if as_json:
        print_json({"schema": "headcode.preflight/1", **msgspec.to_builtins(found), "words": found.words})
    else:
        print_columns([(name, clean(words)) for name, words in rows_of(found)])
    if found.fits is False:
        raise typer.Exit(1)


def rows_of(found: "Preflight") -> list[tuple[str, str]]:
    """Return the lines of the report."""
    from engine.machine.memory import format_bytes

    rows = [("model", found.model), ("prompts", str(found.n_examples)), ("memory", found.memory_words)]
    rows += [("", f"{device.name:<12} {device.words}") for device in found.devices]
    if not found.devices:
        rows += [("", f"{part.name:<12} {format_bytes(part.n_bytes):>9}") for part in found.parts]
    if found.cache_bytes:
        rows.append(("disk", f"{format_bytes(found.cache_bytes)} of activations are cached for the next run"))
    if found.time_words:
        rows.append(("time", found.time_words))
    if found.missing_words:
        rows.append(("pairs", found.missing_words))
    return rows


async def ask_preflight(request: "ProbeRequest") -> "Preflight":
    """Return the host's preflight of this request."""
    from engine.config import load_fields
    from engine.machine.folders import find_folders
    from engine.planning.run_options import RunOptions
    from sessions.client.connection import HostClient
    from sessions.protocol import GetPreflight, PreflightAnswer, SessionDetailAnswer, ShowSession

    async with await HostClient.connect(find_folders()) as client:
        model = request.model
        if model is None and request.session is not None:
            model = (await client.ask(ShowSession(session=request.session), SessionDetailAnswer)).detail.session.model
        options = RunOptions(config=request.config, model=model or "toy", **load_fields(request))
        question = GetPreflight(
            options=options,
            session=request.session or "",
            examples=request.examples,
            task=request.task,
            pairs=request.pairs,
        )
        return (await client.ask(question, PreflightAnswer)).preflight
