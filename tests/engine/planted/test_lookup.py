"""The planted model whose circuit needs MLPs: nodes and edges are the ones that were written."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.analysis.ranking import auc
from engine.catalog.planted_models import PLANTED
from engine.config import EffectsConfig, LoadOptions
from engine.events import SilentMonitor
from engine.models.loading import Model, load_model
from engine.patching.attribution import attribute
from engine.patching.edge_attribution import attribute_edges
from engine.patching.edge_patching import all_edges, measure_edges
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs, prepare
from engine.patching.node_patching import mask_of, measure_replaced, one_each
from engine.tasks.registry import TASKS

CIRCUIT = PLANTED["planted-lookup"].circuit("induction")
NOTHING = 1e-4
"""Of a base of 15: what the order of additions leaves."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.set_num_threads(1)
    return load_model("planted-lookup", tmp_path_factory.mktemp("models"), LoadOptions(device="cpu"))


@pytest.fixture(scope="module")
def inputs(model: Model) -> tuple[ForwardPasses, PatchingInputs]:
    passes = ForwardPasses(model, SilentMonitor(), "all")
    examples = TASKS["induction"].make(model, pairs=6, seed=7)
    config, metric = EffectsConfig(method="attribution"), TASKS["induction"].metric
    prepared = prepare(model, passes, examples, config, position="mean", task=metric, monitor=passes.monitor)
    return passes, prepared


def test_its_heads_and_mlps_matter_and_nothing_else(inputs: Any) -> None:
    passes, prepared = inputs
    members = [node for node in passes.layout.ids if node.in_circuits]
    effects = measure_replaced(passes, prepared, one_each(members, passes.layout)) - prepared.base_by_row
    inside = [node in CIRCUIT.nodes for node in members]
    assert sum(inside) == len(CIRCUIT.nodes) == 7
    for node, effect, real in zip(members, effects, inside, strict=True):
        if real:
            assert float(effect.mean()) < -0.2 * prepared.base, node
        else:
            assert float(effect.abs().max()) < NOTHING, node
    estimated = attribute(passes, prepared).abs().mean(dim=0)
    assert auc([float(estimated[passes.layout.index(node)]) for node in members], inside) == 1.0


def test_attention_alone_cannot_do_it(inputs: Any) -> None:
    passes, prepared = inputs
    mlps = [node for node in CIRCUIT.nodes if not node.is_head]
    assert len(mlps) == 2
    without = measure_replaced(passes, prepared, mask_of(mlps, passes.layout)[None])[0]
    assert float(without.abs().max()) < 1e-3 * prepared.base
    # No matcher reaches the threshold alone: two of three replaced silence both MLPs.
    matchers = [node for node in CIRCUIT.nodes if node.is_head and node.layer >= 2]
    assert len(matchers) == 3
    for kept in matchers:
        gone = mask_of([node for node in matchers if node != kept], passes.layout)
        assert float(measure_replaced(passes, prepared, gone[None]).mean()) < 0.05 * prepared.base


def test_its_edges_matter_and_nothing_else(inputs: Any) -> None:
    passes, prepared = inputs
    known = set(CIRCUIT.node_edges)
    assert len(known) == 12
    edges = [edge for edge in all_edges(passes.layout) if edge[0].in_circuits]
    chosen = [edge for place, edge in enumerate(edges) if edge in known or place % 9 == 0]
    assert known <= set(chosen)
    effects = measure_edges(passes, prepared, chosen) - prepared.base_by_row
    for edge, effect in zip(chosen, effects, strict=True):
        if edge in known:
            assert float(effect.mean()) < -0.1 * prepared.base, edge
        else:
            assert float(effect.abs().max()) < NOTHING, edge
    estimated = attribute_edges(passes, prepared)
    sizes = [float(estimated[passes.layout.index(one), passes.layout.index(other)].abs()) for one, other in edges]
    assert auc(sizes, [edge in known for edge in edges]) == 1.0


def test_its_other_mlps_are_as_written(model: Model, tmp_path: Path) -> None:
    sizes = [float(block.mlp.original_component.c_proj.weight.detach().norm()) for block in model.bridge.blocks]
    written = {*PLANTED["planted-lookup"].noisy_mlps, *(each.layer for each in CIRCUIT.mlps)}
    assert {layer for layer, size in enumerate(sizes) if size > 0} == written
    plain = load_model("planted-induction", tmp_path, LoadOptions(device="cpu"))
    assert all(float(block.mlp.original_component.c_proj.weight.detach().norm()) == 0 for block in plain.bridge.blocks)
