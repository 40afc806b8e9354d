"""What an engine would say of the inside of nodes: made up, and the same every time."""

from collections.abc import Sequence
from typing import Any

from engine.examples import Example
from engine.node_parts import MeasuredHow, PromptPlaces, RunNeuron
from sessions.protocol import GetMlp, GetPlaces, MlpInspection, Places
from sessions.rows import RunRow

from .recorded import model_info


def part_of(request: Any, run: RunRow, examples: Sequence[Example]) -> Any:
    """The answer to a request that looks inside a node."""
    match request:
        case GetPlaces():
            return places_of(run, examples)
        case GetMlp():
            return neurons_of(request, run, examples)
    raise AssertionError(request)


def places_of(run: RunRow, examples: Sequence[Example]) -> Places:
    """Effects that grow towards the end of every positive, and are read on a token of another name."""
    prompts = []
    for index, example in enumerate(examples):
        if example.positive:
            tokens = tuple(f"{word} " for word in example.prompt.split())
            effects = tuple(-0.1 * place if place > len(tokens) // 2 else 0.0 for place in range(len(tokens)))
            prompts.append(
                PromptPlaces(example=index, base=3.0, tokens=tokens, other=("other",) * len(tokens), effects=effects)
            )
    return Places(run=run, model=model_info(6, 8), how=measured_how(), prompts=tuple(prompts))


def neurons_of(request: GetMlp, run: RunRow, examples: Sequence[Example]) -> MlpInspection:
    """Twelve neurons, the first by attribution the last by difference; exact effects where they are asked for."""
    tokens = tuple(f"{word} " for word in examples[request.example].prompt.split())
    chosen = request.neurons or tuple(range(12))
    neurons = tuple(
        RunNeuron(
            neuron=each,
            attribution=0.5 - 0.1 * each,
            size=1.2 - 0.1 * each,
            difference=0.1 + each,
            norm=1.0,
            effect=-0.25 * each if request.neurons else None,
            error=0.01 if request.neurons else None,
            example=0,
            position=1,
            token=f" fires{each}",
            peak=2.0,
            peak_other=-0.5,
            activations=tuple(float(place % 3 - 1) for place in range(len(tokens))),
            raises=((f" up{each}", 2.0),),
            lowers=((f" down{each}", -2.0),),
        )
        for each in chosen
    )
    return MlpInspection(
        run=run,
        model=model_info(6, 8),
        how=measured_how(),
        base=3.0,
        prompts=5,
        n_neurons=64,
        attribution=-1.5,
        tokens=tokens,
        neurons=neurons,
    )


def measured_how() -> MeasuredHow:
    return MeasuredHow(metric="logit_difference", replacement="pair", passes=1.0, prepared=2.0, seconds=0.1)
