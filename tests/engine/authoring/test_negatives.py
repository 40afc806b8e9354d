"""Minimal edits of positives, and what a set of graded examples is worth."""

import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.authoring.drafts import parse_draft
from engine.authoring.negatives import MOST, SHOWN, PromptEdit, as_negative, best_edits, propose
from engine.authoring.readiness import check_readiness
from engine.catalog.local_models import bundled_folder
from engine.config import LoadOptions
from engine.examples import Example
from engine.grading.grader import Grader
from engine.models.warm_model import WarmModel
from engine.protocol import GradePrompts
from engine.references.ground_truth import known_truths
from engine.results import Grade, Verdict
from engine.tasks.registry import TASKS
from engine.worker.__main__ import SilentMonitor


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("+ When Mary and John left, John gave a drink to => Mary", {"another name", "swapped roles"}),
        ("+ The war lasted from the year 1732 to the year 17 => 33", {"another number"}),
        ("+ def f(path, size):⏎    :param path: a⏎    :param => size", {"other arguments", "shuffled arguments"}),
        ("+ river stone lamp river => stone", {"without the answer", "not said before"}),
        ("+ Monday, Tuesday, Wednesday, => Thursday", {"order shuffled"}),
        ("+ The capital of France is => Paris", {"another word", "exchanged"}),
    ],
)
def test_edits_are_of_the_kinds_that_suit_the_prompt(line: str, kinds: set[str]) -> None:
    example = parse_draft(line)
    edits = propose(example)
    assert kinds <= {edit.kind.partition(":")[0] for edit in edits}
    assert example.prompt not in {edit.prompt for edit in edits}
    assert propose(example) == edits


@given(st.text(max_size=60).filter(lambda text: bool(text.strip())), st.text(max_size=8))
def test_any_prompt_gives_edits_that_are_examples(prompt: str, answer: str) -> None:
    example = Example(prompt=prompt, polarity="positive", expected=(answer,) if answer else ())
    edits = propose(example)
    assert len(edits) <= MOST
    assert len({edit.prompt for edit in edits}) == len(edits)
    for edit in edits:
        assert as_negative(example, edit.prompt, pair=3).polarity == "negative"


@pytest.mark.parametrize("task", sorted(known_truths("toy", bundled_folder()).truths))
def test_the_bundled_model_finds_negatives_for_every_task_it_can_do(warm_model: WarmModel, task: str) -> None:
    toy, _ = warm_model.take("toy", Path(), LoadOptions(device="cpu"))
    grader = Grader(warm_model)
    found = 0
    for example in [each for each in TASKS[task].make(toy, pairs=3) if each.positive]:
        edits = propose(example)
        asked = (example, *(as_negative(example, edit.prompt, pair=None) for edit in edits))
        request = GradePrompts(job="g", model="toy", examples=asked, models=str(Path()), device="cpu")
        own, *grades = grader.answer(request, SilentMonitor()).grades
        chosen = best_edits(edits, grades, n_tokens=own.n_tokens)
        assert len(chosen) <= SHOWN
        assert all(grade.n_tokens == own.n_tokens for _, grade in chosen)
        found += len(chosen) >= 3 and chosen[0][1].verdict == "ok"
    assert found == 3


@pytest.mark.parametrize("prompt", ["x" * 19_999, "a, " * 6_000, "(" * 19_000, "John Mary " * 1_900, "1" * 19_000])
def test_a_long_prompt_is_edited_quickly(prompt: str) -> None:
    begun = time.process_time()
    propose(Example(prompt=prompt, polarity="positive", expected=("John",)))
    assert time.process_time() - begun < 60  # a tenth of a second; quadratic patterns took minutes
    assert propose(Example(prompt="x" * 100_000, polarity="positive")) == ()


# ---- what a set is worth


def test_what_people_write_by_hand_is_among_the_proposals_though_another_kind_does_more() -> None:
    kinds = (
        "swapped roles",
        "exchanged",
        "exchanged",
        "another word",
        "other arguments",
        "not repeated",
        "another name",
    )
    edits = [PromptEdit(prompt=f"p {place}", kind=f"{kind}: x") for place, kind in enumerate(kinds)]
    verdicts: tuple[Verdict, ...] = ("weak", "ok", "ok", "ok", "broken", "ok", "ok")
    grades = [graded(place, verdict) for place, verdict in enumerate(verdicts)]
    shown = [edit.kind.partition(":")[0] for edit, _ in best_edits(edits, grades, n_tokens=5)]
    assert shown == ["another name", "not repeated", "another word", "exchanged", "swapped roles"]
    assert len(best_edits(edits, grades, n_tokens=4)) == 0, "another number of tokens is no minimal edit"


def test_whom_a_method_belongs_to_is_no_argument() -> None:
    example = parse_draft("+ def f(self, path, size):⏎    :param path: a⏎    :param => size")
    prompts = [edit.prompt for edit in propose(example) if "arguments" in edit.kind]
    assert prompts
    assert all(prompt.startswith("def f(self, ") for prompt in prompts)


def graded(index: int, verdict: Verdict = "ok", *, equal: bool | None = True) -> Grade:
    return Grade(index=index, verdict=verdict, reason=f"reason {index}", n_tokens=5, equal_length=equal)


def some(positive: int, negative: int) -> list[Example]:
    return [
        Example(prompt=f"{side} {pair}", polarity=side, pair=pair)  # type: ignore[arg-type]
        for side, n in (("positive", positive), ("negative", negative))
        for pair in range(n)
    ]


def test_a_set_is_worth_running_when_all_is_well() -> None:
    examples = some(6, 6)
    found = check_readiness(examples, {index: graded(index) for index in range(12)})
    assert (found.ready, found.words, found.mend) == (True, "Worth running. 6 + 6.", None)
    found = check_readiness(examples, {index: graded(index) for index in range(5)})
    assert found.words == "Grading goes on. 6 + 6, 7 still to grade."


def test_copies_are_counted_once() -> None:
    examples = some(6, 6) * 3
    examples = [msgspec.structs.replace(each, pair=None) for each in examples]
    found = check_readiness(examples, {index: graded(index) for index in range(36)})
    assert found.words == "Worth running. 18 + 18, 36 examples, 12 distinct."
    few = [msgspec.structs.replace(each, pair=None) for each in some(2, 2) * 6]
    assert check_readiness(few, {index: graded(index) for index in range(24)}).words.startswith("Worth a try. 12 + 12")


def test_a_template_is_not_graded() -> None:
    examples = [*some(6, 6), Example(prompt="The {colour=red,blue} ball", polarity="positive")]
    found = check_readiness(examples, {index: graded(index) for index in range(12)})
    assert found.words == "Worth running. 7 + 6, 1 with slots."
    assert (found.mend, found.action) == (12, "unfold")


@pytest.mark.parametrize(
    ("examples", "grades", "ready", "words", "mend"),
    [
        ([], {}, False, "No examples yet", None),
        (some(3, 0), {}, False, "no negative is among them", None),
        (some(0, 2), {}, False, "no positive is among them", None),
        ([*some(2, 2), some(1, 0)[0]], {}, False, "pair 0 is not one positive", 4),
        (
            some(6, 6),
            {i: graded(i, "broken" if i in (3, 8) else "ok") for i in range(12)},
            True,
            "Worth running. 6 + 6, 2 broken.",
            3,
        ),
        (some(6, 6), {i: graded(i, "broken") for i in range(12)}, False, "Hardly worth running", 0),
        (some(6, 6), {i: graded(i, "weak" if i == 7 else "ok") for i in range(12)}, True, "6 + 6, 1 weak.", 7),
        (some(6, 6), {i: graded(i, equal=i % 6 != 2) for i in range(12)}, True, "1 unequal pair", 2),
        ([*some(6, 6), parse_draft("+ bad =>")], {i: graded(i) for i in range(12)}, True, "6 + 6, 1 unread.", 12),
        ([*some(6, 6), parse_draft("+ {a=x,y} b => c")], {i: graded(i) for i in range(13)}, True, "1 with slots", 12),
        ([parse_draft("+ bad =>")], {}, False, "1 line cannot be read", 0),
        (some(2, 2), {i: graded(i) for i in range(4)}, True, "5 of each give more stable scores", None),
    ],
)
def test_what_to_mend_first(
    examples: list[Example], grades: dict[int, Grade], ready: bool, words: str, mend: int | None
) -> None:
    found = check_readiness(examples, grades)
    assert (found.ready, found.mend) == (ready, mend)
    assert words in found.words
    assert found.todo


def test_how_many_pairs_are_missing_is_said_once_the_model_is_known() -> None:
    examples = [msgspec.structs.replace(each, prompt=f"{each.prompt} so") for each in some(10, 10)]
    grades = {index: graded(index) for index in range(20)}
    assert check_readiness(examples, grades).missing == ""
    assert (
        check_readiness(examples, grades, n_heads=32).missing
        == "10 pairs; 1 more lets one head of 32 reach significance"
    )
    left_out = [*examples[:-1], msgspec.structs.replace(examples[-1], enabled=False)]
    assert check_readiness(left_out, grades, n_heads=32).missing.startswith("9 pairs; ")
    assert check_readiness(some(11, 11), grades, n_heads=32).missing == ""
    assert check_readiness(some(3, 0), grades, n_heads=32).missing == "", "without negatives there are other cares"
