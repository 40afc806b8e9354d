"""Neurons of an MLP: they add up to it, single ones do what plain hooks do, and their rows are its matrices."""

from typing import Any

import pytest
import torch

from engine.errors import Cancelled, NoSuchNeuron
from engine.models.loading import Model
from engine.models.neurons import MlpNeurons
from engine.nodes import mlp
from engine.patching.attribution import attribute
from engine.patching.neuron_patching import NeuronSides, attribute_neurons, measure_neurons

from ..by_hand import ioi, prepared, with_hook_at


@pytest.mark.parametrize("metric", ["logit_difference", "log_probability", "probability_mass"])
@pytest.mark.parametrize("family", ["model", "grouped"])
def test_neurons_add_up_to_their_mlp(family: str, metric: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    passes, inputs = prepared(model, ioi(model), recorder(), nodes="all", method="attribution", metric=metric)
    whole = attribute(passes, inputs)
    for layer in range(model.info.n_layers):
        sides = NeuronSides(passes, inputs, MlpNeurons(model, layer))
        found = attribute_neurons(passes, inputs, sides)
        wanted = whole[:, passes.layout.index(mlp(layer))]
        assert found.shape == (len(inputs), sides.neurons.n_neurons)
        assert torch.allclose(found.sum(dim=1), wanted, atol=1e-4 + 0.01 * float(wanted.abs().max()))
        assert float(found.abs().max()) > 0


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_what_neurons_write_is_what_the_mlp_adds(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    passes, inputs = prepared(model, ioi(model), recorder(), nodes="all")
    sides = NeuronSides(passes, inputs, MlpNeurons(model, 1))
    added = sides.apart(inputs) @ sides.neurons.output_rows()
    wanted = (inputs.other_mlps[1] - inputs.clean.mlps[1]) * inputs.where[:, :, None]
    assert torch.allclose(added, wanted, atol=1e-4)
    assert float(wanted.abs().max()) > 0.01


def test_a_neuron_is_excited_by_the_row_that_it_reads_by(model: Model) -> None:
    """The row is the direction in which a step of the stream raises what the activation function gets the most."""
    neurons, bridge = MlpNeurons(model, 2), model.bridge
    (row,) = neurons.input_rows(5).values()
    stream = torch.randn(1, 1, model.info.d_model, requires_grad=True)
    block = bridge.blocks[2]
    before = getattr(block.mlp, "in").original_component(block.ln2.original_component(stream))[0, 0, 5]
    (slope,) = torch.autograd.grad(before, stream)
    # A norm's divisor also depends on the step: off its own direction the slope is the row's, less the mean.
    along = torch.nn.functional.normalize(stream.detach()[0, 0] - stream.detach().mean(), dim=0)
    flat = row - row.mean()
    flat = flat - (flat @ along) * along
    assert float(torch.cosine_similarity(slope[0, 0], flat, dim=0)) > 0.999


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_a_replaced_neuron_does_what_a_plain_hook_does(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    examples = ioi(model, pairs=2)
    passes, inputs = prepared(model, examples, recorder(), nodes="all")
    layer = model.info.n_layers - 1  # of the last MLP only what the last position writes is read
    neurons = MlpNeurons(model, layer)
    sides = NeuronSides(passes, inputs, neurons)
    found = measure_neurons(passes, inputs, sides, (0, 3, 41))
    for row, (one, other) in enumerate(zip(examples[::2], examples[1::2], strict=True)):
        mary, john = (model.tokens.alone(f" {text.strip()}")[0] for text in (one.expected[0], one.foils[0]))
        n = len(model.encode(one.prompt)[0])
        with torch.no_grad():
            clean = model.bridge(torch.tensor([model.encode(one.prompt)[0]]))[0, -1]
        for place, neuron in enumerate((0, 3, 41)):
            last = with_hook_at(model, one, other, neurons.hook, n - 1, n - 1, slice(neuron, neuron + 1))
            wanted = float((last[mary] - last[john]) - (clean[mary] - clean[john]))
            assert float(found[place, row]) == pytest.approx(wanted, abs=2e-4)
    assert float(found.abs().max()) > 1e-4


def test_many_neurons_are_what_each_is_alone(model: Model, recorder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    passes, inputs = prepared(model, ioi(model), recorder(), nodes="all", replacement="mean")
    sides = NeuronSides(passes, inputs, MlpNeurons(model, 1))
    together = measure_neurons(passes, inputs, sides, range(20))
    monkeypatch.setattr("engine.patching.forward.TOKENS_AT_ONCE", {"cpu": 200})
    assert torch.allclose(measure_neurons(passes, inputs, sides, range(20)), together, atol=2e-4)


def test_what_is_not_there_is_named(model: Model, recorder: Any) -> None:
    with pytest.raises(NoSuchNeuron, match="m99"):
        MlpNeurons(model, 99)
    neurons = MlpNeurons(model, 0)
    with pytest.raises(NoSuchNeuron, match=f"0-{neurons.n_neurons - 1}") as refused:
        neurons.check(neurons.n_neurons)
    assert "layer.neuron" in refused.value.hint
    passes, inputs = prepared(model, ioi(model), recorder(), nodes="all")
    passes.monitor = recorder(lambda _: True)
    passes.monitor.report(recorder)
    with pytest.raises(Cancelled):
        NeuronSides(passes, inputs, neurons)
