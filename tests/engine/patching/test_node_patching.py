"""Compare patched heads with plain hooks, for every metric and replacement."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch

from engine.errors import ExampleError
from engine.events import Notice
from engine.models.loading import Model
from engine.nodes import NodeId
from engine.patching.attribution import attribute
from engine.patching.node_patching import mask_of, measure_replaced
from engine.patching.partial_forward import _verified_pass
from engine.tasks.registry import TASKS

from ..by_hand import all_heads, exact, ioi, prepared, with_head


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_a_patched_head_does_what_a_plain_hook_does(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    examples = ioi(model)
    passes, inputs = prepared(model, examples, recorder())
    heads = [NodeId(0, 1), NodeId(1, 0), NodeId(model.info.n_layers - 1, 3)]
    effects = exact(model, passes, inputs, heads)
    assert inputs.replacement == "pair"
    # The pairs begin alike, and this family can go on from there, to the stream that the logits are read from.
    assert all(tail.prefix is not None and tail.short for tail in inputs.tails(passes))
    for row, (one, other) in enumerate(zip(examples[::2], examples[1::2], strict=True)):
        answers = [model.tokens.alone(" " + texts[0].strip())[0] for texts in (one.expected, one.foils)]
        for place, head in enumerate(heads):
            clean, patched = with_head(model, one, other, head)
            by_plain = (patched[answers[0]] - patched[answers[1]]) - (clean[answers[0]] - clean[answers[1]])
            assert float(effects[place, row]) == pytest.approx(float(by_plain), abs=2e-4)


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_many_at_once_are_what_each_is_alone(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    passes, inputs = prepared(model, ioi(model), recorder())
    heads = all_heads(model)
    together = exact(model, passes, inputs, heads)
    alone = torch.cat([exact(model, passes, inputs, [head]) for head in heads])
    assert torch.allclose(together, alone, atol=2e-4)


def test_several_heads_of_one_mask_are_replaced_together(model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model), recorder())
    n = passes.layout.n_nodes
    none, everything = torch.zeros(1, n, dtype=torch.bool), torch.ones(1, n, dtype=torch.bool)
    assert torch.equal(measure_replaced(passes, inputs, none)[0], inputs.base_by_row)
    pair = mask_of([NodeId(0, 0), NodeId(2, 5)], passes.layout)
    one_by_one = exact(model, passes, inputs, [NodeId(0, 0), NodeId(2, 5)]).sum(dim=0)
    both = measure_replaced(passes, inputs, pair[None])[0] - inputs.base_by_row
    assert not torch.allclose(both, torch.zeros_like(both), atol=1e-3)
    assert both.shape == one_by_one.shape
    assert measure_replaced(passes, inputs, everything).mean() < inputs.base


@pytest.mark.parametrize("metric", ["logit_difference", "log_probability", "probability_mass", "kl"])
def test_every_metric_has_effects(metric: str, model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model), recorder(), metric=metric)
    effects = exact(model, passes, inputs, all_heads(model)).mean(dim=1)
    promised = attribute(passes, inputs).mean(dim=0).flatten()
    assert torch.isfinite(effects).all()
    assert float(effects.abs().max()) > 1e-3
    assert float(promised.abs().max()) > 1e-4
    if metric == "kl":
        assert inputs.base == pytest.approx(0, abs=1e-5)
        assert float(effects.min()) > -1e-5


@pytest.mark.parametrize("replacement", ["mean", "resample", "zero"])
def test_unpaired_examples_are_ablated(replacement: str, model: Model, recorder: Any) -> None:
    examples = [msgspec.structs.replace(example, pair=None) for example in ioi(model)]
    passes, inputs = prepared(model, examples, recorder(), replacement=replacement)
    effects = exact(model, passes, inputs, all_heads(model))
    assert float(effects.abs().max()) > 1e-2
    if replacement == "zero":
        assert all(float(z.abs().max()) == 0 for z in inputs.other)


def test_without_usable_pairs_the_mean_takes_their_place_and_it_is_said(model: Model, recorder: Any) -> None:
    longer = [
        example if example.positive else msgspec.structs.replace(example, prompt="Then " + example.prompt)
        for example in ioi(model)
    ]
    monitor = recorder()
    _, inputs = prepared(model, longer, monitor)
    assert inputs.replacement == "mean"
    assert "as many tokens" in monitor.last(Notice).message
    with pytest.raises(ExampleError, match="paired negative"):
        prepared(model, longer, recorder(), replacement="pair")


def test_pairs_of_unequal_length_are_left_out_and_counted(model: Model, recorder: Any) -> None:
    examples = list(ioi(model))
    examples[1] = msgspec.structs.replace(examples[1], prompt="Then " + examples[1].prompt)
    monitor = recorder()
    _, inputs = prepared(model, examples, monitor)
    assert len(inputs) == 3
    assert "3 of 4 positives" in monitor.last(Notice).message


def test_a_named_position_is_patched_alone(model: Model, recorder: Any) -> None:
    examples = ioi(model)
    passes, inputs = prepared(model, examples, recorder(), position="last")
    head = NodeId(2, 1)
    effects = exact(model, passes, inputs, [head])[0]
    for row, (one, other) in enumerate(zip(examples[::2], examples[1::2], strict=True)):
        answers = [model.tokens.alone(" " + texts[0].strip())[0] for texts in (one.expected, one.foils)]
        clean, patched = with_head(model, one, other, head, slice(-1, None))
        by_plain = (patched[answers[0]] - patched[answers[1]]) - (clean[answers[0]] - clean[answers[1]])
        assert float(effects[row]) == pytest.approx(float(by_plain), abs=2e-4)


def test_no_answers_means_kl_and_another_metric_is_refused(model: Model, recorder: Callable[..., Any]) -> None:
    bare = [msgspec.structs.replace(example, expected=(), foils=()) for example in ioi(model)]
    _, inputs = prepared(model, bare, recorder())
    assert inputs.answer_metric.metric == "kl"
    with pytest.raises(ExampleError, match="logit difference"):
        prepared(model, bare, recorder(), metric="logit_difference")


def test_rows_of_like_begin_are_computed_together_from_where_they_can_change(model: Model, recorder: Any) -> None:
    examples = TASKS["induction"].make(model, pairs=12, seed=0)
    passes, inputs = prepared(model, examples, recorder())
    tails = inputs.tails(passes)
    assert sorted(row for tail in tails for row in tail.rows.tolist()) == list(range(12))
    for tail in tails:
        for row in tail.rows.tolist():
            ids = [model.encode(each.prompt)[0] for each in examples[2 * row : 2 * row + 2]]
            assert ids[0][: tail.begin] == ids[1][: tail.begin]
            assert tail.end >= len(ids[0])
    assert inputs.share(passes) < 1
    whole = prepared(model, examples, recorder())[1]
    whole._tails = [_verified_pass(passes, whole, list(range(12)), 0, whole.tokens.shape[1])]
    assert not any(tail.prefix for tail in whole.tails(passes))
    heads = all_heads(model)[::5]
    assert torch.allclose(exact(model, passes, inputs, heads), exact(model, passes, whole, heads), atol=3e-4)


def test_a_short_way_that_gives_another_answer_is_not_taken(model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model), recorder())
    assert inputs.readout is not None
    inputs.readout = msgspec.structs.replace(inputs.readout, constants=inputs.readout.constants + 1)
    (tail,) = {tail.short for tail in inputs.tails(passes)}
    assert tail is False
    for metric in ("log_probability", "kl"):
        passes, inputs = prepared(model, ioi(model), recorder(), metric=metric)
        assert inputs.readout is None
        assert all(tail.prefix is not None and not tail.short for tail in inputs.tails(passes))
