"""Induction: a word is repeated; continue with what followed it the first time."""

import random

from engine.examples import Example
from engine.tasks.base import PairDraft, Splitter, Task, collect, need, spaced_words
from engine.tasks.recognise import distinct, spaced
from engine.tasks.words import NOUNS

LENGTHS = (8, 9, 10, 11, 12)
OPENING = "Words:"


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Make pairs in which the negative's list has another word at the first position of the repeated one."""
    nouns = need(spaced_words(splitter, NOUNS), 24, "nouns", "induction")

    def draw() -> PairDraft:
        n = rng.choice(LENGTHS)
        *words, other = rng.sample(list(nouns), n + 1)
        # The last two words cannot be repeated: the answer would be the text just read.
        at = rng.randrange(n - 2)
        cue, answer = words[at], words[at + 1]
        replaced = [*words[:at], other, *words[at + 1 :]]
        return PairDraft(
            positive=f"{OPENING} {' '.join(words)} {cue}",
            negative=f"{OPENING} {' '.join(replaced)} {cue}",
            expected=(f" {answer}",),
            foils=tuple(f" {word}" for word in words if word not in (cue, answer)),
        )

    return collect("induction", splitter, pairs, draw)


def recognise(example: Example) -> bool:
    """Return True for a list of distinct nouns with one of them repeated, whose successor is expected.

    In a negative the repeated word is not in the list. The foils are the rest of the list.
    """
    opening, *words = example.prompt.split(" ")
    *words, cue = words or [""]
    if opening != OPENING or len(words) not in LENGTHS or not distinct([*words, *({cue} - {*words})], NOUNS):
        return False
    for at in range(len(words) - 2):
        if (words[at] == cue) == example.positive and example.expected == spaced(words[at + 1 : at + 2]):
            others = [word for place, word in enumerate(words) if place not in (at, at + 1)]
            return (example.positive or cue not in words) and example.foils == spaced(others)
    return False


TASK = Task(
    name="induction",
    title="Induction",
    description="A list of words, then one of them again: the next is what followed it. Negative: it was not there.",
    metric="logit_difference",
    maker=make,
    recogniser=recognise,
)
