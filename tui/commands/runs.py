"""`headcode runs`: list runs with what differs between them, name and tag them."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.commands.sessions_edit import AddedTags, RemovedTags, TagCommand, TagWords, tags_to_add
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from sessions.protocol import LabelRun
    from sessions.rows import RunRow

app = typer.Typer(help="List, name and tag runs.", no_args_is_help=True, rich_markup_mode=None)

_Run = Annotated[
    str, typer.Argument(metavar="RUN", help="SESSION/2, its name, a run's id or a prefix of it, or latest.")
]


@app.command("list")
def list_runs(
    session: Annotated[str | None, typer.Argument(metavar="[SESSION]", help="Only runs of this session.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only runs with this tag.")] = None,
    limit: Annotated[int, typer.Option(help="Maximum number of runs, newest first.", min=1, max=10_000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first: names, examples, time, and what differs from the run before in its session."""
    import msgspec

    from sessions.protocol import ListRuns, RunsAnswer
    from tui.headless.host_request import with_host
    from tui.headless.wording import format_tags
    from tui.output.console import narrate, print_columns, print_json
    from tui.output.run_list import format_counts, format_seconds_of, what_differs
    from tui.terminal.times import moment

    wanted = tag.strip().removeprefix("#").lower() if tag is not None else None
    request = ListRuns(session=session, tag=wanted, limit=limit, with_before=True)
    rows = with_host(lambda client: client.ask(request, RunsAnswer)).runs
    if as_json:
        listed = [
            {"session": each.session, "differs": what_differs(each), **msgspec.to_builtins(each.run)} for each in rows
        ]
        print_json({"schema": "headcode.runs/1", "runs": listed})
        return
    if not rows:
        narrate("No matching run. headcode runs list shows all; headcode probe ioi makes one.")
        return
    named, tagged = any(each.run.name for each in rows), any(each.run.tags for each in rows)
    print_columns(
        [
            (
                f"{each.session}/{each.run.number}",
                *([each.run.name or "-"] if named else []),
                each.run.state,
                each.run.model,
                format_counts(each.run),
                format_seconds_of(each.run),
                moment(each.run.queued_us),
                *([format_tags(each.run.tags) or "-"] if tagged else []),
                what_differs(each) or "-",
            )
            for each in rows
        ],
        header=(
            "run",
            *(["name"] if named else []),
            *("state", "model", "examples", "took", "asked"),
            *(["tags"] if tagged else []),
            "differs from the run before",
        ),
    )


@app.command("name")
def name_run(
    run: _Run,
    name: Annotated[str, typer.Argument(help="What it is called; an empty text removes the name.")],
    as_json: JsonOption = False,
) -> None:
    """Name a run: wherever a run is named, SESSION/NAME and NAME then mean it, too."""
    from sessions.protocol import LabelRun

    row = _ask(LabelRun(run=run, name=name))
    _report(row, f"run {row.number}  {row.name or 'no name'}  {row.run_id}", as_json=as_json)


@app.command("tag", cls=TagCommand)
def tag_run(
    run: _Run,
    tags: TagWords = None,
    add: AddedTags = None,
    remove: RemovedTags = None,
    as_json: JsonOption = False,
) -> None:
    """Add and remove tags: headcode runs tag ioi/2 +paper -draft. Without tags: show them."""
    from sessions.protocol import LabelRun
    from tui.headless.wording import format_tags

    row = _ask(LabelRun(run=run, add=tags_to_add(tags, add), remove=tuple(remove or ())))
    _report(row, f"run {row.number}  {format_tags(row.tags) or 'no tags'}", as_json=as_json)


def _ask(request: "LabelRun") -> "RunRow":
    from sessions.protocol import RunAnswer
    from tui.headless.host_request import with_host

    return with_host(lambda client: client.ask(request, RunAnswer)).run


def _report(row: "RunRow", words: str, *, as_json: bool) -> None:
    import msgspec

    from tui.output.console import print_json, print_line

    if as_json:
        print_json({"schema": "headcode.run_row/1", "run": msgspec.to_builtins(row)})
    else:
        print_line(words)
