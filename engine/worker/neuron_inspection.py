"""Look into an MLP: its most important neurons on the prompts of a run, and single neurons without one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from engine.capture.prompts import encode_prompt
from engine.errors import ExampleError, NoSuchNeuron
from engine.events import Monitor
from engine.examples import Example
from engine.models.loading import Model
from engine.models.neurons import MlpNeurons
from engine.models.warm_model import WarmModel
from engine.node_parts import NeuronFacts, PromptActivations, ReadRow, RunNeuron
from engine.patching.neuron_patching import NeuronSides, attribute_neurons, measure_neurons
from engine.protocol import InspectMlp, InspectNeuron, MlpInspected, NeuronInspected
from engine.worker.measure_places import Prepared, prepare_parts, within_memory
from engine.worker.written_tokens import NORM_SCALE, exciting_tokens, written_tokens

MOST_NEURONS = 1000
"""More are not returned: a line of the protocol is limited."""
_DIGITS = 5


def inspect_mlp(request: InspectMlp, warm_model: WarmModel, monitor: Monitor) -> MlpInspected:
    """Return the MLP's neurons that matter most for the answer.

    Raises ModelError (an MLP without neurons, too), NoSuchNeuron, ExampleError, ConfigError, Cancelled.
    """

    def inspect() -> MlpInspected:
        model, _ = warm_model.take(request.model, Path(request.models), request)
        mlp = MlpNeurons(model, request.layer)
        for neuron in request.neurons:
            mlp.check(neuron)
        if not 0 <= request.example < len(request.examples):
            raise ExampleError(
                f"The run has no example {request.example + 1}.", hint=f"Examples are 1 to {len(request.examples)}."
            )
        return _inspect(request, prepare_parts(request, warm_model, monitor), mlp)

    return within_memory(inspect, request)


def inspect_neuron(request: InspectNeuron, warm_model: WarmModel) -> NeuronInspected:
    """Return what the weights say of one neuron. Raises ModelError, NoSuchNeuron, ExampleError for a bad prompt."""
    model, _ = warm_model.take(request.model, Path(request.models), request)
    if not 0 <= request.layer < model.info.n_layers:
        raise NoSuchNeuron(f"{request.layer}.{request.neuron}", model.info.n_layers)
    mlp = MlpNeurons(model, request.layer)
    mlp.check(request.neuron)
    row = mlp.output_rows([request.neuron])
    (written,) = written_tokens(model, row)
    reads = []
    for part, read in mlp.input_rows(request.neuron).items():
        excites, inhibits = exciting_tokens(model, read)
        reads.append(ReadRow(part=part, norm=round(float(read.norm()), _DIGITS), excites=excites, inhibits=inhibits))
    on_prompt = None
    if request.prompt:
        tokens, activations, _ = _on_prompt(model, mlp, 0, Example(prompt=request.prompt, polarity="positive"))
        on_prompt = PromptActivations(tokens=tokens, activations=_rounded(activations[:, request.neuron]))
    facts = NeuronFacts(
        layer=request.layer,
        neuron=request.neuron,
        n_neurons=mlp.n_neurons,
        norm=round(float(row.norm()), _DIGITS),
        raises=written.raises,
        lowers=written.lowers,
        reads=tuple(reads),
    )
    return NeuronInspected(job=request.job, model=model.info, facts=facts, on_prompt=on_prompt)


def _inspect(request: InspectMlp, prepared: Prepared, mlp: MlpNeurons) -> MlpInspected:
    passes, inputs, model = prepared.passes, prepared.inputs, prepared.model
    sides = NeuronSides(passes, inputs, mlp)
    attributions = attribute_neurons(passes, inputs, sides)
    sizes = attributions.abs().mean(dim=0)
    norms = mlp.output_rows().norm(dim=-1)
    apart = sides.apart(inputs).abs()
    difference = apart.sum(dim=(0, 1)) / inputs.where.sum() * norms
    by_size = sizes.argsort(descending=True, stable=True).tolist()
    chosen, exact = _choose(request, by_size, difference)
    effects = measure_neurons(passes, inputs, sides, exact) if exact else torch.zeros(0, len(inputs))
    measured = dict(zip(exact, effects, strict=True))

    tokens, activations, scale = _on_prompt(model, mlp, request.example, request.examples[request.example])
    written = written_tokens(model, mlp.output_rows(chosen), scale)
    peaks = _peaks(sides, inputs.where, chosen)
    words = prepared.words()
    found = []
    for neuron, (row, place), tokens_written in zip(chosen, peaks, written, strict=True):
        effect = measured.get(neuron)
        found.append(
            RunNeuron(
                neuron=neuron,
                attribution=round(float(attributions[:, neuron].mean()), _DIGITS),
                size=round(float(sizes[neuron]), _DIGITS),
                difference=round(float(difference[neuron]), _DIGITS),
                norm=round(float(norms[neuron]), _DIGITS),
                effect=None if effect is None else round(float(effect.mean()), _DIGITS),
                error=None
                if effect is None or len(effect) < 2
                else round(float(effect.std() / len(effect) ** 0.5), _DIGITS),
                example=inputs.examples[row],
                position=place,
                token=words[row][place],
                peak=round(float(sides.clean[row, place, neuron]), _DIGITS),
                peak_other=round(float(sides.other[row, place, neuron]), _DIGITS),
                activations=_rounded(activations[:, neuron]),
                raises=tokens_written.raises,
                lowers=tokens_written.lowers,
            )
        )
    return MlpInspected(
        job=request.job,
        model=model.info,
        how=prepared.how(),
        base=round(inputs.base, _DIGITS),
        prompts=len(inputs),
        n_neurons=mlp.n_neurons,
        attribution=round(float(attributions.sum(dim=1).mean()), _DIGITS),
        tokens=tokens,
        neurons=tuple(found),
    )


def _choose(
    request: InspectMlp, by_size: Sequence[int], difference: Float[Tensor, " neuron"]
) -> tuple[list[int], list[int]]:
    """Return the neurons to return, the largest attribution first, and those whose exact effect is measured."""
    most = min(request.most, MOST_NEURONS, len(by_size))
    if request.neurons:
        wanted = set(request.neurons)
        return [neuron for neuron in by_size if neuron in wanted], sorted(wanted)
    exact = list(by_size[: min(request.exact, MOST_NEURONS)])
    wanted = {*by_size[:most], *difference.topk(most).indices.tolist(), *exact}
    return [neuron for neuron in by_size if neuron in wanted], exact


def _peaks(sides: NeuronSides, where: Tensor, chosen: Sequence[int]) -> list[tuple[int, int]]:
    """Return for each neuron the row and position at which its activation on the positives is largest in size."""
    sizes = sides.clean[:, :, list(chosen)].abs() * where[:, :, None]
    n_positions = sizes.shape[1]
    return [(int(at) // n_positions, int(at) % n_positions) for at in sizes.flatten(0, 1).argmax(dim=0)]


def _on_prompt(
    model: Model, mlp: MlpNeurons, index: int, example: Example
) -> tuple[tuple[str, ...], Float[Tensor, "position neuron"], float]:
    """Return the prompt's tokens, all neurons' activations on it, and the final norm's scale at its end."""
    ids, own = encode_prompt(model, index, example)
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            kept[name] = value.detach().to(model.device, torch.float32)

        return hook

    names = [mlp.hook, *([NORM_SCALE] if NORM_SCALE in model.bridge.hook_dict else [])]
    with torch.inference_mode(), model.threads_for(len(ids)):
        tokens = torch.tensor([ids], device=model.device)
        model.bridge.run_with_hooks(tokens, fwd_hooks=[(name, keep(name)) for name in names], return_type=None)
    scale = float(kept[NORM_SCALE][0, -1]) if NORM_SCALE in kept else 1.0
    return model.prompt_words(ids, own), kept[mlp.hook].reshape(len(ids), -1), scale


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(round(value, _DIGITS) for value in values.tolist())
