"""`headcode sessions`: list and show sessions and their runs."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from tui.output.cli_options import ColourOption, JsonOption

if TYPE_CHECKING:
    from engine.analysis.run_state import RunSnapshot
    from sessions.client.connection import HostClient
    from sessions.rows import RunRow, SessionDetail

app = typer.Typer(
    help="List, show, search, name, tag, note and delete sessions.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_sessions(
    limit: Annotated[int, typer.Option(help="Maximum number of sessions, newest first.", min=1, max=10_000)] = 50,
    tag: Annotated[str | None, typer.Option(help="Only sessions with this tag.")] = None,
    trash: Annotated[bool, typer.Option("--trash", help="List the trash instead.")] = False,
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="Only sessions that contain these words.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the sessions, newest first."""
    import msgspec

    from engine.errors import ConfigError
    from sessions.protocol import ListSessions, SearchResults, SearchSessions, SessionsAnswer
    from sessions.rows import SessionRow
    from tui.headless.host_request import with_host
    from tui.headless.wording import format_tags
    from tui.output.console import narrate, print_columns, print_json
    from tui.terminal.times import moment

    if search is not None and trash:
        raise ConfigError("--search does not cover the trash.", hint="headcode sessions list --trash lists all of it.")
    wanted = tag.strip().removeprefix("#").lower() if tag is not None else None

    async def question(client: "HostClient") -> tuple[SessionRow, ...]:
        if search is not None:
            hits = (await client.ask(SearchSessions(text=search, limit=10_000), SearchResults)).hits
            return tuple(hit.session for hit in hits if wanted is None or wanted in hit.session.tags)[:limit]
        return (await client.ask(ListSessions(limit=limit, tag=wanted, trashed=trash), SessionsAnswer)).sessions

    rows = with_host(question)
    if as_json:
        print_json({"schema": "headcode.sessions/1", "sessions": msgspec.to_builtins(rows)})
        return
    if not rows:
        if trash:
            narrate("The trash is empty.")
        elif tag is not None or search is not None:
            narrate("No matching session. headcode sessions list shows all.")
        else:
            narrate("No sessions yet. headcode probe ioi creates one.")
        return
    tagged = any(row.tags for row in rows)
    print_columns(
        [
            (
                row.name,
                row.model,
                row.task or "-",
                f"{row.n_positive}+{row.n_negative}",
                str(row.n_runs),
                moment(row.trashed_us if row.trashed_us is not None else row.updated_us),
                *([format_tags(row.tags) or "-"] if tagged else []),
                row.session_id,
            )
            for row in rows
        ],
        header=(
            *("session", "model", "task", "examples", "runs"),
            "deleted" if trash else "changed",
            *(["tags"] if tagged else []),
            "id",
        ),
    )


@app.command("show")
def show_session(
    session: Annotated[
        str,
        typer.Argument(help="Name, id or prefix of an id; NAME/2 and NAME/best are runs of it."),
    ],
    measure: Annotated[str, typer.Option(help="Measure shown in the grid (a field of nodes).")] = "total_variation",
    as_json: JsonOption = False,
    color: ColourOption = "auto",
) -> None:
    """Show a session's runs and the grid of one of them, from the stored log."""
    import msgspec

    from engine.measures import find_measure
    from tui.headless.host_request import with_host
    from tui.headless.wording import find_session_or_run, format_tags, print_notes
    from tui.output.console import detect_style, print_columns, print_json, print_line
    from tui.output.verification import format_verdict
    from tui.terminal.times import moment

    shown, output = find_measure(measure), detect_style(color)

    async def ask(client: "HostClient") -> "tuple[SessionDetail, RunRow | None, RunSnapshot]":
        return await find_run(client, *await find_session_or_run(client, session))

    detail, run, picture = with_host(ask)
    if as_json:
        from tui.output.json import has_other_nodes, probe_json
        from tui.output.node_json import notes_json, to_json

        found = probe_json(picture, run) if run is not None and picture.finished is not None else None
        print_json(
            {
                "schema": "headcode.session/1",
                "session": msgspec.to_builtins(detail.session),
                "runs": msgspec.to_builtins(detail.runs),
                "notes": notes_json(detail.notes),
                "run": found,
                "partial": [] if found is not None else to_json(picture.nodes, mixed=has_other_nodes(picture)),
            }
        )
        return
    row = detail.session
    print_line(f"{row.name}  {row.session_id}  {row.model}  {row.task or 'own examples'}  {moment(row.created_us)}")
    if row.trashed_us is not None:
        print_line(f"In the trash since {moment(row.trashed_us)}: headcode sessions restore {row.session_id}")
    if row.tags:
        print_line(f"tags  {format_tags(row.tags)}")
    print_notes(detail.notes)
    if run is None:
        print_line(f"No runs yet. headcode probe --session {shlex.quote(row.name)} makes one.")
        return
    # Shown only if a run was verified; otherwise the column would raise questions.
    checked = any(each.verified is not None for each in detail.runs)
    named, tagged = any(each.name for each in detail.runs), any(each.tags for each in detail.runs)
    print_columns(
        [
            (
                str(each.number),
                *([each.name or "-"] if named else []),
                each.state,
                *([format_verdict(each.verified) or "-"] if checked else []),
                moment(each.queued_us),
                each.model,
                _format_seeds(each),
                *([format_tags(each.tags) or "-"] if tagged else []),
                each.run_id,
            )
            for each in detail.runs
        ],
        header=(
            "run",
            *(["name"] if named else []),
            "state",
            *(["verified"] if checked else []),
            *("asked", "model", "seeds"),
            *(["tags"] if tagged else []),
            "id",
        ),
    )
    if any(each.state == "queued" for each in detail.runs):
        _print_blocking_work()
    print_line()
    if run.failure is not None:
        print_line(f"Run {run.number} {run.state}: {run.failure.message}")
        if run.failure.hint:
            print_line(f"  hint: {run.failure.hint}")
    from tui.output.run import labels_of, print_run

    print_run(picture, labels_of(row, run), measure=shown, output=output)


def _print_blocking_work() -> None:
    import asyncio
    import time

    from tui.commands.host import ask_status
    from tui.output.console import narrate
    from tui.state.engine_status import format_work

    status = asyncio.run(ask_status())
    if status is not None and status.at_work is not None:
        narrate(f"Queued runs wait for {format_work(status.at_work, int(time.time() * 1e6))}.")


async def find_run(
    client: "HostClient", name: str, number: int | None
) -> "tuple[SessionDetail, RunRow | None, RunSnapshot]":
    """Return the session, the requested run (default: the newest) and its snapshot."""
    from engine.analysis.run_state import RunSnapshot
    from sessions.errors import NoSuchRecord
    from sessions.protocol import SessionDetailAnswer, ShowSession
    from tui.headless.run_probe import read_run

    detail = (await client.ask(ShowSession(session=name), SessionDetailAnswer)).detail
    runs = detail.runs
    if number is not None:
        runs = tuple(run for run in runs if run.number == number)
        if not runs:
            raise NoSuchRecord(
                f"Session {detail.session.name!r} has no run {number}.",
                hint=f"It has {len(detail.runs)}: headcode sessions show {shlex.quote(detail.session.name)}",
            )
    if not runs:
        return detail, None, RunSnapshot()
    run = runs[0]
    return detail, run, await read_run(client, detail.session.session_id, run, detail.last_seq)


def _format_seeds(run: "RunRow") -> str:
    return ",".join(map(str, run.config.seeds)) if len(run.config.seeds) <= 6 else f"{len(run.config.seeds)} seeds"
