"""`headcode examples`: a session's examples shown, handed out, taken in, expanded, and their changes taken back."""

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
SessionArgument = Annotated[str, typer.Argument(help="Its name, its id, or latest.")]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The new session's name; one that is taken gets a number.")],
    file: Annotated[str | None, typer.Argument(help="Lines, JSONL or CSV to begin with; - is stdin.")] = None,
    model: Annotated[str, typer.Option(help="The model it is about: headcode models list.")] = "toy",
    as_json: JsonOption = False,
) -> None:
    """Begin a session of your own examples, empty or with those of a file."""
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
    """Show the examples, one a line; a # marks those that are left out."""
    import msgspec

    from engine.authoring.drafts import flaw, text_of
    from tui.output.console import narrate, print_json, print_line

    found = _ask_for(session)
    flaws = {place: words for place, each in enumerate(found.examples) if (words := flaw(each))}
    if as_json:
        told = [
            {**msgspec.to_builtins(each), "flaw": flaws.get(place, "")} for place, each in enumerate(found.examples)
        ]
        print_json(
            {
                "schema": "headcode.examples/1",
                "session": found.session.session_id,
                "name": found.session.name,
                "version": found.version,
                "content_hash": found.content_hash,
                "examples": told,
            }
        )
        return
    if not found.examples:
        narrate("No examples yet: headcode examples import reads a file, make takes a ready-made task.")
    for place, each in enumerate(found.examples):
        print_line(("" if each.enabled else "# ") + text_of(each))
        if place in flaws:
            narrate(f"line {place + 1} cannot be read: {flaws[place]}")


@app.command("export")
def export(
    session: SessionArgument,
    file: Annotated[str, typer.Argument(help="Where to; - is stdout.")] = "-",
    form: Annotated[str | None, typer.Option("--as", metavar="FORMAT", help="lines, jsonl or csv.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write the examples to a file; its ending says the format: .jsonl, .csv, or .txt for lines."""
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
        raise ConfigError(f"{file} is there already.", hint="--force writes over it.")
    write_file(path, text)
    narrate(f"{text.count(chr(10))} lines are in {file}.")


@app.command("import")
def import_(
    session: SessionArgument,
    file: Annotated[str, typer.Argument(help="Lines, JSONL or CSV; - is stdin.")],
    replace: Annotated[bool, typer.Option("--replace", help="In the place of what is there, not after it.")] = False,
    fill: Annotated[bool, typer.Option("--fill/--keep-slots", help="Fill {slots} in every way, or leave them.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Add the examples of a file; {slots} are filled, what cannot be read is kept as text."""
    from engine.authoring.drafts import flaw, parse_pasted, preview_slots
    from tui.headless.read_examples import read_text
    from tui.output.console import narrate

    text = read_text(file)

    def change(now: "tuple[Example, ...]") -> "tuple[Example, ...]":
        found = preview_slots(text, after=() if replace else now)
        if found is not None:
            narrate(f"{found.words}{'; they stay as they are' if not fill else ''}.")
        new = parse_pasted(text, after=() if replace else now, fill=fill)
        if not new:
            raise ExampleError(f"{file} holds no examples.", hint="A line is: + prompt => expected | foil.")
        unread = sum(bool(flaw(each)) for each in new)
        narrate(f"{len(new)} examples{f', {unread} of them cannot be read yet' if unread else ''}.")
        return new if replace else (*now, *new)

    _change(session, change, as_json)


@app.command("make")
def make(
    session: SessionArgument,
    task: Annotated[str, typer.Argument(help="A ready-made task: headcode tasks.")],
    pairs: Annotated[int, typer.Option(help="How many pairs.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="Another number, other examples.")] = 0,
    usable: Annotated[
        bool, typer.Option("--usable", help="Only pairs the model can do: positive ok, negative not broken.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="In the place of what is there, not after it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add the examples of a ready-made task, made for the session's model."""
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
        int | None, typer.Option(help="How many; none given: as many as are missing, or 4.", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add pairs made of those there are by exchanging words of one class, each graded by the session's model.

    Exit code 1 where the model can do none of them, 2 where nothing can be varied.
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
    count: Annotated[bool, typer.Option("--count", help="Only say how many examples there would be.")] = False,
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
    """Take back the last change of the examples."""
    _step(session, -1, as_json)


@app.command("redo")
def redo(session: SessionArgument, as_json: JsonOption = False) -> None:
    """Make the change again that was taken back."""
    _step(session, 1, as_json)


def _ask_for(session: str) -> "ExampleSet":
    from sessions.protocol import ExampleSet, GetExamples
    from tui.headless.host_request import with_host

    async def question(client: "HostClient") -> ExampleSet:
        return await client.ask(GetExamples(session=session), ExampleSet)

    return with_host(question)


def _change(session: str, change: "Callable[[tuple[Example, ...]], tuple[Example, ...]]", as_json: bool) -> None:
    """Makes the change on what is there; refused where somebody else was quicker."""
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
