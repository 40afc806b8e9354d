"""Gendered pronouns: a name, and the matching pronoun in the tag question."""

import random

from engine.examples import Example
from engine.tasks.base import PairDraft, Splitter, Task, collect, need, spaced_words
from engine.tasks.recognise import filled_in, one_answer
from engine.tasks.words import FEMALE, MALE, NEUTRAL, ROLES

TEMPLATES = (
    "So {name} is a really great {role}, isn't",
    "I think {name} is a very good {role}, isn't",
    "Well, {name} was a wonderful {role}, wasn't",
)


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Make pairs in which the negative is about someone of unknown gender."""
    she = need(spaced_words(splitter, FEMALE), 6, "female names", "gendered_pronoun")
    he = need(spaced_words(splitter, MALE), 6, "male names", "gendered_pronoun")
    neutral = need(spaced_words(splitter, NEUTRAL), 1, "neutral words (someone, everyone)", "gendered_pronoun")
    roles = need(spaced_words(splitter, ROLES), 3, "roles", "gendered_pronoun")

    def draw() -> PairDraft:
        template, role = rng.choice(TEMPLATES), rng.choice(roles)
        names, expected, foil = (she, " she", " he") if rng.random() < 0.5 else (he, " he", " she")
        return PairDraft(
            positive=template.format(name=rng.choice(names), role=role),
            negative=template.format(name=rng.choice(neutral), role=role),
            expected=(expected,),
            foils=(foil,),
        )

    return collect("gendered_pronoun", splitter, pairs, draw)


def recognise(example: Example) -> bool:
    """Return True for a tag question about a name (in a negative: someone) that expects the name's pronoun."""
    found, answers = filled_in(example.prompt, TEMPLATES, {"role": ROLES}), one_answer(example)
    if found is None or answers is None or set(answers) != {"she", "he"}:
        return False
    if not example.positive:
        return found["name"] in NEUTRAL
    return found["name"] in (FEMALE if answers[0] == "she" else MALE)


TASK = Task(
    name="gendered_pronoun",
    title="Gendered pronouns",
    description="A name and a tag question: she or he. Negative: someone in place of the name.",
    metric="logit_difference",
    maker=make,
    recogniser=recognise,
)
