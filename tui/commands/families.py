"""`headcode families`: codes of a run that occur on the same prompts, at several levels of detail."""

from typing import Annotated

import typer

from tui.output.cli_options import JsonOption


def families(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    seed: Annotated[int | None, typer.Option(help="Of the autoencoder. [default: the run's first]")] = None,
    top: Annotated[int, typer.Option(metavar="N", help="Families shown.", min=1)] = 10,
    as_json: JsonOption = False,
) -> None:
    """Group the codes that occur together, from coarse to fine, and check that each family's parent stands for it.

    The parent is the code that occurs most often; what it explains of the others' occurrence stands beside what the
    side of the prompts alone explains, and the number of families beside that of shuffled codes. Needs no model.
    """
    from sessions.protocol import Families, GetFamilies
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.families import families_json, print_families

    found = with_host(lambda client: client.ask(GetFamilies(run=run, seed=seed), Families))
    if as_json:
        print_json(families_json(found))
    else:
        print_families(found, most=top)
