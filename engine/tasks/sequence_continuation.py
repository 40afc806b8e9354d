"""Sequence continuation: digits, number words and months in order."""

# ruff: noqa: SIM905  (as in words.py)

import itertools
import random

from engine.errors import TaskError
from engine.examples import Example
from engine.tasks.base import PairDraft, Splitter, Task, collect, spaced_words

DIGITS = tuple(str(n) for n in range(1, 10))
NUMBERS = tuple("one two three four five six seven eight nine ten eleven twelve".split())
MONTHS = tuple("January February March April May June July August September October November December".split())
SERIES = {"Digits": DIGITS, "Numbers": NUMBERS, "Months": MONTHS}

LENGTHS = (4, 5)
LEAST = 8
"""Minimum consecutive items of a series that must be single tokens; otherwise the series is left out."""


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Make pairs in which the negative shows items of the same series out of order, the last one included."""
    usable = {name: items for name, items in ((n, _run(splitter, s)) for n, s in SERIES.items()) if items}
    # Where a digit is never merged with its space (Llama), the prompt ends in the space and the digit is expected.
    bare = "Digits" not in usable and splitter.pieces("1 2") == ("1", " ", "2")
    if bare:
        usable["Digits"] = list(DIGITS)
    if not usable:
        raise TaskError(
            "sequence_continuation: this model's tokenizer has neither digits, nor number words, nor months as "
            f"single tokens; the task needs {LEAST} neighbours of one of them.",
            hint="Choose another task (headcode tasks) or another model (headcode models list).",
        )

    def draw() -> PairDraft:
        name = rng.choice(list(usable))
        items, n = usable[name], rng.choice(LENGTHS)
        start = rng.randrange(len(items) - n)
        answer = items[start + n]
        shuffled = _aimless(rng, items, n, answer)
        space, lead = (" ", "") if bare and name == "Digits" else ("", " ")
        return PairDraft(
            positive=f"{name}: {' '.join(items[start : start + n])}{space}",
            negative=f"{name}: {' '.join(shuffled)}{space}",
            expected=(lead + answer,),
            foils=tuple(lead + item for item in items if item != answer),
        )

    return collect("sequence_continuation", splitter, pairs, draw)


def _run(splitter: Splitter, items: tuple[str, ...]) -> list[str]:
    """Return the series up to its first item that is not one token after a space; empty if that is too short."""
    single = set(spaced_words(splitter, items))
    run = next((list(items[:n]) for n, item in enumerate(items) if item not in single), list(items))
    return run if len(run) >= LEAST else []


def _aimless(rng: random.Random, items: list[str], n: int, answer: str) -> list[str]:
    """Return `n` distinct items, no two neighbours one step apart, whose last is not followed by the answer."""
    while True:
        places = rng.sample(range(len(items)), n)
        steps = [later - earlier for earlier, later in itertools.pairwise(places)]
        if all(abs(step) > 1 for step in steps) and items.index(answer) - places[-1] != 1:
            return [items[place] for place in places]


def recognise(example: Example) -> bool:
    """Return True for items of one series in order (in a negative: out of order), with the next one expected.

    The foils are the other items that the tokenizer has.
    """
    name, colon, rest = example.prompt.partition(":")
    items = SERIES.get(name)
    if items is None or not colon or len(example.expected) != 1:
        return False
    bare = name == "Digits" and rest.endswith(" ")
    shown = rest.removesuffix(" ").removeprefix(" ").split(" ")
    lead = "" if bare else " "
    answer = example.expected[0].removeprefix(lead)
    by_text = {f"{lead}{item}": item for item in items}
    known = [by_text[text] for text in (*example.foils, *example.expected) if text in by_text]
    # The first items of a series are used, as far as the tokenizer has them.
    usable = items[: len(known)]
    foils = tuple(f"{lead}{item}" for item in usable if item != answer)
    if len(shown) not in LENGTHS or len(usable) < LEAST or answer not in usable or example.foils != foils:
        return False
    if any(item not in usable for item in shown) or len(set(shown)) != len(shown):
        return False
    places = [usable.index(item) for item in shown]
    steps = [later - earlier for earlier, later in itertools.pairwise(places)]
    if example.positive:
        return set(steps) == {1} and usable.index(answer) - places[-1] == 1
    return all(abs(step) > 1 for step in steps) and usable.index(answer) - places[-1] != 1


TASK = Task(
    name="sequence_continuation",
    title="Sequence continuation",
    description="Digits, number words or months in order: the next one. Negative: no order.",
    metric="logit_difference",
    maker=make,
    recogniser=recognise,
)
