"""Attribution of heads and edges: the slopes of what patching does, and how close they come."""

from typing import Any

import msgspec
import pytest
import torch

from engine.analysis.ranking import auc
from engine.analysis.run_state import RunSnapshot, fold_event
from engine.asset_tools.measure_toy_circuits import MeasuredEdgesFile
from engine.catalog.local_models import bundled_folder
from engine.config import EffectsConfig
from engine.events import EdgesAttributed, EffectsMeasured
from engine.models.loading import Model
from engine.nodes import NodeId
from engine.patching.attribution import attribute
from engine.patching.edge_attribution import attribute_edges, best_edges
from engine.patching.effects_stage import EffectsStage
from engine.tasks.registry import TASKS

from ..by_hand import all_heads, exact, ioi, prepared, with_edge


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_attribution_is_the_slope_of_what_patching_does(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    passes, inputs = prepared(model, ioi(model), recorder())
    promised = attribute(passes, inputs)
    # A thousandth of the way to the other side, the model is as good as linear.
    inputs.other = [clean + 1e-3 * (other - clean) for clean, other in zip(inputs.clean.z, inputs.other, strict=True)]
    heads = all_heads(model)
    small = exact(model, passes, inputs, heads).T * 1e3
    scale = promised.abs().max()
    assert torch.allclose(promised.flatten(1), small, atol=0.05 * float(scale))
    assert torch.allclose(attribute(passes, inputs) * 1e3, promised, atol=1e-3 * float(scale))


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_an_edge_is_the_slope_of_what_one_head_reads_of_another(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    passes, inputs = prepared(model, ioi(model), recorder(), method="attribution")
    found = attribute_edges(passes, inputs, points=[0.0])
    n = model.info.n_heads
    for source, target in ((NodeId(0, 1), NodeId(2, 3)), (NodeId(1, 2), NodeId(2, 0)), (NodeId(0, 0), NodeId(1, 1))):
        step = 1e-2
        logits = with_edge(model, inputs, source, target, step)
        slope = float((inputs.answer_metric(logits) - inputs.base_by_row).mean()) / step
        place = (source.layer * n + source.head, target.layer * n + target.head)
        assert float(found[place]) == pytest.approx(slope, abs=0.03 * float(found.abs().max()))
    earlier = torch.arange(len(found)) // n
    assert float(found[earlier[:, None] >= earlier[None, :]].abs().max()) == 0
    best = best_edges(found, passes.layout, 5)
    assert abs(best[0].effect) == pytest.approx(float(found.abs().max()), abs=1e-5)
    assert all(edge.source[0] < edge.target[0] for edge in best)


def test_integrated_gradients_come_closer_where_the_answer_saturates(model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model, 10), recorder())
    effects = exact(model, passes, inputs, all_heads(model)).mean(dim=1)

    def error(steps: int) -> float:
        return float((attribute(passes, inputs, steps=steps).mean(dim=0).flatten() - effects).abs().mean())

    assert error(5) < error(0)


def test_attribution_costs_three_and_a_half_forward_passes_at_most(model: Model, recorder: Any) -> None:
    monitor = recorder()
    found = EffectsStage(model, ioi(model), EffectsConfig(method="attribution"), monitor, position="mean", task=None)
    found.find(ranking=[], circuit=[])
    scored = monitor.last(EffectsMeasured)
    assert scored.final
    assert len(scored.effects) == model.n_heads_in_all
    assert scored.passes <= 3.5  # of the positives: one over the negatives, one over the positives, and one back


def test_edges_come_with_the_cause_where_they_are_asked_for(model: Model, recorder: Any) -> None:
    monitor = recorder()
    config = EffectsConfig(method="attribution", edges=True)
    EffectsStage(model, ioi(model), config, monitor, position="mean", task=None).find(ranking=[], circuit=[])
    output = monitor.last(EdgesAttributed)
    info = model.info
    assert output.n_pairs == info.n_heads**2 * info.n_layers * (info.n_layers - 1) // 2
    assert 200 < len(output.edges) <= output.n_pairs  # all that have an effect
    assert fold_event(RunSnapshot(), output).edge_effects == output
    for more in ({"metric": "kl"}, {"gradient_steps": 2}, {"method": "exact"}):
        monitor = recorder()
        asked = msgspec.structs.replace(config, **more)
        EffectsStage(model, ioi(model), asked, monitor, position="mean", task=None).find(ranking=[], circuit=[])
        assert monitor.last(EdgesAttributed).edges


@pytest.mark.parametrize("name", ["ioi", "docstring", "induction", "gendered_pronoun"])
def test_attributed_edges_find_the_edges_that_matter_on_other_prompts(name: str, model: Model, recorder: Any) -> None:
    file = msgspec.json.decode((bundled_folder() / "edges.json").read_bytes(), type=MeasuredEdgesFile)
    assert file.identity == model.info.identity
    known = file.tasks[name]
    effects = known.by_edge(model.info.n_heads)
    passes, inputs = prepared(model, TASKS[name].make(model, pairs=10, seed=0), recorder(), method="attribution")
    found, n = attribute_edges(passes, inputs), model.info.n_heads
    sizes = [float(found[source[0] * n + source[1], target[0] * n + target[1]].abs()) for source, target in effects]
    found_auc = auc(sizes, [abs(effect) >= known.cut * abs(known.base) for effect in effects.values()])
    assert found_auc is not None
    assert found_auc >= 0.95
