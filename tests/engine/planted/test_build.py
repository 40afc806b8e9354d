"""PlantedModel models: what is written into their weights is what is there, and nothing else does anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from engine.analysis.ranking import auc
from engine.capture.head_outputs import read_examples
from engine.catalog.local_models import find_model, local_models, model_identity, read_summary
from engine.catalog.planted_models import N_HEADS, STAMP, VOCABULARY, is_built, n_parameters
from engine.config import EffectsConfig, LoadOptions, ProbeConfig
from engine.errors import ModelError
from engine.grading.rules import grade_examples
from engine.install.staging import check_name
from engine.models.loading import Model, load_model
from engine.nodes import NodeId
from engine.patching.edge_attribution import attribute_edges
from engine.patching.edge_patching import all_edges, measure_edges
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs, prepare
from engine.patching.node_patching import measure_replaced, one_each
from engine.planted import PLANTED, PlantedModel
from engine.planted.build import planted_folder, write_planted
from engine.references.ground_truth import Edge
from engine.references.known_circuits import known_circuit
from engine.tasks.registry import TASKS

from ..by_hand import with_edge

NOTHING = 1e-4
"""Of a base of 7 to 11: what the order of additions leaves of a head outside the circuit."""
TASKS_OF = [(name, task) for name, model in PLANTED.items() for task in model.tasks]

Load = Callable[[str], Model]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    torch.set_num_threads(1)
    models = tmp_path_factory.mktemp("models")
    loaded: dict[str, Model] = {}

    def of(name: str) -> Model:
        if name not in loaded:
            loaded[name] = load_model(name, models, LoadOptions(device="cpu"))
        return loaded[name]

    return of


def prepared(model: Model, task: str, recorder: Any, **config: Any) -> tuple[ForwardPasses, PatchingInputs]:
    passes = ForwardPasses(model, recorder())
    examples = TASKS[task].make(model, pairs=6, seed=7)
    settings = EffectsConfig(method="attribution", **config)
    metric = TASKS[task].metric
    return passes, prepare(model, passes, examples, settings, position="mean", task=metric, monitor=passes.monitor)


def heads_of(model: Model) -> list[NodeId]:
    return [NodeId(layer, head) for layer in range(model.info.n_layers) for head in range(model.info.n_heads)]


@pytest.mark.parametrize("replacement", ["pair", "zero", "mean"])
@pytest.mark.parametrize(("name", "task"), TASKS_OF)
def test_heads_of_the_circuit_matter_and_no_other(
    name: str, task: str, replacement: str, load: Load, recorder: Any
) -> None:
    model, circuit = load(name), PLANTED[name].circuit(task)
    passes, inputs = prepared(model, task, recorder, replacement=replacement)
    heads = heads_of(model)
    effects = measure_replaced(passes, inputs, one_each(heads, passes.layout)) - inputs.base_by_row
    for head, effect in zip(heads, effects, strict=True):
        if tuple(head) in circuit.heads:
            assert abs(float(effect.mean())) > 0.05 * abs(inputs.base), head
        else:
            assert float(effect.abs().max()) < NOTHING, head


@pytest.mark.parametrize(("name", "task"), TASKS_OF)
def test_edges_of_the_circuit_matter_and_no_other(name: str, task: str, load: Load, recorder: Any) -> None:
    model, circuit = load(name), PLANTED[name].circuit(task)
    passes, inputs = prepared(model, task, recorder)
    edges = all_edges(passes.layout)
    if model.info.n_layers > 4:  # of those that are no edge, every ninth
        known = {(NodeId(*source), NodeId(*target)) for source, target in circuit.edges}
        edges = [edge for place, edge in enumerate(edges) if edge in known or place % 9 == 0]
    effects = measure_edges(passes, inputs, edges) - inputs.base_by_row
    inside = [(tuple(source), tuple(target)) in circuit.edges for source, target in edges]
    assert sum(inside) == len(circuit.edges) == len(set(circuit.edges))
    for edge, effect, real in zip(edges, effects, inside, strict=True):
        if real:
            assert abs(float(effect.mean())) > 0.03 * abs(inputs.base), edge
        else:
            assert float(effect.abs().max()) < NOTHING, edge
    estimated = attribute_edges(passes, inputs)
    sizes = [float(estimated[place(source), place(target)].abs()) for source, target in edges]
    assert auc(sizes, inside) == 1.0


def place(head: NodeId) -> int:
    return head.layer * N_HEADS + head.head


def shape(model: Model) -> tuple[int, int]:
    return model.info.n_layers, model.info.n_heads


def test_an_edge_is_what_plain_hooks_make_of_it(load: Load, recorder: Any) -> None:
    model = load("planted-ioi")
    passes, inputs = prepared(model, "ioi", recorder)
    for source, target in ((NodeId(0, 1), NodeId(1, 2)), (NodeId(0, 6), NodeId(2, 7)), (NodeId(2, 7), NodeId(3, 4))):
        by_hand = inputs.answer_metric(with_edge(model, inputs, source, target))
        assert torch.allclose(measure_edges(passes, inputs, [(source, target)])[0], by_hand, atol=1e-4)


def test_edges_run_from_earlier_to_later_layers(load: Load, recorder: Any) -> None:
    passes, inputs = prepared(load("planted-ioi"), "ioi", recorder)
    with pytest.raises(ValueError, match=r"1\.2 is not earlier in the forward pass than 1\.3"):
        measure_edges(passes, inputs, [(NodeId(1, 2), NodeId(1, 3))])


@pytest.mark.parametrize(("name", "task"), TASKS_OF)
def test_the_model_does_its_task_and_only_on_positives(name: str, task: str, load: Load, recorder: Any) -> None:
    model = load(name)
    examples = TASKS[task].make(model, pairs=24, seed=3)
    reading = read_examples(model, examples, ProbeConfig(), recorder(), None)
    grades = grade_examples(model, examples, reading)
    right = [grade.rank == 1 for grade in grades]
    positive = [example.positive for example in examples]
    assert sum(r for r, p in zip(right, positive, strict=True) if p) >= 23
    assert sum(r for r, p in zip(right, positive, strict=True) if not p) <= 16  # one of two names, or of many nouns


@pytest.mark.parametrize("name", list(PLANTED))
def test_noise_is_as_loud_as_the_circuit(name: str, load: Load, recorder: Any) -> None:
    model, planted = load(name), PLANTED[name]
    _, inputs = prepared(model, planted.tasks[0], recorder)
    loud = {
        (layer, head): float(torch.einsum("rpd,dm->rpm", z[:, :, head], weights[head]).norm(dim=-1).mean())
        for layer, (z, weights) in enumerate(zip(inputs.clean.z, model.output_weights, strict=True))
        for head in range(model.info.n_heads)
    }
    noise = sorted(loud[head] for head in planted.noise())
    circuit = [loud[head] for head in planted.circuit(planted.tasks[0]).heads]
    assert noise[0] > 0.02
    assert sum(noise) / len(noise) > sum(circuit) / len(circuit)
    silent = set(loud) - set(planted.noise()) - {head for each in planted.circuits for head in each.heads}
    assert all(loud[head] == 0 for head in silent)


@pytest.mark.parametrize("model", PLANTED.values(), ids=PLANTED)
def test_a_folder_is_the_same_bytes_every_time(model: PlantedModel, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_planted(model, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    tensors = load_file(tmp_path / "one" / "model.safetensors")
    assert sum(value.numel() for value in tensors.values()) == n_parameters(model)
    assert len(tensors["transformer.wte.weight"]) == VOCABULARY


def test_it_is_listed_before_it_is_built_and_rebuilt_when_it_is_old(tmp_path: Path) -> None:
    before = read_summary(find_model("planted-ioi", tmp_path))
    assert (before.path, before.origin) == ("", "planted")
    folder = planted_folder(PLANTED["planted-ioi"], tmp_path)
    assert folder == planted_folder(PLANTED["planted-ioi"], tmp_path)
    after = read_summary(find_model("planted-ioi", tmp_path))
    assert after.path == str(folder)
    ignored = ("path", "weights_bytes")
    assert [getattr(after, name) for name in after.__struct_fields__ if name not in ignored] == [
        getattr(before, name) for name in before.__struct_fields__ if name not in ignored
    ]
    assert after.weights_bytes == pytest.approx(before.weights_bytes, rel=0.01)
    assert [source.name for source in local_models(tmp_path)].count("planted-ioi") == 1
    (folder / STAMP).write_text('{"version": 0}')
    assert not is_built(folder)
    assert find_model("planted-ioi", tmp_path).folder is None
    assert is_built(planted_folder(PLANTED["planted-ioi"], tmp_path))


def test_its_name_is_taken(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="already"):
        check_name("planted-ioi", tmp_path)


@pytest.mark.parametrize(("name", "task"), TASKS_OF)
def test_the_circuit_lies_beside_the_weights(name: str, task: str, load: Load) -> None:
    model = load(name)
    assert model.info.identity == model_identity(model.folder)
    found = known_circuit(model.info, model.folder, task)
    assert found is not None
    assert found.heads == PLANTED[name].circuit(task).heads
    assert "construction" in found.source
    stored = msgspec.json.decode((model.folder / "circuits.json").read_bytes())["tasks"][task]
    assert msgspec.convert(stored["edges"], frozenset[Edge]) == set(PLANTED[name].circuit(task).edges)
