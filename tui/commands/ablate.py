"""`headcode ablate`, nodes turned off on a prompt, and `headcode through`, the later nodes that a node acts by."""

from typing import Annotated

import typer

from tui.commands.node_names import parse_nodes
from tui.commands.places import effects_config
from tui.output.cli_options import JsonOption


def ablate(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    nodes: Annotated[str, typer.Argument(metavar="NODES", help="What is turned off: 9.6,m8,emb")],
    replace: Annotated[
        str,
        typer.Option(
            "--with", "--replace", help="auto, pair, mean (over the run's negatives) or zero. [default: auto]"
        ),
    ] = "auto",
    example: Annotated[int, typer.Option(metavar="N", help="On this example of the run, counted from 1.")] = 1,
    prompt: Annotated[str | None, typer.Option(help="On this prompt instead.")] = None,
    other: Annotated[
        str | None, typer.Option(help="With pair: the prompt that values are read on. [default: the example's pair]")
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="Tokens before, and as many after.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the next token of a prompt with some nodes of a stored run's model turned off, before and after.

    Nothing is stored. Prompts of unequal length are aligned at their ends.
    """
    from engine.errors import ConfigError
    from sessions.protocol import Ablation, GetAblation
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.node_parts import ablation_json, print_ablation

    effects_config(metric="kl", replace=replace, examples=1)  # raises ConfigError for an unknown replacement
    for name, text in (("--prompt", prompt), ("--other", other)):
        if text is not None and not text.strip():
            raise ConfigError(f"{name} is empty.", hint="Give a text, or leave it out.")
    for name, value, most in (("--top", top, 100), ("--example", example, 1_000_000)):
        if not 1 <= value <= most:
            raise ConfigError(f"{name} {value}: a number from 1 to {most}.", hint="Try 1.")
    request = GetAblation(
        run=run,
        nodes=tuple(str(node) for node in parse_nodes(nodes, "NODES")),
        example=example - 1,
        prompt=prompt or "",
        other=other or "",
        replacement=replace,  # type: ignore[arg-type]  # checked above
        most=top,
    )
    found = with_host(lambda client: client.ask(request, Ablation))
    print_json(ablation_json(found)) if as_json else print_ablation(found)


def through(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="9.6 (head 6 of layer 9), m8 (MLP of layer 8) or emb.")],
    metric: Annotated[
        str, typer.Option(help="auto, logit_difference, log_probability, probability_mass or kl.")
    ] = "auto",
    replace: Annotated[str, typer.Option(help="auto, pair, mean, resample or zero.")] = "auto",
    examples: Annotated[int, typer.Option(metavar="N", help="At most so many positives.")] = 16,
    top: Annotated[int, typer.Option(metavar="N", help="Later nodes in the table; --json has all.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show what a node does to a stored run's answer through each later node alone: exact path patching of its edges.

    Nothing is stored. It costs a pass over the later layers for each later node.
    """
    from engine.errors import ConfigError
    from sessions.protocol import GetThrough, Through
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.node_parts import print_through, through_json

    if top < 1:
        raise ConfigError(f"--top {top}: a number from 1.", hint="Try 20.")
    config = effects_config(metric=metric, replace=replace, examples=examples)
    request = GetThrough(run=run, node=node, config=config)
    found = with_host(lambda client: client.ask(request, Through))
    if as_json:
        print_json(through_json(found, node))
    else:
        print_through(found, node, most=top)
