"""What is prepared for one node serves the next, until model, examples or settings change."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.config import EffectsConfig, LoadOptions
from engine.errors import Cancelled, ExampleError, NoSuchNode
from engine.examples import Example
from engine.models.warm_model import WarmModel
from engine.nodes import EMBEDDING, NodeId, mlp
from engine.protocol import MeasurePlaces, PlacesMeasured
from engine.tasks.registry import TASKS
from engine.worker import measure_places
from engine.worker.measure_places import measure_places_of

NODE = NodeId(1, 2)


@pytest.fixture
def warm() -> WarmModel:
    return WarmModel()


def ask(warm: WarmModel, monitor: Any, node: NodeId = NODE, **given: Any) -> PlacesMeasured:
    model, _ = warm.take("toy", Path("/nowhere"), LoadOptions(device="cpu"))
    asked: dict[str, Any] = {
        "job": "p1",
        "model": "toy",
        "models": "/nowhere",
        "device": "cpu",
        "identity": model.info.identity,
        "examples": TASKS["ioi"].make(model, pairs=3, seed=0),
        "config": EffectsConfig(method="exact"),
        "task": "ioi",
        "layer": node.layer,
        "head": node.head,
    }
    return measure_places_of(MeasurePlaces(**{**asked, **given}), warm, monitor)


def test_the_second_node_costs_no_preparation(warm: WarmModel, recorder: Any) -> None:
    first = ask(warm, recorder())
    assert first.how.prepared > 2
    other, again = ask(warm, recorder(), mlp(0)), ask(warm, recorder())
    assert (other.how.prepared, again.how.prepared) == (0, 0)
    assert again.prompts == first.prompts != other.prompts
    assert again.how.passes == first.how.passes
    assert ask(warm, recorder(), config=EffectsConfig(method="exact", replacement="zero")).how.prepared > 1
    assert ask(warm, recorder()).how.prepared > 2
    # Another model drops what was computed with this one.
    warm.take("planted-ioi", Path("/nowhere"), LoadOptions(device="cpu"))
    assert warm.computed is None
    assert ask(warm, recorder()).prompts == first.prompts


def test_one_pair_alone_has_the_same_effects_and_leaves_what_was_prepared(warm: WarmModel, recorder: Any) -> None:
    every = ask(warm, recorder())
    kept = warm.computed
    for index in (2, 3):  # the positive and the negative of the second pair
        alone = ask(warm, recorder(), example=index)
        (prompt,) = alone.prompts
        (same,) = (each for each in every.prompts if each.example == prompt.example)
        assert prompt.example == 2
        assert prompt.effects == pytest.approx(same.effects, abs=1e-4)
        assert (prompt.tokens, prompt.other) == (same.tokens, same.other)
        assert alone.how.metric == every.how.metric
        assert warm.computed is kept
    assert ask(warm, recorder()).how.prepared == 0


def test_an_example_without_a_pair_is_refused(warm: WarmModel, recorder: Any) -> None:
    for wrong in (6, -1):
        with pytest.raises(ExampleError, match="no pair"):
            ask(warm, recorder(), example=wrong)
    model, _ = warm.take("toy", Path("/nowhere"), LoadOptions(device="cpu"))
    single = tuple(replace(each, pair=None) for each in TASKS["ioi"].make(model, pairs=1, seed=0))
    with pytest.raises(ExampleError, match="Example 1 has no pair"):
        ask(warm, recorder(), examples=single, example=0)


def test_large_inputs_are_not_kept(warm: WarmModel, recorder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_places, "_KEPT_BYTES", 1000)
    assert ask(warm, recorder()).how.prepared == ask(warm, recorder()).how.prepared > 2
    assert warm.computed is None


def test_a_cancelled_request_does_not_cancel_the_next(warm: WarmModel, recorder: Any) -> None:
    stopped = recorder(lambda _: True)
    stopped.report(stopped)
    ask(warm, recorder())
    with pytest.raises(Cancelled):
        ask(warm, stopped)
    assert ask(warm, recorder()).how.prepared == 0


def test_both_sides_tokens_are_named_and_notices_are_handed_on(warm: WarmModel, recorder: Any) -> None:
    examples = (
        Example(
            prompt="Mary and John sat, John spoke to", polarity="positive", pair=3, expected=("Mary",), foils=("John",)
        ),
        Example(prompt="Mary and John sat down, Robert spoke to", polarity="negative", pair=3),
        Example(prompt="Mary and John sat", polarity="positive", pair=4),
        Example(prompt="Mary and Ann sat", polarity="negative", pair=4),
    )
    found = ask(warm, recorder(), EMBEDDING, examples=examples, task=None)
    (prompt,) = found.prompts
    assert prompt.example == 0
    pairs = [(here.strip(), there.strip()) for here, there in zip(prompt.tokens, prompt.other, strict=True)]
    assert ("John", "Robert") in pairs
    assert pairs[-1] == ("to", "to")
    assert "1 of 2 positives" in found.how.notices[0]


def test_a_missing_node_is_named(warm: WarmModel, recorder: Any) -> None:
    with pytest.raises(NoSuchNode, match=r"9\.9"):
        ask(warm, recorder(), NodeId(9, 9))
