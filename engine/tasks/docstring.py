"""Docstring arguments: after two documented arguments, name the next one of the signature."""

import random
import re

from engine.examples import Example
from engine.results import Reference
from engine.tasks.base import PairDraft, Splitter, Task, collect, need, spaced_words
from engine.tasks.recognise import distinct, spaced
from engine.tasks.words import ARGUMENTS, FUNCTIONS, NOUNS

PUBLISHED = Reference(
    name="docstring arguments in attn-only-4l",
    source="Heimersheim and Janiak 2023, A circuit for Python docstrings in a 4-layer attention-only transformer",
    # 1.2 is the authors'; a table that circulated later has 1.0 instead.
    heads=((0, 5), (1, 2), (1, 4), (2, 0), (3, 0), (3, 6)),
)

MAX_BEFORE = 2
MAX_AFTER = 2
"""Maximum undocumented arguments around the three that count, so that the answer has no fixed position."""


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Make pairs in which the negative's signature has other argument names than its docstring."""
    arguments = need(spaced_words(splitter, dict.fromkeys(ARGUMENTS)), 16, "argument names", "docstring")
    nouns = need(spaced_words(splitter, NOUNS), 8, "nouns", "docstring")

    def draw() -> PairDraft:
        before, after = rng.randint(0, MAX_BEFORE), rng.randint(1, MAX_AFTER)
        n = before + 3 + after
        drawn = rng.sample(list(arguments), 2 * n)
        names, others = drawn[:n], drawn[n:]
        first, second, answer = names[before : before + 3]
        function, words = rng.choice(FUNCTIONS), rng.sample(list(nouns), 6)
        return PairDraft(
            positive=source_text(function, names, (first, second), words),
            negative=source_text(function, others, (first, second), words),
            expected=(f" {answer}",),
            foils=tuple(f" {name}" for name in names if name != answer),
        )

    return collect("docstring", splitter, pairs, draw)


def source_text(function: str, signature: list[str], documented: tuple[str, ...], words: list[str]) -> str:
    """Return a Python function up to the `:param` whose argument comes next; two words per line."""
    lines = [f"def {function}(self, {', '.join(signature)}):", f'    """{words[0]} {words[1]}', ""]
    for number, name in enumerate(documented, start=1):
        lines.append(f"    :param {name}: {words[2 * number]} {words[2 * number + 1]}")
    return "\n".join([*lines, "    :param"])


_SOURCE = re.compile(
    r"def (?P<function>\w+)\(self, (?P<names>\w+(?:, \w+)*)\):\n    \"\"\"(?P<title>\w+ \w+)\n\n"
    r"    :param (?P<first>\w+): (?P<one>\w+ \w+)\n    :param (?P<second>\w+): (?P<two>\w+ \w+)\n    :param"
)


def recognise(example: Example) -> bool:
    """Return True for a function whose docstring continues with the third of three consecutive arguments.

    In a negative the documented arguments are not in its signature. The third is expected against the others.
    """
    found = _SOURCE.fullmatch(example.prompt)
    if found is None or found["function"] not in FUNCTIONS or len(example.expected) != 1:
        return False
    words = " ".join((found["title"], found["one"], found["two"])).split(" ")
    names, documented = found["names"].split(", "), (found["first"], found["second"])
    if not distinct(words, NOUNS) or not distinct(names, ARGUMENTS):
        return False
    if not example.positive:
        answers = [text[1:] for text in (*example.expected, *example.foils) if text.startswith(" ")]
        fits = len(answers) == len(names) == 1 + len(example.foils) and 4 <= len(names) <= MAX_BEFORE + 3 + MAX_AFTER
        return fits and distinct([*names, *answers], ARGUMENTS) and {*documented} <= {*answers[1:]}
    for before in range(MAX_BEFORE + 1):
        row = names[before : before + 3]
        if len(row) == 3 and (row[0], row[1]) == documented and 1 <= len(names) - before - 3 <= MAX_AFTER:
            foils = spaced(name for name in names if name != row[2])
            return example.expected == spaced(row[2:]) and example.foils == foils
    return False


TASK = Task(
    name="docstring",
    title="Docstring arguments",
    description="A docstring lists a function's arguments in order. Negative: the signature has other arguments.",
    metric="logit_difference",
    maker=make,
    recogniser=recognise,
    published=(("attn-only-4l", PUBLISHED),),
)
