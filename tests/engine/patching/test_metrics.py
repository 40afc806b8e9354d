"""Test the default metric, which depends on the expected answers, and its reason."""

from typing import Any

import msgspec
import pytest

from engine.capture.prompts import AnswerIds
from engine.config import EffectsConfig
from engine.events import EffectsMeasured, Notice
from engine.examples import Example
from engine.models.loading import Model
from engine.patching.effects_stage import EffectsStage
from engine.patching.metrics import resolve_metric
from engine.tasks.registry import TASKS

from ..by_hand import ioi

ONE = AnswerIds(expected=(1,), foils=(2,), not_single=())
SET = AnswerIds(expected=(1, 3, 4), foils=(2, 5), not_single=())
NO_FOIL = AnswerIds(expected=(1,), foils=(), not_single=())
NONE = AnswerIds(expected=(), foils=(), not_single=(" long answer",))


@pytest.mark.parametrize(
    ("answers", "metric", "why"),
    [
        ([ONE] * 3, "logit_difference", "all positives expect a token against foils"),
        ([SET] * 3, "probability_mass", "all positives expect one of several tokens"),
        ([SET, SET, ONE], "probability_mass", "2 of 3 positives expect one of several"),
        ([SET, ONE, ONE], "logit_difference", "all positives expect a token against foils"),
        ([NO_FOIL, NONE], "log_probability", "none has a foil of one token"),
        ([NONE] * 2, "kl", "no positive has an expected answer of one token"),
    ],
)
def test_it_follows_from_the_examples(answers: list[AnswerIds], metric: str, why: str) -> None:
    found = resolve_metric("auto", answers, None)
    assert found.metric == metric
    assert why in found.why
    assert found.fell_back == (metric in ("log_probability", "kl"))


def measured(model: Model, examples: tuple[Example, ...], recorder: Any, task: Any = None) -> Any:
    monitor = recorder()
    config = EffectsConfig(method="exact", examples=6)
    found = EffectsStage(model, examples, config, monitor, position="mean", task=task)
    heads = [found.nodes[5], found.nodes[20]]
    found.find(ranking=[], circuit=[], only=heads)
    return monitor.last(EffectsMeasured), [event.message for event in monitor.events if isinstance(event, Notice)]


def test_greater_than_written_by_hand_is_measured_like_the_ready_made_task(model: Model, recorder: Any) -> None:
    task = TASKS["greater_than"]
    made = task.make(model, pairs=6, seed=3)
    own = tuple(
        msgspec.structs.replace(one, prompt=one.prompt.replace("from the year", "from about the year")) for one in made
    )
    assert not any(task.recognises(one) for one in own)
    by_task, _ = measured(model, made, recorder, task.metric)
    by_set, notices = measured(model, made, recorder)
    assert by_set.metric == by_task.metric == "probability_mass"
    assert by_set.effects == by_task.effects
    assert by_task.why == "as the task is measured"
    assert by_set.why == "all positives expect one of several tokens, against foils"
    assert not notices


def test_a_metric_that_falls_back_is_a_notice(model: Model, recorder: Any) -> None:
    long = tuple(msgspec.structs.replace(one, expected=(" unanswerable thing",)) for one in ioi(model))
    found, notices = measured(model, long, recorder)
    assert found.metric == "kl"
    assert any("measured by KL divergence: no positive has an expected answer of one token" in each for each in notices)
    bare = tuple(msgspec.structs.replace(one, foils=()) for one in ioi(model))
    found, notices = measured(model, bare, recorder)
    assert found.metric == "log_probability"
    assert any("none has a foil of one token" in each for each in notices)
    found, notices = measured(model, ioi(model), recorder)
    assert found.metric == "logit_difference"
    assert not notices
