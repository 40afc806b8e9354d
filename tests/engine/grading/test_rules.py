"""Verdicts on answers that cannot be measured: what is wrong with them, and what to write instead."""

from pathlib import Path
from typing import Any

import pytest

from engine.capture.head_outputs import read_examples
from engine.capture.prompts import answers_of
from engine.config import LoadOptions, ProbeConfig
from engine.examples import Example
from engine.grading.rules import grade_examples
from engine.models.loading import Model, load_model
from engine.results import Grade

PROMPT = "When Mary and John went to the park, John gave a ring to"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model("toy", Path(tmp_path_factory.mktemp("models")), LoadOptions(device="cpu"))


def example(*expected: str, foils: tuple[str, ...] = ()) -> Example:
    return Example(prompt=PROMPT, polarity="positive", expected=expected, foils=foils)


def grade(model: Model, recorder: Any, one: Example) -> Grade:
    return grade_examples(model, [one], read_examples(model, [one], ProbeConfig(), recorder(), None))[0]


def test_a_foil_that_is_expected_too_is_broken_and_named(model: Model, recorder: Any) -> None:
    found = grade(model, recorder, example("Mary", foils=("John", " Mary")))
    assert found.verdict == "broken"
    assert found.reason.startswith("' Mary' is expected and also a foil")


def test_a_foil_that_is_expected_too_is_measured_against_nothing(model: Model) -> None:
    answers = answers_of(model, example("Mary", "Anna", foils=("Anna", "John")))
    assert answers.both == ("Anna",)
    assert answers.foils == answers_of(model, example("Mary", foils=("John",))).foils
    assert len(answers.expected) == 2


def test_the_same_answer_twice_is_one_answer(model: Model, recorder: Any) -> None:
    once, twice = example("Mary", foils=("John",)), example("Mary", "Mary", foils=("John", "John"))
    assert answers_of(model, once) == answers_of(model, twice)
    assert grade(model, recorder, twice).verdict == "ok"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("x", "expected 'x' is not one token but ' ', 'x': use another word"),
        ("Mary John", "expected 'Mary John' is not one token but ' Mary', ' John': use the first of them"),
    ],
)
def test_an_answer_of_several_tokens_is_shown_as_the_model_sees_it(
    answer: str, reason: str, model: Model, recorder: Any
) -> None:
    found = grade(model, recorder, example(answer))
    assert (found.verdict, found.probability) == ("broken", None)
    assert found.reason.startswith(reason)
