"""`headcode examples`: show, export, import, generate, expand and undo a session's examples."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import ConfigError, ExampleError, HeadcodeError
from engine.machine.paths import path_of
from tui.headless.write_examples import format_examples, write_file
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from engine.examples import Example
    from sessions.client.connection import HostClient
    from sessions.protocol import AnyRequest, ExampleSet
    from sessions.rows import SessionRow

app = typer.Typer(
    help="Show, export, import, expand and undo the examples of a session.", no_args_is_help=True, rich_markup_mode=None
)
SessionArgument = Annotated[str, typer.Argument(help="A session's name or id, or latest.")]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the new session; a number is added if it is taken.")],
    file: Annotated[str | None, typer.Argument(help="Examples to start with: lines, JSONL or CSV; - is stdin.")] = None,
    model: Annotated[str, typer.Option(help="The session's model; see headcode models list.")] = "toy",
    as_json: JsonOption = False,
) -> None:
    """Create a session for your own examples, empty or from a file."""
    from engine.authoring.drafts import parse_pasted
    from sessions.protocol import CreateSession, DiscardSession, SessionsRemoved, SetExamples
    from tui.headless.host_request import with_host
    from tui.headless.read_examples import read_text

    examples = parse_pasted(read_text(file)) if file is not None else ()
    row = _row(CreateSession(name=name, model=model))
    if examples:
        try:
            row = _row(SetExamples(session=row.session_id, examples=examples))
        except HeadcodeError:
            with_host(lambda client: client.ask(DiscardSession(session=row.session_id), SessionsRemoved))
            raise
    _tell(row, as_json)


@app.command("show")
def show(session: SessionArgument, as_json: JsonOption = False) -> None:
    """Show the examples, one per line; # marks disabled ones."""
    import msgspec

    from engine.authoring.drafts import flaw, text_of
    from tui.output.console import narrate, print_json, print_line

    found = _ask_for(session)
    flaws = {place: words for place, each in enumerate(found.examples) if (words := flaw(each))}
    if as_json:
        rows = [
            {**msgspec.to_builtins(each), "flaw": flaws.get(place, "")} for place, each in enumerate(found.examples)
        ]
        print_json(
            {
                "schema": "headcode.examples/1",
                "session": found.session.session_id,
                "name": found.session.name,
                "version": found.version,
                "content_hash": found.content_hash,
                "examples": rows,
            }
        )
        return
    if not found.examples:
        narrate("No examples yet: headcode examples import reads a file, make adds those of a ready-made task.")
    for place, each in enumerate(found.examples):
        print_line(("" if each.enabled else "# ") + text_of(each))
        if place in flaws:
            narrate(f"line {place + 1} cannot be read: {flaws[place]}")


@app.command("export")
def export(
    session: SessionArgument,
    file: Annotated[str, typer.Argument(help="Output file; - is stdout.")] = "-",
    form: Annotated[str | None, typer.Option("--as", metavar="FORMAT", help="lines, jsonl or csv.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write the examples to a file; the suffix selects the format: .jsonl, .csv, or .txt for lines."""
    from tui.output.console import narrate, write_data

    kind = form or {"jsonl": "jsonl", "csv": "csv"}.get(
        file.rpartition(".")[2].lower(), "lines" if file != "-" else "jsonl"
    )
    text = format_examples(_ask_for(session).examples, kind)
    if file == "-":
        write_data(text)
        return
    path = path_of(file)
    if path.exists() and not force:
        raise ConfigError(f"{file} already exists.", hint="--force overwrites it.")
    write_file(path, text)
    narrate(f"{text.count(chr(10))} lines written to {file}.")


@app.command("import")
def import_(
    session: SessionArgument,
    file: Annotated[str, typer.Argument(help="Lines, JSONL or CSV; - is stdin.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the existing examples instead of adding.")
    ] = False,
    fill: Annotated[bool, typer.Option("--fill/--keep-slots", help="Fill {slots} in every way, or keep them.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Add the examples of a file; {slots} are filled, and unreadable lines are kept as text."""
    from engine.authoring.drafts import flaw, parse_pasted, preview_slots
    from tui.headless.read_examples import read_text
    from tui.output.console import narrate

    text = read_text(file)

    def change(now: "tuple[Example, ...]") -> "tuple[Example, ...]":
        found = preview_slots(text, after=() if replace else now)
        if found is not None:
            narrate(f"{found.words}{'; they are kept as they are' if not fill else ''}.")
        new = parse_pasted(text, after=() if replace else now, fill=fill)
        if not new:
            raise ExampleError(f"{file} contains no examples.", hint="Write lines as: + prompt => expected | foil")
        unread = sum(bool(flaw(each)) for each in new)
        narrate(f"{len(new)} examples{f', {unread} of them cannot be read yet' if unread else ''}.")
        return new if replace else (*now, *new)

    _change(session, change, as_json)


@app.command("make")
def make(
    session: SessionArgument,
    task: Annotated[str, typer.Argument(help="A ready-made task; see headcode tasks.")],
    pairs: Annotated[int, typer.Option(help="Number of pairs.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the examples.")] = 0,
    usable: Annotated[
        bool, typer.Option("--usable", help="Use only pairs the model can do: positive ok, negative not broken.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the existing examples instead of adding.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add examples of a ready-made task, generated for the session's model."""
    from engine.authoring.drafts import renumber_pairs
    from sessions.protocol import MakeTaskExamples, TaskExamplesMade
    from tui.headless.host_request import with_host

    async def question(client: "HostClient") -> "tuple[Example, ...]":
        request = MakeTaskExamples(session=session, task=task, pairs=pairs, task_seed=seed, usable=usable)
        return (await client.ask(request, TaskExamplesMade)).examples

    new = with_host(question)
    _change(session, lambda now: renumber_pairs(new, ()) if replace else (*now, *renumber_pairs(new, now)), as_json)


@app.command("more")
def more(
    session: SessionArgument,
    pairs: Annotated[
        int | None, typer.Option(help="Number of pairs. [default: as many as are missing, or 4]", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add variations of the existing pairs, made by swapping words of one class and graded by the session's model.

    Exit code 1 if the model can do none of them, 2 if nothing can be varied.
    """
    import msgspec

    from sessions.protocol import ExampleSet, GetExamples, GradeExamples, Grades, SetExamples
    from tui.editor.more_pairs import MorePairs, more_pairs
    from tui.headless.host_request import with_host
    from tui.output.console import narrate, print_json

    async def question(client: "HostClient") -> tuple[ExampleSet, MorePairs]:
        there = await client.ask(GetExamples(session=session), ExampleSet)

        async def ask(examples: "Sequence[Example]") -> Grades:
            asked = GradeExamples(session=there.session.session_id, examples=tuple(examples))
            return await client.ask(asked, Grades)

        return there, await more_pairs(there.examples, pairs, ask)

    there, found = with_host(question)
    row = there.session
    if found.n:
        changed = (*there.examples, *found.new)
        row = _row(SetExamples(session=row.session_id, examples=changed, over=there.content_hash))
    if as_json:
        print_json(
            {
                "schema": "headcode.examples.more/1",
                "session": msgspec.to_builtins(row),
                "added": found.n,
                "tried": found.tried,
                "missing": found.missing,
                "n_heads": found.n_heads,
                "examples": msgspec.to_builtins(found.new),
            }
        )
    else:
        narrate(f"{found.words}{found.rest}.")
        _tell(row, as_json=False)
    if not found.n:
        raise typer.Exit(1)


@app.command("expand")
def expand(
    session: SessionArgument,
    count: Annotated[bool, typer.Option("--count", help="Only print how many examples there would be.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fill the {slots} of the session's lines in every way."""
    from engine.authoring.drafts import flaw, parse_pasted, text_of
    from engine.authoring.templates import count as count_lines
    from tui.output.console import print_json, print_line

    def lines_of(examples: "tuple[Example, ...]") -> list[str]:
        return [text_of(each) for each in examples if each.enabled and not flaw(each)]

    if count:
        n = count_lines(lines_of(_ask_for(session).examples))
        print_json({"schema": "headcode.examples.count/1", "count": n}) if as_json else print_line(str(n))
        return

    def change(now: "tuple[Example, ...]") -> "tuple[Example, ...]":
        kept = tuple(each for each in now if not each.enabled or flaw(each))
        return (*parse_pasted("\n".join(lines_of(now))), *kept) if any("{" in each.prompt for each in now) else now

    _change(session, change, as_json)


@app.command("undo")
def undo(session: SessionArgument, as_json: JsonOption = False) -> None:
    """Undo the last change of the examples."""
    _step(session, -1, as_json)


@app.command("redo")
def redo(session: SessionArgument, as_json: JsonOption = False) -> None:
    """Redo the change that was undone."""
    _step(session, 1, as_json)


def _ask_for(session: str) -> "ExampleSet":
    from sessions.protocol import ExampleSet, GetExamples
    from tui.headless.host_request import with_host

    async def question(client: "HostClient") -> ExampleSet:
        return await client.ask(GetExamples(session=session), ExampleSet)

    return with_host(question)


def _change(session: str, change: "Callable[[tuple[Example, ...]], tuple[Example, ...]]", as_json: bool) -> None:
    """Apply a change to the current examples; refused if another client changed them meanwhile."""
    from sessions.protocol import SetExamples

    found = _ask_for(session)
    request = SetExamples(session=found.session.session_id, examples=change(found.examples), over=found.content_hash)
    _tell(_row(request), as_json)


def _step(session: str, by: int, as_json: bool) -> None:
    from sessions.protocol import StepExamples

    _tell(_row(StepExamples(session=session, by=-1 if by < 0 else 1)), as_json)


def _row(request: "AnyRequest") -> "SessionRow":
    from sessions.protocol import SessionAnswer
    from tui.headless.host_request import with_host

    async def question(client: "HostClient") -> "SessionRow":
        return (await client.ask(request, SessionAnswer)).session

    return with_host(question)


def _tell(row: "SessionRow", as_json: bool) -> None:
    import msgspec

    from tui.output.console import print_json, print_line

    if as_json:
        print_json({"schema": "headcode.session.row/1", "session": msgspec.to_builtins(row)})
    else:
        print_line(f"{row.name}: {row.n_positive} + {row.n_negative} examples.")
