"""Addition: a sum of two two-digit numbers in which the ones carry; the tens digit is asked for."""

import random
import re

from engine.errors import TaskError
from engine.examples import Example
from engine.tasks.base import PairDraft, Splitter, Task, collect

CARRYING = tuple(
    (a, b) for a in range(10, 90) for b in range(10, 90) if a % 10 + b % 10 >= 10 and a + b <= 99
)  # two digits, so that the answer begins with the tens
_QUESTION = re.compile(r"([1-9]\d)\+([1-9]\d)=", re.ASCII)


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Make pairs in which the negative has another ones digit in the second number, so that nothing is carried.

    The answer is the tens digit with the carry, the foil the one without: for 37+48= 8 against 7; in 37+42= nothing is
    carried. A tokenizer with one token for two digits is asked for the whole sum, 85, against the 75 without the carry.
    """
    whole = _asks_for_the_sum(splitter)

    def draw() -> PairDraft:
        a, b = rng.choice(CARRYING)
        other = b - b % 10 + rng.randrange(10 - a % 10)
        answer, foil = (a + b, a + b - 10) if whole else ((a + b) // 10, (a + b) // 10 - 1)
        return PairDraft(positive=f"{a}+{b}=", negative=f"{a}+{other}=", expected=(str(answer),), foils=(str(foil),))

    return collect("addition", splitter, pairs, draw)


def _asks_for_the_sum(splitter: Splitter) -> bool:
    """Return True if two digits are one token after the =, False if each digit is one. Raises TaskError otherwise."""
    pieces = splitter.pieces("37+48=85")
    if pieces[-1] == "85":
        return True
    if pieces[-2:] == ("8", "5"):
        return False
    raise TaskError(
        f"addition: this model's tokenizer splits '37+48=85' as '{'|'.join(pieces)}'; the task needs the digits after "
        "the = as a token or two of their own.",
        hint="Choose another task (headcode tasks) or another model (headcode models list).",
    )


def recognise(example: Example) -> bool:
    """Return True for a sum that expects its tens digit, or all of it, with the carry against without.

    In a negative nothing is carried, and the answer is that of the sum with a larger ones digit.
    """
    found = _QUESTION.fullmatch(example.prompt)
    if found is None or len(example.expected) != 1 or len(example.foils) != 1:
        return False
    a, b = int(found[1]), int(found[2])
    answer, foil = example.expected[0], example.foils[0]
    tens = a // 10 + b // 10 + 1
    if tens > 9 or (a % 10 + b % 10 >= 10) != example.positive:
        return False
    # With the carry the ones of the sum are fewer than those of either number.
    ones = [(a + b) % 10] if example.positive else range(a % 10)
    known = {(str(tens), str(tens - 1))} | {(f"{tens}{one}", f"{tens - 1}{one}") for one in ones}
    return (answer, foil) in known


TASK = Task(
    name="addition",
    title="Addition",
    description="A sum of two-digit numbers: the tens digit with the carry. Negative: nothing is carried.",
    metric="logit_difference",
    maker=make,
    recogniser=recognise,
)
