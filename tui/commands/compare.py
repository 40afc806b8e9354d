"""`headcode compare`: two runs, seeds, circuits or example sets, held against each other."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.options import ColourOption, JsonOption

if TYPE_CHECKING:
    from sessions.client import HostClient
    from sessions.wire import Sides

_SIDE = (
    "A run (SESSION/2, a run's id, a session: its newest run), one seed of it (SESSION/2@0), a version of a session's "
    "examples (SESSION@v3), or a circuit: known, task:NAME, circuit:NAME."
)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="The same for the other side; A - B is shown.")],
    measure: Annotated[str, typer.Option(help="What is subtracted: a field of nodes.")] = "unique_positive",
    cut: Annotated[
        int | None, typer.Option(help="Heads in both circuits. [default: each side's own]", min=1, show_default=False)
    ] = None,
    as_json: JsonOption = False,
    color: ColourOption = "auto",
) -> None:
    """Subtract one grid from another, and say what else differs."""
    from engine.measures import find_measure
    from sessions import compare as algebra
    from sessions.wire import GetSides, Sides
    from tui.commands.asking import with_host
    from tui.output import find_paper, print_json
    from tui.output_compare import compare_json, print_comparison

    shown, paper = find_measure(measure), find_paper(color)

    async def question(client: "HostClient") -> "Sides":
        return await client.ask(GetSides(a=a, b=b), Sides)

    sides = with_host(question)
    found = algebra.compare(sides.a, sides.b, measure=shown, cut=cut)
    if as_json:
        print_json(compare_json(sides.a, sides.b, found))
    else:
        print_comparison(sides.a, sides.b, found, measure=shown, paper=paper)
