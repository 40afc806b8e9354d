"""Swapped identifiers: after Python swaps two builtins, each does what the other did."""

import random
import re

from engine.examples import Example
from engine.tasks.base import PairDraft, Splitter, Task, collect, need, spaced_words
from engine.tasks.recognise import one_answer

BUILTINS = {
    "len": "Return the number of {names}.",
    "sum": "Return the total of the {names}.",
    "max": "Return the largest of the {names}.",
    "min": "Return the smallest of the {names}.",
    "sorted": "Return the {names} in ascending order.",
    "set": "Return the {names} without duplicates.",
    "any": "Return True if one of the {names} is true.",
    "all": "Return True if all of the {names} are true.",
}
"""Builtins of one argument, and what they return."""
FUNCTIONS = ("f", "run", "get", "test", "go", "do")
ARGUMENTS = ("items", "values", "numbers", "data", "results", "rows")
TEMPLATE = '{left}, {right} = {new_left}, {new_right}\n\ndef {function}({names}):\n    """{about}"""\n    return'
_SOURCE = re.compile(
    r"(?P<left>\w+), (?P<right>\w+) = (?P<new_left>\w+), (?P<new_right>\w+)\n\n"
    r'def (?P<function>\w+)\((?P<names>\w+)\):\n    """(?P<about>[^"\n]+)"""\n    return'
)


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Make pairs in which the negative assigns each builtin to itself.

    After `len, sum = sum, len` the number of items is sum(items): large models say len all the same (Miceli-Barone et
    al. 2023, arXiv:2305.15507).
    """
    builtins = need(spaced_words(splitter, BUILTINS), 4, "builtins", "identifier_swap")

    def draw() -> PairDraft:
        asked, other = rng.sample(list(builtins), 2)
        left, right = (asked, other) if rng.random() < 0.5 else (other, asked)
        names = rng.choice(ARGUMENTS)
        rest = {"function": rng.choice(FUNCTIONS), "names": names, "about": BUILTINS[asked].format(names=names)}
        return PairDraft(
            positive=TEMPLATE.format(left=left, right=right, new_left=right, new_right=left, **rest),
            negative=TEMPLATE.format(left=left, right=right, new_left=left, new_right=right, **rest),
            expected=(f" {other}",),
            foils=(f" {asked}",),
        )

    return collect("identifier_swap", splitter, pairs, draw)


def recognise(example: Example) -> bool:
    """Return True for a function whose builtin was swapped (in a negative: not) with the one that is expected."""
    found, answers = _SOURCE.fullmatch(example.prompt), one_answer(example)
    if found is None or answers is None:
        return False
    left, right, names = found["left"], found["right"], found["names"]
    new = (right, left) if example.positive else (left, right)
    if left == right or {left, right} != {*answers} or (found["new_left"], found["new_right"]) != new:
        return False
    if found["function"] not in FUNCTIONS or names not in ARGUMENTS or answers[1] not in BUILTINS:
        return False
    return answers[0] in BUILTINS and found["about"] == BUILTINS[answers[1]].format(names=names)


TASK = Task(
    name="identifier_swap",
    title="Swapped identifiers",
    description="Python swaps two builtins and needs one: it has the other's name. Negative: nothing is swapped.",
    metric="logit_difference",
    maker=make,
    recogniser=recognise,
)
