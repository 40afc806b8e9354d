"""Test that a task's examples are recognised by their content, for any tokenizer."""

from collections.abc import Callable

import msgspec
import pytest

from engine.examples import Example
from engine.tasks.base import Splitter
from engine.tasks.registry import TASKS, made_by

from .test_tasks import DIGITS, PAIRS, TRIPLES, Bundled, skip_unless_it_has_the_words

SPLITTERS: dict[str, Splitter] = {"digits": DIGITS, "pairs": PAIRS, "triples": TRIPLES, "bundled": Bundled()}


@pytest.mark.parametrize("splitter", SPLITTERS.values(), ids=SPLITTERS)
@pytest.mark.parametrize("name", TASKS)
def test_everything_a_task_makes_is_its_own(name: str, splitter: Splitter) -> None:
    skip_unless_it_has_the_words(name, splitter)
    for seed in range(6):
        made = TASKS[name].make(splitter, pairs=30, seed=seed)
        foreign = [example for example in made if not TASKS[name].recognises(example)]
        assert not foreign, foreign[0]
        assert made_by(name, made)
        # A part of it, in another order, under other numbers, with some left out, is the task's still.
        moved = [msgspec.structs.replace(each, pair=None, enabled=place > 3) for place, each in enumerate(made[::-2])]
        assert made_by(name, moved)


@pytest.mark.parametrize("name", TASKS)
def test_no_task_takes_anothers_examples(name: str) -> None:
    for other in TASKS:
        if other != name:
            assert not any(TASKS[name].recognises(each) for each in TASKS[other].make(DIGITS, pairs=20))


EDITS: dict[str, Callable[[Example], Example]] = {
    "a word more": lambda one: msgspec.structs.replace(one, prompt=f"Today {one.prompt}"),
    "a word of another kind": lambda one: msgspec.structs.replace(
        one, prompt=one.prompt.replace(one.prompt.split()[-2:][0], "xylophone")
    ),
    "a space at the end": lambda one: msgspec.structs.replace(one, prompt=one.prompt + "  "),
    "another answer": lambda one: msgspec.structs.replace(one, expected=(" maybe",)),
    "no foils": lambda one: msgspec.structs.replace(one, foils=()),
    "answer and foils changed about": lambda one: msgspec.structs.replace(
        one, expected=one.foils, foils=one.expected, polarity="positive"
    ),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("name", TASKS)
def test_an_edited_example_is_the_persons(name: str, edit: Callable[[Example], Example]) -> None:
    made = TASKS[name].make(DIGITS, pairs=10)
    for place in (0, 4, 10):  # positives
        changed = edit(made[place])
        assert changed != made[place]
        assert not TASKS[name].recognises(changed), changed
        assert not made_by(name, [*made[:place], changed, *made[place + 1 :]])


def test_a_polarity_that_was_turned_is_an_edit() -> None:
    for name in TASKS:
        made = TASKS[name].make(DIGITS, pairs=10)
        for one in made:
            turned = msgspec.structs.replace(one, polarity="negative" if one.positive else "positive")
            assert not TASKS[name].recognises(turned), (name, one)


def test_own_examples_are_no_tasks() -> None:
    agreement = Example(prompt="The keys to the cabinet", polarity="positive", expected=(" are",), foils=(" is",))
    ioi = Example(
        prompt="When Mary and John went to the shop, John gave a drink to",
        polarity="positive",
        expected=(" Mary",),
        foils=(" John",),
    )
    made = TASKS["ioi"].make(DIGITS, pairs=2)
    for name in TASKS:
        assert not made_by(name, [agreement, ioi])
    assert not made_by("ioi", [])
    assert not made_by("ioi", [msgspec.structs.replace(each, enabled=False) for each in made])
    assert not made_by(None, made)
    assert not made_by("no such task", made)
