"""Pairs of a task that the bundled model can do, drawn until there are enough."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from engine.capture.head_outputs import read_examples
from engine.config import LoadOptions, ProbeConfig
from engine.errors import TaskError
from engine.grading.rules import grade_examples
from engine.grading.usable_pairs import make_usable, usable_pairs
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.tasks.registry import TASKS


@pytest.fixture
def model(warm_model: WarmModel, tmp_path: Path) -> Model:
    torch.set_num_threads(1)
    return warm_model.take("toy", tmp_path, LoadOptions(device="cpu"))[0]


def graded(model: Model, examples: Any, monitor: Any) -> list[int]:
    with torch.inference_mode():
        reading = read_examples(model, list(examples), ProbeConfig(), monitor, None)
    return usable_pairs(examples, grade_examples(model, examples, reading))


def test_as_many_pairs_as_asked_for_and_the_model_can_do_all(model: Model, recorder: Any) -> None:
    plain = TASKS["ioi"].make(model, pairs=10, seed=2)
    assert len(graded(model, plain, recorder())) < 10  # else this shows nothing
    found = make_usable(TASKS["ioi"], model, pairs=10, seed=2, monitor=recorder())
    assert [(each.pair, each.polarity) for each in found] == [
        (pair, side) for pair in range(10) for side in ("positive", "negative")
    ]
    assert graded(model, found, recorder()) == list(range(10))
    assert found == make_usable(TASKS["ioi"], model, pairs=10, seed=2, monitor=recorder())
    fewer = make_usable(TASKS["ioi"], model, pairs=3, seed=2, monitor=recorder())
    assert fewer == found[:6]  # drawn in the task's order


def test_a_task_the_model_cannot_do_is_refused_with_numbers(model: Model, recorder: Any) -> None:
    ioi = TASKS["ioi"]

    def turned(*given: Any) -> list[Any]:
        return [msgspec.structs.replace(each, expected=each.foils, foils=each.expected) for each in ioi.maker(*given)]

    impossible = msgspec.structs.replace(ioi, name="turned", maker=turned)
    with pytest.raises(TaskError, match=r"toy can do \d of 48 pairs of turned; 3 were requested") as refused:
        make_usable(impossible, model, pairs=3, seed=0, monitor=recorder())
    assert "fewer" in (refused.value.hint or "")
