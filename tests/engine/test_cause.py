"""What heads do to the answer: estimated, measured, and the two held against plain ways of doing the same."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from engine.catalog import bundled_folder
from engine.cause.attribution import attribute
from engine.cause.checks import area_under, curve_sizes, random_circuits
from engine.cause.combined import affordable, proposals
from engine.cause.edges import attribute_edges, best_edges
from engine.cause.find import Cause
from engine.cause.forward import Passes
from engine.cause.material import Material, prepare
from engine.cause.patching import mask_of, measure_replaced, one_head_each
from engine.cause.tails import _trusted
from engine.cause_fold import likely_size
from engine.config import CauseConfig, ProbeConfig
from engine.errors import Cancelled, ConfigError, ExampleError
from engine.events import CauseScored, CircuitChecked, EdgesAttributed, Notice, StageProgress
from engine.examples import Example
from engine.model import Model, load_model, pick_device
from engine.ranking import auc
from engine.reference_edges import known_edges
from engine.results import CurvePoint, HeadId
from engine.shelf import Shelf
from engine.state import RunPicture, apply
from engine.tasks.registry import TASKS


@pytest.fixture
def model(shelf: Shelf, tmp_path: Path) -> Model:
    torch.set_num_threads(1)
    return shelf.take(("toy", "cpu", False), lambda: load_model("toy", tmp_path, pick_device("cpu")))[0]


@pytest.fixture
def grouped(tmp_path: Path) -> Model:
    """A small random model whose four heads share two sets of keys and values, with rotary positions."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    tokenizer = AutoTokenizer.from_pretrained(str(bundled_folder()))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    folder = tmp_path / "grouped"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(str(folder), tmp_path, pick_device("cpu"))


def prepared(
    model: Model, examples: Sequence[Example], recorder: Any, position: str = "mean", **config: Any
) -> tuple[Passes, Material]:
    passes = Passes(model, recorder)
    material = prepare(
        model, passes, examples, CauseConfig(**config), position=position, task=None, monitor=passes.monitor
    )
    return passes, material


def ioi(model: Model, pairs: int = 4) -> tuple[Example, ...]:
    return TASKS["ioi"].make(model, pairs=pairs, seed=0)


def by_hand(
    model: Model, one: Example, other: Example, head: HeadId, positions: slice = slice(None)
) -> tuple[Tensor, Tensor]:
    """The last logits of one prompt, as it is and with a head's z from another: plain hooks, whole passes."""
    kept: list[Tensor] = []
    name = f"blocks.{head.layer}.attn.hook_z"

    def keep(z: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
        kept.append(z.clone())

    def replace(z: Tensor, hook: object) -> Tensor:  # noqa: ARG001
        changed = z.clone()
        changed[:, positions, head.head] = kept[0][:, positions, head.head]
        return changed

    bridge = model.bridge
    with torch.no_grad():
        bridge.run_with_hooks(torch.tensor([model.encode(other.prompt)[0]]), fwd_hooks=[(name, keep)])
        tokens = torch.tensor([model.encode(one.prompt)[0]])
        return bridge(tokens)[0, -1], bridge.run_with_hooks(tokens, fwd_hooks=[(name, replace)])[0, -1]


def all_heads(model: Model) -> list[HeadId]:
    return [HeadId(layer, head) for layer in range(model.info.n_layers) for head in range(model.info.n_heads)]


def exact(model: Model, passes: Passes, material: Material, heads: Sequence[HeadId]) -> Tensor:
    masks = one_head_each(heads, model.info.n_layers, model.info.n_heads)
    return measure_replaced(passes, material, masks) - material.base_by_row


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_a_patched_head_does_what_a_plain_hook_does(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    examples = ioi(model)
    passes, material = prepared(model, examples, recorder())
    heads = [HeadId(0, 1), HeadId(1, 0), HeadId(model.info.n_layers - 1, 3)]
    effects = exact(model, passes, material, heads)
    assert material.replacement == "pair"
    # The pairs begin alike, and this family can go on from there, to the stream that the logits are read from.
    assert all(tail.prefix is not None and tail.short for tail in material.tails(passes))
    for row, (one, other) in enumerate(zip(examples[::2], examples[1::2], strict=True)):
        answers = [model.single_token(" " + texts[0].strip()) for texts in (one.expected, one.foils)]
        for place, head in enumerate(heads):
            clean, patched = by_hand(model, one, other, head)
            by_plain = (patched[answers[0]] - patched[answers[1]]) - (clean[answers[0]] - clean[answers[1]])
            assert float(effects[place, row]) == pytest.approx(float(by_plain), abs=2e-4)


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_many_at_once_are_what_each_is_alone(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    passes, material = prepared(model, ioi(model), recorder())
    heads = all_heads(model)
    together = exact(model, passes, material, heads)
    alone = torch.cat([exact(model, passes, material, [head]) for head in heads])
    assert torch.allclose(together, alone, atol=2e-4)


def test_several_heads_of_one_mask_are_replaced_together(model: Model, recorder: Any) -> None:
    passes, material = prepared(model, ioi(model), recorder())
    shape = (model.info.n_layers, model.info.n_heads)
    none, everything = torch.zeros(1, *shape, dtype=torch.bool), torch.ones(1, *shape, dtype=torch.bool)
    assert torch.equal(measure_replaced(passes, material, none)[0], material.base_by_row)
    pair = mask_of([HeadId(0, 0), HeadId(2, 5)], *shape)
    one_by_one = exact(model, passes, material, [HeadId(0, 0), HeadId(2, 5)]).sum(dim=0)
    both = measure_replaced(passes, material, pair[None])[0] - material.base_by_row
    assert not torch.allclose(both, torch.zeros_like(both), atol=1e-3)
    assert both.shape == one_by_one.shape
    assert measure_replaced(passes, material, everything).mean() < material.base


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_attribution_is_the_slope_of_what_patching_does(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    passes, material = prepared(model, ioi(model), recorder())
    promised = attribute(passes, material)
    # A thousandth of the way to the other side, the model is as good as linear.
    material.other = [
        clean + 1e-3 * (other - clean) for clean, other in zip(material.clean.z, material.other, strict=True)
    ]
    heads = all_heads(model)
    small = exact(model, passes, material, heads).T * 1e3
    scale = promised.abs().max()
    assert torch.allclose(promised.flatten(1), small, atol=0.05 * float(scale))
    assert torch.allclose(attribute(passes, material) * 1e3, promised, atol=1e-3 * float(scale))


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_an_edge_is_the_slope_of_what_one_head_reads_of_another(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    passes, material = prepared(model, ioi(model), recorder(), method="attribution")
    found = attribute_edges(passes, material, points=[0.0])
    n, bridge = model.info.n_heads, model.bridge
    for source, target in ((HeadId(0, 1), HeadId(2, 3)), (HeadId(1, 2), HeadId(2, 0)), (HeadId(0, 0), HeadId(1, 1))):
        step = 1e-2
        moved = material.other[source.layer][:, :, source.head] - material.clean.z[source.layer][:, :, source.head]
        written = step * moved @ model.output_weights[source.layer, source.head]
        kept: list[Tensor] = []

        def read(stream: Tensor, hook: object, written: Tensor = written) -> Tensor:  # noqa: ARG001
            return stream + written

        def keep(z: Tensor, hook: object, kept: list[Tensor] = kept) -> None:  # noqa: ARG001
            kept.append(z.clone())

        def replace(z: Tensor, hook: object, kept: list[Tensor] = kept, head: int = target.head) -> Tensor:  # noqa: ARG001
            changed = z.clone().view(*z.shape[:2], n, -1)
            changed[:, :, head] = kept[0].view(changed.shape)[:, :, head]
            return changed.view(z.shape)

        name = f"blocks.{target.layer}.attn.hook_z"
        with torch.no_grad():
            bridge.run_with_hooks(material.tokens, fwd_hooks=[(f"blocks.{target.layer}.hook_in", read), (name, keep)])
            logits = bridge.run_with_hooks(material.tokens, fwd_hooks=[(name, replace)])
        logits = logits[torch.arange(len(material)), material.last]
        slope = float((material.yardstick(logits) - material.base_by_row).mean()) / step
        place = (source.layer * n + source.head, target.layer * n + target.head)
        assert float(found[place]) == pytest.approx(slope, abs=0.03 * float(found.abs().max()))
    earlier = torch.arange(len(found)) // n
    assert float(found[earlier[:, None] >= earlier[None, :]].abs().max()) == 0
    best = best_edges(found, n, 5)
    assert abs(best[0].effect) == pytest.approx(float(found.abs().max()), abs=1e-5)
    assert all(edge.source[0] < edge.target[0] for edge in best)


def test_integrated_gradients_come_closer_where_the_answer_saturates(model: Model, recorder: Any) -> None:
    passes, material = prepared(model, ioi(model, 10), recorder())
    effects = exact(model, passes, material, all_heads(model)).mean(dim=1)

    def error(steps: int) -> float:
        return float((attribute(passes, material, steps=steps).mean(dim=0).flatten() - effects).abs().mean())

    assert error(5) < error(0)


def test_attribution_costs_three_and_a_half_forward_passes_at_most(model: Model, recorder: Any) -> None:
    monitor = recorder()
    found = Cause(model, ioi(model), CauseConfig(method="attribution"), monitor, position="mean", task=None)
    found.find(ranking=[], circuit=[])
    scored = monitor.last(CauseScored)
    assert scored.final
    assert len(scored.effects) == model.n_heads_in_all
    assert scored.passes <= 3.5  # of the positives: one over the negatives, one over the positives, and one back


def test_effects_are_the_ones_stored_with_the_model(model: Model, recorder: Any) -> None:
    stored = msgspec.json.decode((bundled_folder() / "circuits.json").read_bytes())["tasks"]["induction"]
    examples = TASKS["induction"].make(model, pairs=stored["pairs"], seed=stored["task_seed"])
    passes, material = prepared(model, examples, recorder())
    assert material.base == pytest.approx(stored["base"], abs=1e-3)
    effects = exact(model, passes, material, all_heads(model)).mean(dim=1)
    assert torch.allclose(effects, torch.tensor(stored["effects"]).flatten(), atol=2e-3)


@pytest.mark.parametrize("name", list(TASKS))
def test_combined_finds_the_heads_that_matter_on_other_prompts(name: str, model: Model, recorder: Any) -> None:
    stored = msgspec.json.decode((bundled_folder() / "circuits.json").read_bytes())["tasks"][name]
    monitor = recorder()
    examples = TASKS[name].make(model, pairs=10, seed=0)
    config = CauseConfig(method="combined")
    found = Cause(model, examples, config, monitor, position="mean", task=TASKS[name].metric)
    found.find(ranking=all_heads(model), circuit=[])
    scored = monitor.last(CauseScored)
    assert scored.method == "combined"
    assert scored.passes <= config.budget + 1
    truth = [abs(effect) >= stored["cut"] * abs(stored["base"]) for row in stored["effects"] for effect in row]
    found_auc = auc([likely_size(effect) for effect in scored.effects], truth)
    assert found_auc is not None
    assert found_auc >= 0.95


@pytest.mark.parametrize("metric", ["logit_difference", "log_probability", "probability_mass", "kl"])
def test_every_metric_has_effects(metric: str, model: Model, recorder: Any) -> None:
    passes, material = prepared(model, ioi(model), recorder(), metric=metric)
    effects = exact(model, passes, material, all_heads(model)).mean(dim=1)
    promised = attribute(passes, material).mean(dim=0).flatten()
    assert torch.isfinite(effects).all()
    assert float(effects.abs().max()) > 1e-3
    assert float(promised.abs().max()) > 1e-4
    if metric == "kl":
        assert material.base == pytest.approx(0, abs=1e-5)
        assert float(effects.min()) > -1e-5


@pytest.mark.parametrize("replacement", ["mean", "resample", "zero"])
def test_unpaired_examples_are_ablated(replacement: str, model: Model, recorder: Any) -> None:
    examples = [msgspec.structs.replace(example, pair=None) for example in ioi(model)]
    passes, material = prepared(model, examples, recorder(), replacement=replacement)
    effects = exact(model, passes, material, all_heads(model))
    assert float(effects.abs().max()) > 1e-2
    if replacement == "zero":
        assert all(float(z.abs().max()) == 0 for z in material.other)


def test_without_usable_pairs_the_mean_takes_their_place_and_it_is_said(model: Model, recorder: Any) -> None:
    longer = [
        example if example.positive else msgspec.structs.replace(example, prompt="Then " + example.prompt)
        for example in ioi(model)
    ]
    monitor = recorder()
    _, material = prepared(model, longer, monitor)
    assert material.replacement == "mean"
    assert "as many tokens" in monitor.last(Notice).message
    with pytest.raises(ExampleError, match="paired negative"):
        prepared(model, longer, recorder(), replacement="pair")


def test_pairs_of_unequal_length_are_left_out_and_counted(model: Model, recorder: Any) -> None:
    examples = list(ioi(model))
    examples[1] = msgspec.structs.replace(examples[1], prompt="Then " + examples[1].prompt)
    monitor = recorder()
    _, material = prepared(model, examples, monitor)
    assert len(material) == 3
    assert "3 of 4 positives" in monitor.last(Notice).message


def test_a_named_position_is_patched_alone(model: Model, recorder: Any) -> None:
    examples = ioi(model)
    passes, material = prepared(model, examples, recorder(), position="last")
    head = HeadId(2, 1)
    effects = exact(model, passes, material, [head])[0]
    for row, (one, other) in enumerate(zip(examples[::2], examples[1::2], strict=True)):
        answers = [model.single_token(" " + texts[0].strip()) for texts in (one.expected, one.foils)]
        clean, patched = by_hand(model, one, other, head, slice(-1, None))
        by_plain = (patched[answers[0]] - patched[answers[1]]) - (clean[answers[0]] - clean[answers[1]])
        assert float(effects[row]) == pytest.approx(float(by_plain), abs=2e-4)


def test_stopped_in_the_middle_it_keeps_what_is_done(model: Model, recorder: Any) -> None:
    monitor = recorder(lambda event: isinstance(event, StageProgress) and event.done >= 3)
    examples = TASKS["ioi"].make(model, pairs=60, seed=0)
    found = Cause(model, examples, CauseConfig(method="exact"), monitor, position="mean", task=None)
    with pytest.raises(Cancelled):
        found.find(ranking=[], circuit=[])
    partial = monitor.last(CauseScored)
    assert not partial.final
    assert 3 <= len(partial.effects) < model.n_heads_in_all
    assert "forward" not in vars(model.bridge.blocks[0])  # no block is left skipped


def test_edges_come_with_the_cause_where_they_are_asked_for(model: Model, recorder: Any) -> None:
    monitor = recorder()
    config = CauseConfig(method="attribution", edges=True)
    Cause(model, ioi(model), config, monitor, position="mean", task=None).find(ranking=[], circuit=[])
    told = monitor.last(EdgesAttributed)
    info = model.info
    assert told.n_pairs == info.n_heads**2 * info.n_layers * (info.n_layers - 1) // 2
    assert 200 < len(told.edges) <= told.n_pairs  # all that have an effect
    assert apply(RunPicture(), told).edge_effects == told
    for more in ({"metric": "kl"}, {"gradient_steps": 2}, {"method": "exact"}):
        monitor = recorder()
        asked = msgspec.structs.replace(config, **more)
        Cause(model, ioi(model), asked, monitor, position="mean", task=None).find(ranking=[], circuit=[])
        assert monitor.last(EdgesAttributed).edges


@pytest.mark.parametrize("name", ["ioi", "docstring", "induction", "gendered_pronoun"])
def test_attributed_edges_find_the_edges_that_matter_on_other_prompts(name: str, model: Model, recorder: Any) -> None:
    known = known_edges(model.info, bundled_folder(), name)
    assert known is not None
    passes, material = prepared(model, TASKS[name].make(model, pairs=10, seed=0), recorder(), method="attribution")
    found, n = attribute_edges(passes, material), model.info.n_heads
    sizes = [
        float(found[source[0] * n + source[1], target[0] * n + target[1]].abs()) for source, target in known.effects
    ]
    found_auc = auc(sizes, [edge in known.edges for edge in known.effects])
    assert found_auc is not None
    assert found_auc >= 0.95


def test_a_shortlist_is_all_that_is_patched(model: Model, recorder: Any) -> None:
    monitor = recorder()
    found = Cause(model, ioi(model), CauseConfig(method="exact"), monitor, position="mean", task=None)
    found.find(ranking=[], circuit=[], only=[HeadId(1, 2), HeadId(0, 4)])
    assert [(one.layer, one.head) for one in monitor.last(CauseScored).effects] == [(0, 4), (1, 2)]


def test_a_circuit_of_all_that_matters_is_faithful_and_a_random_one_is_not(model: Model, recorder: Any) -> None:
    monitor = recorder()
    found = Cause(model, ioi(model, 6), CauseConfig(method="circuit"), monitor, position="mean", task=None)
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


def test_random_circuits_keep_the_profile_of_layers() -> None:
    circuit = mask_of([HeadId(0, 1), HeadId(2, 0), HeadId(2, 3)], 4, 6)
    drawn = random_circuits(circuit, 50, seed=0)
    assert torch.equal(drawn.sum(dim=2), circuit.sum(dim=1).expand(50, 4))
    assert len({tuple(each.flatten().tolist()) for each in drawn}) > 20


def test_a_curve_that_is_right_at_once_has_an_area_of_nearly_one() -> None:
    assert curve_sizes(32, 5) == [1, 2, 4, 5, 8, 16]
    full = [CurvePoint(size=size, faithfulness=1.0, completeness=1.0) for size in (1, 16)]
    assert area_under(full, 32) == pytest.approx(1 - 1 / 64)
    assert area_under([CurvePoint(size=16, faithfulness=-3.0, completeness=0.0)], 32) == pytest.approx(0.25)


def test_codes_have_their_say_and_the_budget_ends_it() -> None:
    heads = [HeadId(layer, head) for layer in range(4) for head in range(4)]
    order = proposals(heads, heads[::-1])
    assert sorted(order) == heads
    assert order[:4] == [*heads[:3], heads[-1]]
    assert affordable(heads, 4, 1.0, 2.0) == [HeadId(0, 0), HeadId(0, 1)]
    assert affordable(heads, 4, 0.5, 0.4) == [HeadId(1, 0)]
    assert affordable([*heads[:1], HeadId(3, 0)], 4, 1.0, 0.5) == [HeadId(3, 0)]


def test_causes_become_measures_of_the_grid(shelf: Shelf, tmp_path: Path, recorder: Any) -> None:
    from engine.config import SAEConfig
    from engine.jobs import RunProbe
    from engine.pipeline import Probe

    config = ProbeConfig(
        sae=SAEConfig(steps=40, sparsity=0.2), seeds=(0,), shuffles=0, cause=CauseConfig(method="combined", budget=8)
    )
    monitor = recorder()
    order = RunProbe(
        job="r", model="toy", config=config, task="ioi", pairs=4, spool=str(tmp_path), models="", activations=""
    )
    Probe(order, shelf, monitor).run()
    picture = RunPicture()
    for event in monitor.events:
        picture = apply(picture, event)
    assert all(node.attribution is not None and node.combined is not None for node in picture.nodes)
    assert 0 < sum(node.exact_effect is not None for node in picture.nodes) < len(picture.nodes)
    assert picture.finished is not None
    assert picture.finished.timings.cause > 0


@pytest.mark.parametrize(
    "wrong", [{"method": "guess"}, {"metric": "accuracy"}, {"replacement": "noise"}, {"budget": 0.0}, {"examples": 0}]
)
def test_nonsense_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(wrong.values())))):
        CauseConfig(**wrong)


def test_no_answers_means_kl_and_another_metric_is_refused(model: Model, recorder: Callable[..., Any]) -> None:
    bare = [msgspec.structs.replace(example, expected=(), foils=()) for example in ioi(model)]
    _, material = prepared(model, bare, recorder())
    assert material.yardstick.metric == "kl"
    with pytest.raises(ExampleError, match="logit difference"):
        prepared(model, bare, recorder(), metric="logit_difference")


def test_rows_of_like_begin_are_computed_together_from_where_they_can_change(model: Model, recorder: Any) -> None:
    examples = TASKS["induction"].make(model, pairs=12, seed=0)
    passes, material = prepared(model, examples, recorder())
    tails = material.tails(passes)
    assert sorted(row for tail in tails for row in tail.rows.tolist()) == list(range(12))
    for tail in tails:
        for row in tail.rows.tolist():
            ids = [model.encode(each.prompt)[0] for each in examples[2 * row : 2 * row + 2]]
            assert ids[0][: tail.begin] == ids[1][: tail.begin]
            assert tail.end >= len(ids[0])
    assert material.share(passes) < 1
    whole = prepared(model, examples, recorder())[1]
    whole._tails = [_trusted(passes, whole, list(range(12)), 0, whole.tokens.shape[1])]
    assert not any(tail.prefix for tail in whole.tails(passes))
    heads = all_heads(model)[::5]
    assert torch.allclose(exact(model, passes, material, heads), exact(model, passes, whole, heads), atol=3e-4)


def test_a_short_way_that_gives_another_answer_is_not_taken(model: Model, recorder: Any) -> None:
    passes, material = prepared(model, ioi(model), recorder())
    assert material.readout is not None
    material.readout = msgspec.structs.replace(material.readout, constants=material.readout.constants + 1)
    (tail,) = {tail.short for tail in material.tails(passes)}
    assert tail is False
    for metric in ("log_probability", "kl"):
        passes, material = prepared(model, ioi(model), recorder(), metric=metric)
        assert material.readout is None
        assert all(tail.prefix is not None and not tail.short for tail in material.tails(passes))
