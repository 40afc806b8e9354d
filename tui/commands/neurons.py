"""`headcode neurons` and `headcode neuron`: the neurons of an MLP for a run, and one neuron of a model."""

from typing import Annotated

import typer

from engine.config import LoadOptions
from tui.commands.option_parameters import Chosen, with_options
from tui.commands.places import effects_config
from tui.output.cli_options import JsonOption


def neurons(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    node: Annotated[str, typer.Argument(metavar="MLP", help="m8: the MLP of layer 8.")],
    example: Annotated[
        int, typer.Option(metavar="N", help="JSON: activations token by token on this example, counted from 1.")
    ] = 1,
    top: Annotated[int, typer.Option(metavar="N", help="Neurons in the table.")] = 20,
    exact: Annotated[int, typer.Option(metavar="N", help="Measure the first N exactly, one at a time.")] = 0,
    only: Annotated[
        str | None, typer.Option("--neurons", metavar="N,...", help="Only these neurons, measured exactly: 7,1023")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="auto, logit_difference, log_probability, probability_mass or kl.")
    ] = "auto",
    replace: Annotated[str, typer.Option(help="auto, pair, mean, resample or zero.")] = "auto",
    examples: Annotated[int, typer.Option(metavar="N", help="At most so many positives.")] = 64,
    as_json: JsonOption = False,
) -> None:
    """Show the neurons of an MLP that matter most for a stored run's answers: by attribution, or exactly.

    Nothing is stored. The table has the first by attribution; --json has a hundred, and a hundred by difference between
    the sides.
    """
    from engine.errors import ConfigError
    from sessions.protocol import GetMlp, MlpInspection
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.neurons import neurons_json, print_neurons

    for name, value, least in (("--example", example, 1), ("--top", top, 1), ("--exact", exact, 0)):
        if not least <= value <= 1000:
            raise ConfigError(f"{name} {value}: a number from {least} to 1000.", hint="Try 10.")
    request = GetMlp(
        run=run,
        layer=read_mlp(node),
        example=example - 1,
        most=max(top, 100),
        exact=exact,
        neurons=read_neurons(only),
        config=effects_config(metric=metric, replace=replace, examples=examples),
    )
    found = with_host(lambda client: client.ask(request, MlpInspection))
    if as_json:
        print_json(neurons_json(found, node, example))
    else:
        print_neurons(found, node, most=top)


@with_options(*LoadOptions.__struct_fields__)
def neuron(
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As for probe: toy, a fetched model, a folder.")],
    name: Annotated[str, typer.Argument(metavar="L.N", help="Neuron 1023 of the MLP of layer 8: 8.1023")],
    prompt: Annotated[str | None, typer.Option(help="Show its activation at each token of this text.")] = None,
    chosen: Chosen,
    as_json: JsonOption = False,
) -> None:
    """Look up one neuron of a model: what it writes and what excites it, by its weights; no run is needed."""
    from engine.config import load_fields
    from engine.errors import ConfigError
    from sessions.protocol import GetNeuron, NeuronInspection
    from tui.commands.probe import make_loading, model_name
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.neurons import neuron_json, print_neuron

    layer, number = read_neuron(name)
    if prompt is not None and not prompt.strip():
        raise ConfigError("--prompt is empty.", hint="Give a text, or leave it out.")
    loading = load_fields(make_loading(chosen))
    request = GetNeuron(model=model_name(model), layer=layer, neuron=number, prompt=prompt or "", **loading)
    found = with_host(lambda client: client.ask(request, NeuronInspection))
    if as_json:
        print_json(neuron_json(found))
    else:
        print_neuron(found)


def read_mlp(text: str) -> int:
    """Return the layer of an MLP that is written m8. Raises ConfigError if it is none."""
    from engine.errors import ConfigError
    from engine.nodes import parse_node

    node = parse_node(text[:40].strip())
    if node is None or node.kind != "mlp":
        raise ConfigError(f"{text[:40]!r} is not an MLP.", hint="MLPs are written m8: the MLP of layer 8.")
    return node.layer


def read_neuron(text: str) -> tuple[int, int]:
    """Return layer and number of a neuron that is written 8.1023. Raises ConfigError if it is none."""
    from engine.errors import ConfigError
    from engine.nodes import parse_node

    node = parse_node(text[:40].strip())
    if node is None or not node.is_head:
        raise ConfigError(f"{text[:40]!r} is not a neuron.", hint="Neurons are written layer.neuron: 8.1023")
    return node.layer, node.head


def read_neurons(text: str | None) -> tuple[int, ...]:
    """Return the numbers of a list like 7,1023 without duplicates. Raises ConfigError for anything else."""
    from engine.errors import ConfigError

    if text is None:
        return ()
    words = text.replace(",", " ").split()
    wrong = next((word for word in words if not (word.isascii() and word.isdecimal() and len(word) < 10)), None)
    if wrong is not None or not words:
        what = "names no neuron" if wrong is None else f"{wrong[:40]!r} is not a neuron's number"
        raise ConfigError(f"--neurons: {what}.", hint="Numbers of neurons of this MLP: 7,1023")
    if len(words) > 1000:
        raise ConfigError(f"--neurons: {len(words)} neurons; 1000 is the most.", hint="Measure them in parts.")
    return tuple(dict.fromkeys(map(int, words)))
