"""`headcode specificity`: what removing a run's circuit does to the other tasks that the model can do."""

from typing import Annotated

import typer

from tui.output.cli_options import JsonOption


def specificity(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    heads: Annotated[
        str | None,
        typer.Option(metavar="L.H,...", help="Remove these instead: 2.3,4.1; also m2. [default: the run's circuit]"),
    ] = None,
    pairs: Annotated[int, typer.Option(metavar="N", help="Pairs of each other task.")] = 24,
    replace: Annotated[str, typer.Option(help="auto, pair, mean, resample or zero.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Remove a run's circuit and show what its own task and every other ready-made task lose.

    Beside it, what random circuits of the same size do. Tasks that the model cannot do are left out. Nothing is stored.
    """
    from sessions.protocol import GetSpecificity, SpecificityOfRun
    from tui.commands.node_names import parse_nodes
    from tui.commands.places import effects_config
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.specificity import print_specificity, specificity_json

    request = GetSpecificity(
        run=run,
        nodes=parse_nodes(heads, "--heads") if heads is not None else (),
        pairs=pairs,
        config=effects_config(metric="auto", replace=replace, examples=64),
    )
    found = with_host(lambda client: client.ask(request, SpecificityOfRun))
    if as_json:
        print_json(specificity_json(found))
    else:
        print_specificity(found)
