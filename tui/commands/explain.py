"""`headcode explain`: what a code of a node answers to, with how well that predicts it."""

from typing import Annotated

import typer

from tui.output.cli_options import JsonOption


def explain(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="9.6 (head 6 of layer 9), m8 (MLP of layer 8), emb.")],
    code: Annotated[int, typer.Argument(metavar="CODE", help="As in the grid's page of the node.", min=0)],
    seed: Annotated[int | None, typer.Option(help="Of the autoencoder. [default: the run's first]")] = None,
    again: Annotated[bool, typer.Option("--again", help="Compute it again although it was recorded.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Explain a code: the shortest prompts that keep it, what else can stand in their places, and a score.

    Prompts with the code are shortened token by token through the model, with the run's own autoencoder; where the run
    contrasts pairs, both sides alike. Other words are tried in every place. What was found then predicts the code on
    prompts that were kept aside. It is recorded with the run.
    """
    from sessions.protocol import Explained, GetExplanation
    from tui.commands.node_names import parse_one_node
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.explanation import explanation_json, print_explanation

    request = GetExplanation(run=run, node=str(parse_one_node(node)), code=code, seed=seed, again=again)
    found = with_host(lambda client: client.ask(request, Explained))
    if as_json:
        print_json(explanation_json(found))
    else:
        print_explanation(found)
