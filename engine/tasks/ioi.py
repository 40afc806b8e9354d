"""Indirect objects: of two people, one gives something to the other; name the other."""

import random

from engine.examples import Example
from engine.results import Reference
from engine.tasks.base import PairDraft, Splitter, Task, collect, need, spaced_words
from engine.tasks.recognise import filled_in, one_answer
from engine.tasks.words import FEMALE, MALE, OBJECTS, PLACES

TEMPLATES = (
    "Then {first} and {second} went to the {place}. {giver} gave a {object} to",
    "When {first} and {second} got a {object} at the {place}, {giver} decided to give it to",
    "After {first} and {second} left the {place}, {giver} handed a {object} to",
    "While {first} and {second} were at the {place}, {giver} showed a {object} to",
    "The friends {first} and {second} found a {object} near the {place}. {giver} passed it to",
    "Yesterday {first} and {second} met at the {place}, and {giver} offered a {object} to",
)

PUBLISHED = Reference(
    name="indirect objects in GPT-2 small",
    source="Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593 (all 26 heads of figure 2)",
    heads=(
        *((0, 1), (0, 10), (2, 2), (3, 0), (4, 11), (5, 5), (5, 8), (5, 9), (6, 9)),
        *((7, 3), (7, 9), (8, 6), (8, 10)),
        # 9.0 is the authors'; a table that circulated later has 11.3 instead.
        *((9, 0), (9, 6), (9, 7), (9, 9), (10, 0), (10, 1), (10, 2), (10, 6), (10, 7), (10, 10)),
        *((11, 2), (11, 9), (11, 10)),
    ),
)


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Make pairs in which the negative's giver is a third person, so that either of the two could receive."""
    names = need(spaced_words(splitter, (*FEMALE, *MALE)), 12, "names", "ioi")
    objects = need(spaced_words(splitter, OBJECTS), 4, "objects", "ioi")
    places = need(spaced_words(splitter, PLACES), 4, "places", "ioi")

    def draw() -> PairDraft:
        template = rng.choice(TEMPLATES)
        first, second, third = rng.sample(list(names), 3)
        giver, receiver = (first, second) if rng.random() < 0.5 else (second, first)
        rest = {"first": first, "second": second, "object": rng.choice(objects), "place": rng.choice(places)}
        return PairDraft(
            positive=template.format(giver=giver, **rest),
            negative=template.format(giver=third, **rest),
            expected=(f" {receiver}",),
            foils=(f" {giver}",),
        )

    return collect("ioi", splitter, pairs, draw)


def recognise(example: Example) -> bool:
    """Return True if two people meet, one of them (in a negative: a third) gives, and the other is expected."""
    names = {*FEMALE, *MALE}
    words = {"first": names, "second": names, "giver": names, "object": OBJECTS, "place": PLACES}
    found, answers = filled_in(example.prompt, TEMPLATES, words), one_answer(example)
    if found is None or answers is None:
        return False
    pair = {found["first"], found["second"]}
    if len(pair) != 2 or pair != set(answers):
        return False
    return found["giver"] == answers[1] if example.positive else found["giver"] not in pair


TASK = Task(
    name="ioi",
    title="Indirect objects",
    description="Two people, one of them gives: the next word is the other's name. Negative: a third person gives.",
    metric="logit_difference",
    maker=make,
    recogniser=recognise,
    published=(("gpt2", PUBLISHED),),
)
