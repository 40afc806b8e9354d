"""Facts: the capital of a country, beside a neighbour that shares the words."""

# ruff: noqa: SIM905  (words read better as text than as a hundred quoted strings)

import random

from engine.examples import Example
from engine.tasks.base import PairDraft, Splitter, Task, collect, need, single_tokens
from engine.tasks.recognise import filled_in, one_answer

TEMPLATES = (
    "Here are facts about {first} and {second}. The capital of {country} is",
    "They came from {first} and {second}. The capital of {country} is",
    "The map shows {first} and {second}, and the capital of {country} is",
)
CAPITALS = dict(
    pair.split(":")
    for pair in """France:Paris Germany:Berlin Italy:Rome Spain:Madrid England:London Russia:Moscow Japan:Tokyo
    China:Beijing Egypt:Cairo Greece:Athens Ireland:Dublin Poland:Warsaw Austria:Vienna Norway:Oslo Denmark:Copenhagen
    Finland:Helsinki Sweden:Stockholm Portugal:Lisbon Belgium:Brussels Hungary:Budapest Cuba:Havana Iran:Tehran
    Iraq:Baghdad Turkey:Ankara Syria:Damascus Lebanon:Beirut Jordan:Amman Qatar:Doha Kenya:Nairobi Ghana:Accra
    Libya:Tripoli Uganda:Kampala Canada:Ottawa Australia:Canberra Peru:Lima Chile:Santiago Venezuela:Caracas
    Thailand:Bangkok Vietnam:Hanoi Nepal:Kathmandu Afghanistan:Kabul Indonesia:Jakarta Taiwan:Taipei Serbia:Belgrade
    Romania:Bucharest Bulgaria:Sofia Croatia:Zagreb Scotland:Edinburgh""".split()
)
"""Capitals that are undisputed and one word; the best known first."""


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Make pairs in which the negative asks for the other country's capital.

    Both countries stand in both prompts, as CounterFact+ puts the subject of one fact before the question for another
    (Hoelscher-Obermaier et al. 2023, arXiv:2305.17553): a head that answers to the word alone tells nothing apart.
    """
    known = [
        country
        for country, capital in CAPITALS.items()
        if len(single_tokens(splitter, (f" {country}", f" {capital}"))) == 2
    ]
    countries = need(known, 8, "countries with their capitals", "facts")

    def draw() -> PairDraft:
        template, (asked, other) = rng.choice(TEMPLATES), rng.sample(list(countries), 2)
        first, second = (asked, other) if rng.random() < 0.5 else (other, asked)
        return PairDraft(
            positive=template.format(first=first, second=second, country=asked),
            negative=template.format(first=first, second=second, country=other),
            expected=(f" {CAPITALS[asked]}",),
            foils=(f" {CAPITALS[other]}",),
        )

    return collect("facts", splitter, pairs, draw)


def recognise(example: Example) -> bool:
    """Return True if the capital of one of two countries (in a negative: of the other) is expected."""
    words = dict.fromkeys(("first", "second", "country"), CAPITALS)
    found, answers = filled_in(example.prompt, TEMPLATES, words), one_answer(example)
    if found is None or answers is None or found["first"] == found["second"]:
        return False
    if found["country"] not in (found["first"], found["second"]):
        return False
    other = found["second"] if found["country"] == found["first"] else found["first"]
    asked, beside = (found["country"], other) if example.positive else (other, found["country"])
    return answers == (CAPITALS[asked], CAPITALS[beside])


TASK = Task(
    name="facts",
    title="Facts",
    description="The capital of one of two countries. Negative: the same words, and the other country's capital.",
    metric="logit_difference",
    maker=make,
    recogniser=recognise,
)
