"""The smallest circuit: a planted one is found whole, and no node of any can be left out."""

from typing import Any

import pytest
import torch

from engine.catalog.planted_models import PLANTED
from engine.config import EffectsConfig, LoadOptions
from engine.errors import ConfigError
from engine.events import SMALLEST, CircuitChecked, SilentMonitor, StageProgress
from engine.models.loading import Model, load_model
from engine.nodes import NodeId
from engine.patching.effects_stage import EffectsStage
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs
from engine.patching.node_patching import mask_of, measure_replaced
from engine.patching.smallest_circuit import smallest_circuit
from engine.tasks.registry import TASKS

from ..by_hand import ioi, prepared


def faithfulness(passes: ForwardPasses, inputs: PatchingInputs, circuits: list[list[NodeId]]) -> list[float]:
    """Of each circuit, written out: everything else that can be in one is replaced."""
    layout = passes.layout
    members = mask_of([node for node in layout.ids if node.in_circuits], layout)
    masks = torch.stack([members, *(members & ~mask_of(circuit, layout) for circuit in circuits)])
    empty, *alone = measure_replaced(passes, inputs, masks).mean(dim=1).tolist()
    return [(value - empty) / (inputs.base - empty) for value in alone]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ForwardPasses, PatchingInputs]:
    model = load_model("planted-lookup", tmp_path_factory.mktemp("models"), LoadOptions(device="cpu"))
    examples, metric = TASKS["induction"].make(model, pairs=6, seed=7), TASKS["induction"].metric
    config = EffectsConfig(method="exact")
    stage = EffectsStage(model, examples, config, SilentMonitor(), position="mean", task=metric, nodes="all")
    return stage.passes, stage.inputs


@pytest.mark.parametrize("reverse", [False, True], ids=["any order", "the opposite order"])
def test_the_planted_circuit_is_what_is_left(planted: Any, *, reverse: bool) -> None:
    passes, inputs = planted
    written = set(PLANTED["planted-lookup"].circuit("induction").nodes)
    order = [node for node in passes.layout.ids if node.in_circuits]
    done: list[int] = []
    found = smallest_circuit(passes, inputs, order[::-1] if reverse else order, done.append, keep=0.9)
    assert set(found) == written
    assert done == list(range(1, len(done) + 1))
    assert found == [node for node in (order[::-1] if reverse else order) if node in written]


@pytest.mark.parametrize(("nodes", "keep"), [("all", 0.9), ("all", 0.5), ("heads", 0.9)])
def test_what_is_found_keeps_enough_and_no_node_can_go(model: Model, recorder: Any, nodes: Any, keep: float) -> None:
    passes, inputs = prepared(model, ioi(model, 6), recorder(), nodes=nodes)
    order = [node for node in passes.layout.ids if node.in_circuits]
    found = smallest_circuit(passes, inputs, order, lambda _done: None, keep=keep)
    assert 0 < len(found) < len(order)
    whole, *without = faithfulness(passes, inputs, [found, *([n for n in found if n != node] for node in found)])
    assert whole >= keep - 1e-5
    assert max(without) < keep + 1e-5


def test_a_run_reports_it_as_a_third_check(model: Model, recorder: Any) -> None:
    monitor = recorder()
    config = EffectsConfig(method="circuit", smallest=0.8)
    stage = EffectsStage(model, ioi(model, 6), config, monitor, position="mean", task=None, nodes="all")
    members = [node for node in stage.nodes if node.in_circuits]
    stage.find(ranking=members, circuit=members[:8])
    checks = {event.name: event for event in monitor.events if isinstance(event, CircuitChecked)}
    assert list(checks) == ["codes", "combined", SMALLEST]
    found = checks[SMALLEST]
    assert found.faithfulness >= 0.8 - 1e-4
    assert len(found.random_faithfulness) == 100
    # The curve runs along the circuit itself: at its own size it is the circuit.
    at_size = next(point for point in found.curve if point.size == len(found.heads))
    assert at_size.faithfulness == pytest.approx(found.faithfulness, abs=2e-4)
    progress = [event for event in monitor.events if isinstance(event, StageProgress)]
    assert progress[-1].done == progress[-1].total


def test_shares_that_cannot_be_kept_are_refused() -> None:
    for wrong in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="smallest"):
            EffectsConfig(smallest=wrong)
