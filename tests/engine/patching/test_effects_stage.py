"""Causes as a run finds them: within a budget, checked whole, and shown as measures."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from engine.analysis.effects import expected_size
from engine.analysis.ranking import auc
from engine.analysis.run_state import RunSnapshot, fold_event
from engine.catalog.local_models import bundled_folder
from engine.config import EffectsConfig, ProbeConfig
from engine.errors import Cancelled, ConfigError
from engine.events import CircuitChecked, EffectsMeasured, Notice, StageProgress
from engine.examples import part_of_each
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.nodes import NodeId, NodeLayout
from engine.patching.candidates import affordable, proposals
from engine.patching.circuit_checks import area_under, curve_sizes, random_circuits
from engine.patching.effects_stage import EffectsStage
from engine.patching.node_patching import mask_of
from engine.references.ground_truth import known_truths
from engine.results import CurvePoint
from engine.tasks.registry import TASKS

from ..by_hand import all_heads, exact, ioi, prepared


def test_effects_are_the_ones_stored_with_the_model(model: Model, recorder: Any) -> None:
    stored = msgspec.json.decode((bundled_folder() / "circuits.json").read_bytes())["tasks"]["induction"]
    examples = TASKS["induction"].make(model, pairs=stored["pairs"], seed=stored["task_seed"])
    passes, inputs = prepared(model, examples, recorder())
    assert inputs.base == pytest.approx(stored["base"], abs=1e-3)
    effects = exact(model, passes, inputs, all_heads(model)).mean(dim=1)
    assert torch.allclose(effects, torch.tensor(stored["effects"]).flatten(), atol=2e-3)


@pytest.mark.parametrize("name", sorted(known_truths("toy", bundled_folder()).truths))
def test_combined_finds_the_heads_that_matter_on_other_prompts(name: str, model: Model, recorder: Any) -> None:
    stored = msgspec.json.decode((bundled_folder() / "circuits.json").read_bytes())["tasks"][name]
    monitor = recorder()
    examples = TASKS[name].make(model, pairs=10, seed=0)
    config = EffectsConfig(method="combined")
    found = EffectsStage(model, examples, config, monitor, position="mean", task=TASKS[name].metric)
    found.find(ranking=all_heads(model), circuit=[])
    scored = monitor.last(EffectsMeasured)
    assert scored.method == "combined"
    assert scored.passes <= config.budget + 1
    truth = [abs(effect) >= stored["cut"] * abs(stored["base"]) for row in stored["effects"] for effect in row]
    found_auc = auc([expected_size(effect) for effect in scored.effects], truth)
    assert found_auc is not None
    assert found_auc >= 0.95


def test_stopped_in_the_middle_it_keeps_what_is_done(model: Model, recorder: Any) -> None:
    monitor = recorder(lambda event: isinstance(event, StageProgress) and event.done >= 3)
    examples = TASKS["ioi"].make(model, pairs=60, seed=0)
    found = EffectsStage(model, examples, EffectsConfig(method="exact"), monitor, position="mean", task=None)
    with pytest.raises(Cancelled):
        found.find(ranking=[], circuit=[])
    partial = monitor.last(EffectsMeasured)
    assert not partial.final
    assert 3 <= len(partial.effects) < model.n_heads_in_all
    assert "forward" not in vars(model.bridge.blocks[0])  # no block is left skipped


def test_copies_change_neither_effects_nor_their_errors(model: Model, recorder: Any) -> None:
    examples = list(TASKS["ioi"].make(model, pairs=4, seed=0))
    copies = [msgspec.structs.replace(one, pair=one.pair + 4) for one in examples]  # type: ignore[operator]  # has one

    def measured(given: list[Any]) -> EffectsMeasured:
        monitor = recorder()
        found = EffectsStage(model, given, EffectsConfig(method="attribution"), monitor, position="mean", task=None)
        found.find(ranking=[], circuit=[])
        return monitor.last(EffectsMeasured)

    alone, twice = measured(examples), measured(examples + copies)
    assert (twice.n_examples, twice.effects) == (alone.n_examples, alone.effects) == (4, alone.effects)


def test_parts_are_what_the_examples_of_a_part_alone_show(
    model: Model, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """18 pairs are in 16 parts, of two examples or one; each part is measured again by itself."""
    monkeypatch.setattr("engine.patching.effects_stage.MOST_PARTS", 16)
    examples = ioi(model, 18)
    heads = [NodeId(0, 4), NodeId(1, 2), NodeId(3, 6)]

    def measured(given: list[Any]) -> EffectsMeasured:
        monitor = recorder()
        config = EffectsConfig(method="exact", metric="logit_difference")
        EffectsStage(model, given, config, monitor, position="mean", task=None).find(ranking=[], circuit=[], only=heads)
        return monitor.last(EffectsMeasured)

    whole = measured(list(examples))
    assert [part.n_examples for part in whole.parts] == [2, 2] + [1] * 14
    pairs = sorted({each.pair for each in examples})
    for part in (0, 1, 7, 15):
        inside = [pair for pair, each in zip(pairs, part_of_each(18, 16), strict=True) if each == part]
        alone = measured([each for each in examples if each.pair in inside])
        assert whole.parts[part].base == pytest.approx(alone.base, rel=1e-3, abs=1e-3)
        assert whole.parts[part].effects == pytest.approx([one.effect for one in alone.effects], rel=1e-3, abs=1e-3)
    assert measured([each for each in examples if each.pair == pairs[0]]).parts == ()


def test_a_shortlist_is_all_that_is_patched(model: Model, recorder: Any) -> None:
    monitor = recorder()
    found = EffectsStage(model, ioi(model), EffectsConfig(method="exact"), monitor, position="mean", task=None)
    found.find(ranking=[], circuit=[], only=[NodeId(1, 2), NodeId(0, 4)])
    assert [(one.layer, one.head) for one in monitor.last(EffectsMeasured).effects] == [(0, 4), (1, 2)]


def test_a_circuit_of_all_that_matters_is_faithful_and_a_random_one_is_not(model: Model, recorder: Any) -> None:
    monitor = recorder()
    found = EffectsStage(model, ioi(model, 6), EffectsConfig(method="circuit"), monitor, position="mean", task=None)
    found.find(ranking=all_heads(model), circuit=all_heads(model)[:8])
    checks = [event for event in monitor.events if isinstance(event, CircuitChecked)]
    assert [check.name for check in checks] == ["codes", "combined"]
    effects = checks[1]
    assert len(effects.heads) == len(effects.minimality) == 8
    assert len(effects.random_faithfulness) == 100
    assert effects.faithfulness > sorted(effects.random_faithfulness)[90]
    assert effects.completeness > 0.5
    assert effects.curve[-1].faithfulness > effects.curve[0].faithfulness
    assert effects.area > checks[0].area  # the first heads in reading order are no ranking
    progress = [event for event in monitor.events if isinstance(event, StageProgress)]
    assert progress[-1].done == progress[-1].total


def test_where_replacing_everything_changes_nothing_no_circuit_is_checked(model: Model, recorder: Any) -> None:
    monitor = recorder()
    positives = [one for one in TASKS["ioi"].make(model, pairs=2, seed=0) if one.positive]
    copies = [msgspec.structs.replace(one, polarity="negative") for one in positives]
    config = EffectsConfig(method="circuit", smallest=0.9)
    found = EffectsStage(model, [*positives, *copies], config, monitor, position="mean", task=TASKS["ioi"].metric)
    found.find(ranking=all_heads(model), circuit=all_heads(model)[:2])
    assert found.checks == []
    (notice,) = (event.message for event in monitor.events if isinstance(event, Notice))
    assert notice == "The circuits are not checked: the answer stays the same with every node replaced."


def test_random_circuits_keep_the_profile_of_layers() -> None:
    layout = NodeLayout(n_layers=4, n_heads=6)
    circuit = mask_of([NodeId(0, 1), NodeId(2, 0), NodeId(2, 3)], layout)
    drawn = random_circuits(circuit, layout, 50, seed=0)
    assert torch.equal(drawn.view(50, 4, 6).sum(dim=2), circuit.view(4, 6).sum(dim=1).expand(50, 4))
    assert len({tuple(each.flatten().tolist()) for each in drawn}) > 20


def test_a_curve_that_is_right_at_once_has_an_area_of_nearly_one() -> None:
    assert curve_sizes(32, 5) == [1, 2, 4, 5, 8, 16]
    full = [CurvePoint(size=size, faithfulness=1.0, completeness=1.0) for size in (1, 16)]
    assert area_under(full, 32) == pytest.approx(1 - 1 / 64)
    assert area_under([CurvePoint(size=16, faithfulness=-3.0, completeness=0.0)], 32) == pytest.approx(0.25)


def test_codes_have_their_say_and_the_budget_ends_it() -> None:
    heads = [NodeId(layer, head) for layer in range(4) for head in range(4)]
    order = proposals(heads, heads[::-1])
    assert sorted(order) == heads
    assert order[:4] == [*heads[:3], heads[-1]]
    assert affordable(heads, 4, 1.0, 2.0) == [NodeId(0, 0), NodeId(0, 1)]
    assert affordable(heads, 4, 0.5, 0.4) == [NodeId(1, 0)]
    assert affordable([*heads[:1], NodeId(3, 0)], 4, 1.0, 0.5) == [NodeId(3, 0)]


def test_causes_become_measures_of_the_grid(warm_model: WarmModel, tmp_path: Path, recorder: Any) -> None:
    from engine.config import SAEConfig
    from engine.protocol import RunProbe
    from engine.worker.pipeline import ProbeJob

    config = ProbeConfig(
        sae=SAEConfig(steps=40, sparsity=0.2), seeds=(0,), shuffles=0, cause=EffectsConfig(method="combined", budget=8)
    )
    monitor = recorder()
    order = RunProbe(
        job="r", model="toy", config=config, task="ioi", pairs=4, spool=str(tmp_path), models="", activations=""
    )
    ProbeJob(order, warm_model, monitor).run()
    picture = RunSnapshot()
    for event in monitor.events:
        picture = fold_event(picture, event)
    assert all(node.attribution is not None and node.combined is not None for node in picture.nodes)
    assert 0 < sum(node.exact_effect is not None for node in picture.nodes) < len(picture.nodes)
    assert picture.finished is not None
    assert picture.finished.timings.cause > 0


@pytest.mark.parametrize(
    "wrong", [{"method": "guess"}, {"metric": "accuracy"}, {"replacement": "noise"}, {"budget": 0.0}, {"examples": 0}]
)
def test_nonsense_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(wrong.values())))):
        EffectsConfig(**wrong)
