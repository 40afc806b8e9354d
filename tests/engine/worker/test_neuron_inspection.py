"""What the worker says of neurons: by a run's prompts, and by the weights alone."""

from typing import Any

import pytest
import torch

from engine.config import EffectsConfig
from engine.errors import ExampleError, ModelError, NoSuchNeuron
from engine.examples import Example
from engine.models.loading import Model
from engine.models.neurons import MlpNeurons
from engine.models.warm_model import WarmModel
from engine.protocol import InspectMlp, InspectNeuron, MlpInspected
from engine.tasks.registry import TASKS
from engine.worker.neuron_inspection import inspect_mlp, inspect_neuron

PROMPT = "When Mary and John went to the park, John gave a book to"


@pytest.fixture
def inspect(model: Model, warm_model: WarmModel, recorder: Any) -> Any:
    """Inspects an MLP of the bundled model on pairs of indirect objects."""
    examples = TASKS["ioi"].make(model, pairs=4, seed=0)

    def go(**given: Any) -> MlpInspected:
        asked: dict[str, Any] = {
            "job": "n1",
            "model": "toy",
            "models": "/nowhere",
            "device": "cpu",
            "identity": model.info.identity,
            "examples": examples,
            "config": EffectsConfig(method="exact"),
            "task": "ioi",
            "layer": 1,
        }
        return inspect_mlp(InspectMlp(**{**asked, **given}), warm_model, recorder())

    return go


def test_the_best_come_first_and_all_add_up(inspect: Any) -> None:
    found = inspect(most=1000, exact=5)
    assert len(found.neurons) == found.n_neurons
    sizes = [each.size for each in found.neurons]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(each.attribution for each in found.neurons) == pytest.approx(found.attribution, abs=2e-3)
    assert [each.effect is not None for each in found.neurons[:6]] == [True] * 5 + [False]
    assert all(each.error is not None for each in found.neurons[:5])
    assert found.prompts == 4
    assert found.how.passes > 0


def test_a_hundred_are_the_best_by_attribution_and_by_difference(inspect: Any) -> None:
    every, few = inspect(most=1000), inspect(most=10)
    numbers = {each.neuron for each in few.neurons}
    assert {each.neuron for each in every.neurons[:10]} <= numbers
    by_difference = sorted(every.neurons, key=lambda each: -each.difference)
    assert {each.neuron for each in by_difference[:10]} == numbers & {each.neuron for each in by_difference[:10]}
    assert 10 <= len(numbers) <= 20


def test_activations_are_those_of_the_models_own_mlp(inspect: Any, model: Model) -> None:
    found = inspect(most=5, example=3)
    prompt = TASKS["ioi"].make(model, pairs=4, seed=0)[3].prompt
    kept: list[torch.Tensor] = []
    hooks = [(MlpNeurons(model, 1).hook, lambda value, hook: kept.append(value[0].clone()))]  # noqa: ARG005
    with torch.no_grad():
        model.bridge.run_with_hooks(torch.tensor([model.encode(prompt)[0]]), fwd_hooks=hooks)
    assert "".join(found.tokens).endswith(prompt)
    for each in found.neurons:
        assert each.activations == pytest.approx(kept[0][:, each.neuron].tolist(), abs=1e-4)


def test_where_a_neuron_fires_is_where_it_is_largest(inspect: Any, model: Model) -> None:
    examples = TASKS["ioi"].make(model, pairs=4, seed=0)
    for each in inspect(most=8).neurons:
        look = inspect(neurons=(each.neuron,), example=each.example)
        (one,) = look.neurons
        assert one.effect is not None
        assert one.activations[each.position] == pytest.approx(each.peak, abs=1e-4)
        assert abs(each.peak) == pytest.approx(max(map(abs, one.activations)), abs=1e-4)
        assert look.tokens[each.position] == each.token
        assert examples[each.example].positive


def test_a_neuron_of_a_model(model: Model, warm_model: WarmModel) -> None:
    request = InspectNeuron(job="n2", model="toy", models="/nowhere", device="cpu", layer=2, neuron=11, prompt=PROMPT)
    found = inspect_neuron(request, warm_model)
    row = MlpNeurons(model, 2).output_rows([11])[0]
    logits = (row * model.bridge.ln_final.weight.detach()) @ model.bridge.W_U.detach()
    best = int(logits.argmax())
    assert found.facts.norm == pytest.approx(float(row.norm()), abs=1e-4)
    assert found.facts.raises[0] == (
        model.token_words(best),
        pytest.approx(float(logits[best] - logits.mean()), abs=1e-3),
    )
    assert found.facts.lowers[0][0] == model.token_words(int(logits.argmin()))
    (read,) = found.facts.reads
    assert read.part == "in"
    assert 1 >= read.excites[0][1] >= read.excites[-1][1] > 0 > read.inhibits[-1][1] >= read.inhibits[0][1] >= -1
    assert found.on_prompt is not None
    assert len(found.on_prompt.activations) == len(found.on_prompt.tokens)
    assert any(found.on_prompt.activations)


def test_pairs_of_unequal_length_are_left_out(inspect: Any) -> None:
    """All positions are replaced at once: those of unequal prompts do not correspond."""
    pairs = (("Mary and John sat, John spoke to", "Mary and John sat, Robert spoke to"),)
    pairs += (("Mary and John sat, John spoke to", "Mary and John sat down, Robert spoke to"),)
    examples = tuple(
        Example(prompt=prompt, polarity=polarity, pair=number, expected=("Mary",), foils=("John",))
        for number, pair in enumerate(pairs)
        for prompt, polarity in zip(pair, ("positive", "negative"), strict=True)
    )
    found = inspect(examples=examples, task=None, most=3)
    assert found.prompts == 1
    assert "1 of 2 positives" in found.how.notices[0]


def test_what_is_not_there_is_named(inspect: Any, warm_model: WarmModel) -> None:
    with pytest.raises(NoSuchNeuron, match=r"1\.99999"):
        inspect(neurons=(3, 99_999))
    with pytest.raises(ExampleError, match="no example 9"):
        inspect(example=8)
    with pytest.raises(ModelError, match="other weights"):
        inspect(identity="0" * 64)
    with pytest.raises(NoSuchNeuron, match=r"'2\.700'"):
        inspect_neuron(
            InspectNeuron(job="n", model="toy", models="/nowhere", device="cpu", layer=2, neuron=700), warm_model
        )
