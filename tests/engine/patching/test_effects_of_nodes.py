"""Effects, circuits and edges that hold MLPs and the embedding."""

from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.config import EffectsConfig
from engine.errors import NoSuchNode
from engine.events import CircuitChecked, EdgesAttributed, EdgesPatched, EffectsMeasured
from engine.models.loading import Model
from engine.nodes import EMBEDDING, NodeId, NodeLayout, mlp
from engine.patching.attribution import attribute
from engine.patching.circuit_checks import random_circuits
from engine.patching.edge_attribution import attribute_edges, n_edges
from engine.patching.edge_patching import all_edges, measure_edges
from engine.patching.effects_stage import EffectsStage
from engine.patching.node_patching import mask_of, measure_replaced, one_each
from engine.results import EdgeEffect
from engine.tasks.registry import TASKS

from ..by_hand import ioi, prepared


def stage(model: Model, monitor: Any, **config: Any) -> EffectsStage:
    examples = TASKS["greater_than"].make(model, pairs=10, seed=0)
    settings = EffectsConfig(**config)
    task = TASKS["greater_than"].metric
    return EffectsStage(model, examples, settings, monitor, position="mean", task=task, nodes="all")


def test_combined_measures_every_mlp_exactly(model: Model, recorder: Any) -> None:
    monitor = recorder()
    found = stage(model, monitor, method="combined", budget=4.0)
    found.find(ranking=found.nodes, circuit=[])
    exact = next(each for each in found.causes if each.method == "exact")
    others = {node for node in found.nodes if not node.is_head}
    assert others <= {one.id for one in exact.effects}
    assert len(exact.effects) < len(found.nodes)  # the budget is for heads
    combined = monitor.last(EffectsMeasured)
    assert {one.id for one in combined.effects} == set(found.nodes)
    assert combined.effects == tuple(sorted(combined.effects, key=lambda one: found.layout.index(one.id)))


def test_everything_replaced_is_the_other_prompt_and_the_embedding_always_belongs(model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model), recorder(), nodes="all")
    layout = passes.layout
    everything = mask_of([node for node in layout.ids if node.in_circuits], layout)
    prompts = mask_of([EMBEDDING], layout)
    replaced = measure_replaced(passes, inputs, torch.stack([everything, prompts, everything | prompts]))
    # The other prompt, read whole: its embedding alone, or every node's output of it.
    there = inputs.tokens.clone()
    for row, example in enumerate(each for each in ioi(model) if not each.positive):
        ids = model.encode(example.prompt)[0]
        there[row, : len(ids)] = torch.tensor(ids)
    with torch.no_grad():
        wanted = inputs.answer_metric(passes.run(there, inputs.last))
    # The last token is the same on both sides: what it answers depends on heads and MLPs alone.
    for answers in replaced:
        assert torch.allclose(answers, wanted, atol=1e-3)

    monitor = recorder()
    found = stage(model, monitor, method="circuit")
    circuit = [NodeId(0, 0), NodeId(2, 6), mlp(0), mlp(3)]
    found.find(ranking=found.nodes, circuit=circuit)
    check = next(each for each in found.checks if each.name == "codes")
    assert check.heads == tuple(circuit)
    assert check.curve[-1].size == 16
    assert max(one.size for one in check.curve) <= found.layout.n_members // 2
    assert all(NodeId(*place).in_circuits for each in found.checks for place in each.heads)
    by_hand = measure_replaced(found.passes, found.inputs, (~mask_of([*circuit, EMBEDDING], found.layout))[None])
    share = (float(by_hand.mean()) - check.empty) / (check.base - check.empty)
    assert check.faithfulness == pytest.approx(share, abs=2e-3)
    assert isinstance(monitor.last(CircuitChecked), CircuitChecked)


def test_random_circuits_have_as_many_heads_per_layer_and_as_many_mlps() -> None:
    layout = NodeLayout(n_layers=4, n_heads=6, choice="all")
    circuit = mask_of([NodeId(0, 1), NodeId(2, 0), NodeId(2, 3), mlp(0), mlp(3)], layout)
    drawn = random_circuits(circuit, layout, 50, seed=0)
    heads = drawn[:, :24].view(50, 4, 6).sum(dim=2)
    assert torch.equal(heads, torch.tensor([1, 0, 2, 0]).expand(50, 4))
    assert torch.equal(drawn[:, 25:].sum(dim=1), torch.full((50,), 2))
    assert not drawn[:, layout.index(EMBEDDING)].any()
    assert len({tuple(each.tolist()) for each in drawn[:, 25:]}) > 4


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_two_gradients_estimate_mlps_better_than_one(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    passes, inputs = prepared(model, ioi(model, 8), recorder(), nodes="all", method="attribution")
    others = [node for node in passes.layout.ids if not node.is_head]
    exact = measure_replaced(passes, inputs, one_each(others, passes.layout)) - inputs.base_by_row
    assert inputs.clean.output_gradients is not None
    one = [
        (by * gradient * inputs.where[:, :, None]).sum(dim=(1, 2)).mean()
        for by, gradient in zip(inputs.outputs_apart(slice(None)), inputs.clean.output_gradients, strict=True)
    ]
    two = attribute(passes, inputs)[:, passes.layout.n_heads_in_all :].mean(dim=0)
    wanted = exact.mean(dim=1)
    assert float((two - wanted).abs().sum()) < float((torch.stack(one) - wanted).abs().sum())
    # Heads have the one gradient that they have without MLPs.
    alone, same = prepared(model, ioi(model, 8), recorder(), method="attribution")
    assert torch.allclose(attribute(passes, inputs)[:, : alone.layout.n_nodes], attribute(alone, same), atol=1e-5)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (EMBEDDING, NodeId(0, 3)),
        (EMBEDDING, mlp(2)),
        (NodeId(1, 2), mlp(1)),
        (mlp(0), NodeId(2, 5)),
        (mlp(0), mlp(3)),
        (NodeId(0, 5), NodeId(1, 3)),
    ],
)
def test_an_edge_is_the_slope_of_what_one_node_reads_of_another(
    source: NodeId, target: NodeId, model: Model, recorder: Any
) -> None:
    passes, inputs = prepared(model, ioi(model), recorder(), nodes="all", method="attribution")
    found, layout = attribute_edges(passes, inputs, points=[0.0]), passes.layout
    step = 1e-2
    slope = float((inputs.answer_metric(_with_edge(model, inputs, source, target, step)) - inputs.base_by_row).mean())
    edge = float(found[layout.index(source), layout.index(target)])
    assert edge == pytest.approx(slope / step, abs=0.03 * float(found.abs().max()))
    places = torch.tensor(layout.order)
    assert float(found[places[:, None] >= places].abs().max()) == 0
    assert n_edges(layout) == int((places[:, None] < places).sum())


def test_edges_of_a_run_name_nodes(model: Model, recorder: Any) -> None:
    monitor = recorder()
    found = stage(model, monitor, method="attribution", edges=True)
    found.find(ranking=found.nodes, circuit=[])
    edges = monitor.last(EdgesAttributed)
    assert edges.n_pairs == n_edges(found.layout)
    assert edges.edges[0].source == EMBEDDING
    assert {NodeId(*each.target).kind for each in edges.edges} == {"head", "mlp"}


def test_chosen_edges_are_measured_exactly_layer_by_layer(model: Model, recorder: Any) -> None:
    monitor = recorder()
    found = stage(model, monitor, method="exact")
    edges = [(mlp(0), NodeId(2, 5)), (EMBEDDING, mlp(0)), (NodeId(1, 2), mlp(1)), (EMBEDDING, NodeId(2, 5))]
    found.find_edges(edges)
    events = [event for event in monitor.events if isinstance(event, EdgesPatched)]
    assert [{each.target for each in event.edges} for event in events] == [{mlp(0)}, {mlp(1)}, {NodeId(2, 5)}]
    picture = RunSnapshot()
    for event in events:
        picture = fold_event(picture, event)
    merged = picture.exact_edges
    assert merged is not None
    assert merged.passes == pytest.approx(sum(event.passes for event in events))
    effects = {(NodeId(*each.source), NodeId(*each.target)): each.effect for each in merged.edges}
    assert [abs(each.effect) for each in merged.edges] == sorted(map(abs, effects.values()), reverse=True)
    clean = found.inputs.base_by_row
    for edge, values in zip(edges, measure_edges(found.passes, found.inputs, edges), strict=True):
        assert effects[edge] == pytest.approx(float((values - clean).mean()), abs=1e-4)
    # Measured again, the newest counts; in another setting, nothing of before.
    newer = (EdgeEffect(source=EMBEDDING, target=mlp(0), effect=9.0),)
    again = fold_event(picture, msgspec.structs.replace(events[0], edges=newer))
    assert again.exact_edges.edges[0].effect == 9.0
    assert len(again.exact_edges.edges) == 4
    other = fold_event(picture, msgspec.structs.replace(events[0], n_examples=1))
    assert other.exact_edges.edges == events[0].edges
    with pytest.raises(NoSuchNode):
        found.find_edges([(EMBEDDING, NodeId(77, 0))])


def _with_edge(model: Model, inputs: Any, source: NodeId, target: NodeId, share: float) -> Tensor:
    """The logits where one node reads, of another, a share of the way to what that one writes on the other side, and
    everybody else reads what was: plain hooks of GPT-2, whole passes."""
    if source.is_head:
        moved = inputs.other[source.layer][:, :, source.head] - inputs.clean.z[source.layer][:, :, source.head]
        written = moved @ model.head_weights[source.layer][source.head]
    else:
        written = inputs.outputs_apart(slice(None))[1 + source.layer]
    block, bridge = f"blocks.{target.layer}", model.bridge
    kept: list[Tensor] = []

    def read(stream: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
        return stream + share * written

    def keep(value: Tensor, hook: object) -> None:  # noqa: ARG001
        kept.append(value.clone())

    def replace(value: Tensor, hook: object) -> Tensor:  # noqa: ARG001
        if not target.is_head:
            return kept[0]
        changed = value.clone().view(*value.shape[:2], model.info.n_heads, -1)
        changed[:, :, target.head] = kept[0].view(changed.shape)[:, :, target.head]
        return changed.view(value.shape)

    reads, writes = ("ln1.hook_in", "attn.hook_z") if target.is_head else ("ln2.hook_in", "hook_mlp_out")
    with torch.no_grad():
        bridge.run_with_hooks(inputs.tokens, fwd_hooks=[(f"{block}.{reads}", read), (f"{block}.{writes}", keep)])
        logits = bridge.run_with_hooks(inputs.tokens, fwd_hooks=[(f"{block}.{writes}", replace)])
    return logits[torch.arange(len(inputs)), inputs.last]


EDGES = [
    (EMBEDDING, NodeId(0, 3)),
    (EMBEDDING, NodeId(2, 1)),
    (EMBEDDING, mlp(0)),
    (NodeId(1, 2), mlp(1)),
    (NodeId(0, 5), mlp(3)),
    (mlp(0), NodeId(2, 5)),
    (mlp(0), mlp(3)),
    (NodeId(0, 5), NodeId(1, 3)),
]


def test_exact_edges_are_what_plain_hooks_make_of_them(model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model), recorder(), nodes="all")
    found = measure_edges(passes, inputs, EDGES)
    for (source, target), answers in zip(EDGES, found, strict=True):
        by_hand = inputs.answer_metric(_with_edge(model, inputs, source, target, 1.0))
        assert torch.allclose(answers, by_hand, atol=1e-4 * max(1.0, float(by_hand.abs().max()))), (source, target)
    alone = torch.cat([measure_edges(passes, inputs, [edge]) for edge in EDGES])
    assert torch.allclose(found, alone, atol=2e-4)
    with pytest.raises(ValueError, match=r"m1 is not earlier in the forward pass than 1\.0"):
        measure_edges(passes, inputs, [(mlp(1), NodeId(1, 0))])
    every = all_edges(passes.layout)
    assert len(every) == len(set(every)) == n_edges(passes.layout)
