"""`headcode places`: where in the prompts a node of a stored run matters, position by position."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from engine.config import EffectsConfig

GRID = "grid"


def places(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    node: Annotated[
        str,
        typer.Argument(
            metavar="NODE",
            help="9.6 (head 6 of layer 9), m8 (MLP of layer 8), emb, or grid: stream, attention, MLP of every layer.",
        ),
    ],
    metric: Annotated[
        str, typer.Option(help="auto, logit_difference, log_probability, probability_mass or kl.")
    ] = "auto",
    replace: Annotated[str, typer.Option(help="auto, pair, mean, resample or zero.")] = "auto",
    examples: Annotated[
        int | None, typer.Option(metavar="N", help="At most so many positives. [default: 64; 8 for the grid]")
    ] = None,
    prompts: Annotated[bool, typer.Option("--prompts", help="Show every prompt, not only the mean over them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Replace one node at one position alone, for every position of the prompts, and show the effect on the answer.

    With grid: the stream, all heads or the MLP of one layer. Nothing is stored. Prompts of unequal length, and the two
    sides of a pair, are aligned at their ends.
    """
    from sessions.protocol import GetGrid, GetPlaces, Places, StreamGrid
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.places import grid_json, places_json, print_grid, print_places

    whole = node == GRID
    config = effects_config(metric=metric, replace=replace, examples=examples or (8 if whole else 64))
    if whole:
        grid = with_host(lambda client: client.ask(GetGrid(run=run, config=config), StreamGrid))
        print_json(grid_json(grid)) if as_json else print_grid(grid)
        return
    found = with_host(lambda client: client.ask(GetPlaces(run=run, node=node, config=config), Places))
    if as_json:
        print_json(places_json(found, node))
    else:
        print_places(found, node, prompts=prompts)


def effects_config(*, metric: str, replace: str, examples: int) -> "EffectsConfig":
    """Return how effects are to be measured. Raises ConfigError for an unknown metric or replacement."""
    from engine.config import EffectsConfig

    return EffectsConfig(method="exact", metric=metric, replacement=replace, examples=examples)  # type: ignore[arg-type]  # it checks them itself
