"""`headcode compare`: compare two runs, seeds, circuits or example sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.output.cli_options import ColourOption, JsonOption

if TYPE_CHECKING:
    from engine.code_families import CodesComparison
    from sessions.client.connection import HostClient
    from sessions.comparison.comparison import ComparisonSide
    from sessions.protocol import SidesAnswer

_SIDE = (
    "A run (SESSION/2, a run's id, a session: its newest run), one seed of it (SESSION/2@0), a version of a session's "
    "examples (SESSION@v3), a circuit: known, task:NAME, circuit:NAME, or a file of another tool: importances.json."
)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other side, in the same forms; A - B is shown.")],
    measure: Annotated[str, typer.Option(help="Measure to subtract (a field of nodes).")] = "total_variation",
    cut: Annotated[
        int | None, typer.Option(help="Size of both circuits. [default: each side's own]", min=1, show_default=False)
    ] = None,
    as_json: JsonOption = False,
    color: ColourOption = "auto",
) -> None:
    """Subtract one grid from another and show what else differs."""
    from engine.errors import HeadcodeError
    from engine.measures import find_measure
    from sessions.comparison import comparison as algebra
    from sessions.protocol import CodesCompared, CompareCodes, GetSides, SidesAnswer
    from tui.headless.host_request import with_host
    from tui.output.comparison import compare_json, print_comparison
    from tui.output.console import detect_style, print_json

    shown, output = find_measure(measure), detect_style(color)

    files = {name: foreign_side(Path(name)) for name in (a, b) if name.endswith(".json") and Path(name).is_file()}

    async def question(client: "HostClient") -> "tuple[SidesAnswer, CodesComparison | None, str]":
        # Files are read here; the host is asked only for what the store has.
        theirs = [name for name in (a, b) if name not in files] or [a]
        sides = await client.ask(GetSides(a=theirs[0], b=theirs[-1]), SidesAnswer)
        if files or sides.a.kind != "run" or sides.b.kind != "run":
            return sides, None, ""
        try:
            asked = CompareCodes(a=str(sides.a.run_id), b=str(sides.b.run_id))
            return sides, (await client.ask(asked, CodesCompared)).comparison, ""
        except HeadcodeError as error:
            return sides, None, error.message

    codes, why_not = None, ""
    if len({a, b} - set(files)) == 0:
        sides = SidesAnswer(a=files[a], b=files[b])
    else:
        found_sides, codes, why_not = with_host(question)
        sides = SidesAnswer(a=files.get(a, found_sides.a), b=files.get(b, found_sides.b))
    found = algebra.compare(sides.a, sides.b, measure=shown, cut=cut)
    if as_json:
        print_json(compare_json(sides.a, sides.b, found, codes))
    else:
        print_comparison(sides.a, sides.b, found, measure=shown, output=output, codes=codes, no_codes=why_not)


def foreign_side(path: Path) -> "ComparisonSide":
    """Load another tool's importance JSON as a grid to compare with. Raises BadImportance."""
    from sessions.comparison.comparison import ComparisonSide
    from tui.output.importance_json import BadImportance, read_importance

    found = read_importance(path)
    if not found.scores:
        raise BadImportance(
            f"{path} has no scores of heads or edges, so it gives no grid.",
            hint=f"To use its circuit: headcode import {path} --as-circuit NAME --session SESSION",
        )
    return ComparisonSide(
        reference=f"file:{path.name}",
        title=path.name,
        kind="file",
        n_layers=found.n_layers,
        n_heads=found.n_heads,
        scores={str(head): score for head, score in found.scores.items()},
        source=f"by {found.scored_by}",
    )
