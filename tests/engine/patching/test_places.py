"""Compare effects position by position with plain hooks and whole passes."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.errors import Cancelled, NoSuchNode
from engine.examples import Example
from engine.models.loading import Model
from engine.nodes import EMBEDDING, NodeId, mlp
from engine.patching import forward
from engine.patching.node_patching import measure_replaced, one_each
from engine.patching.places import measure_places

from ..by_hand import ioi, prepared, with_node_at

UNEQUAL = (
    Example(prompt="When Mary and John went to the park, John gave a book to", polarity="positive", pair=1),
    Example(prompt="When Mary and John went to the park, Robert gave a book to", polarity="negative", pair=1),
    Example(prompt="Then, Mary and John went to the park. John gave a small book to", polarity="positive", pair=2),
    Example(prompt="Mary and John went to the park. Mary gave a small book to", polarity="negative", pair=2),
    Example(prompt="Mary and John sat, John spoke to", polarity="positive", pair=3),
    Example(prompt="Mary and John sat down, Robert spoke to", polarity="negative", pair=3),
)
"""The second positive is a token longer than its negative, the third a token shorter; and rows differ in length."""
NODES: Sequence[NodeId] = (NodeId(0, 1), NodeId(1, 0), mlp(0), mlp(2), EMBEDDING)


def answered(examples: Sequence[Example]) -> list[Example]:
    return [
        Example(prompt=each.prompt, polarity=each.polarity, pair=each.pair, expected=("Mary",), foils=("John",))
        for each in examples
    ]


def by_plain(model: Model, one: Example, other: Example, node: NodeId) -> list[float]:
    """The change of the logit difference at every position, replaced from the same distance from the other's end."""
    here, there = (model.encode(each.prompt)[0] for each in (one, other))
    mary, john = (model.tokens.alone(f" {text.strip()}")[0] for text in (one.expected[0], one.foils[0]))
    with torch.no_grad():
        clean = model.bridge(torch.tensor([here]))[0, -1]
        found = []
        for place in range(len(here)):
            patched = with_node_at(model, one, other, node, place, max(0, len(there) - len(here) + place))
            found.append(float((patched[mary] - patched[john]) - (clean[mary] - clean[john])))
    return found


def check(model: Model, examples: Sequence[Example], node: NodeId, found: Tensor) -> None:
    for row, (one, other) in enumerate(zip(examples[::2], examples[1::2], strict=True)):
        wanted = by_plain(model, one, other, node)
        assert found[row, : len(wanted)].tolist() == pytest.approx(wanted, abs=3e-4)
        assert not found[row, len(wanted) :].any()


@pytest.mark.parametrize("family", ["model", "grouped"])
@pytest.mark.parametrize("node", NODES, ids=str)
def test_a_node_at_one_position_does_what_a_plain_hook_does(
    node: NodeId, family: str, recorder: Any, request: Any
) -> None:
    model: Model = request.getfixturevalue(family)
    examples = ioi(model)
    passes, inputs = prepared(model, examples, recorder(), nodes="all")
    found = measure_places(passes, inputs, node)
    check(model, examples, node, found)
    assert float(found.abs().max()) > 1e-3


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_pairs_of_unequal_length_are_aligned_at_their_ends(family: str, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    examples = answered(UNEQUAL)
    passes, inputs = prepared(model, examples, recorder(), nodes="all", unequal=True)
    assert len({int(last) for last in inputs.last}) == 3
    for node in (NodeId(1, 2), mlp(1)):
        found = measure_places(passes, inputs, node)
        check(model, examples, node, found)
        assert float(found[:, 0].abs().max()) > 0


def test_equal_pairs_alone_are_used_unless_asked(model: Model, recorder: Any) -> None:
    examples = answered(UNEQUAL)
    assert prepared(model, examples, recorder())[1].examples == (0,)
    assert prepared(model, examples, recorder(), unequal=True)[1].examples == (0, 2, 4)


def test_all_positions_of_a_last_layers_head_add_up_to_its_effect(model: Model, recorder: Any) -> None:
    """In the last layer nothing reads what earlier positions get: only the last position has an effect."""
    passes, inputs = prepared(model, ioi(model), recorder())
    node = NodeId(model.info.n_layers - 1, 3)
    found = measure_places(passes, inputs, node)
    whole = measure_replaced(passes, inputs, one_each([node], passes.layout))[0] - inputs.base_by_row
    rows = torch.arange(len(inputs))
    assert torch.allclose(found[rows, inputs.last], whole, atol=2e-4)
    found[rows, inputs.last] = 0
    assert float(found.abs().max()) < 2e-4


@pytest.mark.parametrize("replacement", ["mean", "zero"])
def test_ablation_has_places_too(replacement: str, model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model), recorder(), replacement=replacement, nodes="all")
    found = measure_places(passes, inputs, mlp(0))
    assert torch.equal(found != 0, inputs.where)


def test_no_more_is_computed_than_the_positions_that_change(model: Model, recorder: Any) -> None:
    """As many copies as changing positions, each from the first of them and from the node's layer on."""
    passes, inputs = prepared(model, ioi(model), recorder())
    tails = inputs.tails(passes)
    before = passes.work
    measure_places(passes, inputs, NodeId(2, 0))
    layers = model.info.n_layers - 2
    assert passes.work - before == sum(tail.tokens.numel() * tail.tokens.shape[1] * layers for tail in tails)


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_later_positions_are_computed_from_where_they_begin(
    family: str, recorder: Any, request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Model = request.getfixturevalue(family)
    for examples in (ioi(model, pairs=8), answered(UNEQUAL)):
        passes, inputs = prepared(model, examples, recorder(), nodes="all", unequal=True)
        inputs.tails(passes)
        work, found = [], []
        for overhead in (1e12, 0.0):  # one pass for all positions, then one for each
            monkeypatch.setattr(forward, "_OVERHEAD", {"cpu": overhead})
            before = passes.work
            found.append(measure_places(passes, inputs, mlp(0)))
            work.append(passes.work - before)
        assert torch.allclose(*found, atol=2e-4)
        assert work[1] < 0.9 * work[0]
        assert float(found[0].abs().max()) > 1e-3


def test_a_missing_node_and_a_cancellation_are_errors(model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model), recorder())
    with pytest.raises(NoSuchNode, match="m1"):
        measure_places(passes, inputs, mlp(1))  # of a run with heads only
    passes.monitor = recorder(lambda _: True)
    passes.monitor.report(recorder)
    with pytest.raises(Cancelled):
        measure_places(passes, inputs, NodeId(1, 1))
