"""Make new pairs from existing ones: words are replaced by others of their class, in all texts of a pair alike.

Light to import: only the model can tell whether it can do a proposal (`is_usable` judges its grades).
"""

import itertools
import random
from collections.abc import Container, Iterable, Iterator, Sequence

import msgspec

from engine.authoring.readiness import templates_in
from engine.authoring.word_substitution import Substitution, candidates, substitutions
from engine.errors import ExampleError
from engine.examples import Example
from engine.results import Grade, PromptTokens

MORE = 4
"""Pairs that are added if none is missing and no number is given."""
MOST_SOURCES = 64
"""Maximum number of pairs to make others from."""
_LONGEST = 20_000
"""Maximum characters of a prompt that is varied."""
_TRIES = 40
"""Consecutive draws without a new result after which a pair counts as used up."""
_OPENING = "Words:"
_WORDS_AT_ONCE = 12
"""Words per trial: few enough for the smallest model, many enough for few prompts."""
Source = tuple[Example, ...]
"""A positive and its negative, or one example without a partner."""


class Variation(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal: the examples, and the index of their source."""

    examples: Source
    source: int


def sources(examples: Sequence[Example]) -> tuple[Source, ...]:
    """Return what new examples can be made from: the pairs; if there are none, the single examples.

    Disabled examples and templates are left out. Raises ExampleError if nothing is left.
    """
    templates = templates_in(examples)
    use = [each for place, each in enumerate(examples) if each.enabled and place not in templates]
    use = [each for each in use if len(each.prompt) <= _LONGEST]
    sides: dict[int, list[Example]] = {}
    for each in use:
        if each.pair is not None:
            sides.setdefault(each.pair, []).append(each)
    pairs = [tuple(sorted(both, key=lambda each: not each.positive)) for both in sides.values() if _is_pair(both)]
    found = tuple(pairs or [(each,) for each in use])[:MOST_SOURCES]
    if not found:
        raise ExampleError(
            "There is no example yet that others could be made of.",
            hint="Write one pair: + prompt => expected | foil, and a - line with the same pair number.",
        )
    return found


def trials(made_of: Sequence[Source]) -> tuple[Example, ...]:
    """Return prompts that contain every candidate word: `single_words` finds those the model reads as one token."""
    words = list(dict.fromkeys(word for source in made_of for word in candidates(source)))
    return tuple(
        Example(prompt=" ".join((_OPENING, *words[at : at + _WORDS_AT_ONCE])), polarity="positive")
        for at in range(0, len(words), _WORDS_AT_ONCE)
    )


def single_words(tokens: Iterable[PromptTokens]) -> frozenset[str]:
    """Return the tokens of the trials that are between spaces."""
    return frozenset(
        text.strip()
        for each in tokens
        for text, after in itertools.pairwise((*each.texts, " "))
        if text.startswith(" ") and after.startswith(" ")
    )


def variations(made_of: Sequence[Source], there: Iterable[Example], single: Container[str] = ()) -> Iterator[Variation]:
    """Yield proposals, one per source in turn, deterministic; none repeats a prompt of `there` or of another proposal.

    `single`: words that are one token, which are preferred in a class that has some.
    """
    seen = {each.prompt for each in there}
    drawing = [(place, _drawn(source, single), source) for place, source in enumerate(made_of)]
    while drawing:
        for one in tuple(drawing):
            place, draws, source = one
            new = _next_new(source, draws, seen)
            if new is None:
                drawing.remove(one)
                continue
            seen.update(each.prompt for each in new)
            yield Variation(examples=new, source=place)


def nothing_to_vary() -> ExampleError:
    """Return the error for sources that give no proposal."""
    return ExampleError(
        "Nothing can be varied: no word of these examples is of a class whose words can replace each other (names, "
        "countries, cities, days, months, colours, animals, things, places, roles, numbers, arguments), or all "
        "variations are there already.",
        hint="Write a template: {thing} = stone, lamp in a line of its own, and {thing} in a pair of lines.",
    )


def is_usable(source: Source, own: Sequence[Grade], grades: Sequence[Grade]) -> bool:
    """Return True if the model can do a proposal: positive ok, negative not broken.

    A negative is also broken if an answer is not one token. Both sides must have as many tokens if the source's have.
    Without an expected token there is nothing to grade.
    """
    for example, grade in zip(source, grades, strict=True):
        wanted = ("ok",) if example.positive else ("ok", "weak")
        if grade.verdict not in (wanted if example.expected else ("ungraded",)):
            return False
    was_equal = len({grade.n_tokens for grade in own}) == 1
    return not was_equal or len({grade.n_tokens for grade in grades}) == 1 or len(source) == 1


def usable_variations(held: Sequence[Source], wanted: int) -> tuple[Source, ...]:
    """Return the first `wanted` that can be added: pairs as they are, single examples one of each side at a time."""
    whole = [source for source in held if len(source) == 2]
    alone = [source[0] for source in held if len(source) == 1]
    sides = [[each for each in alone if each.positive is side] for side in (True, False)]
    return tuple([*whole, *zip(*sides, strict=False)][:wanted])


def _is_pair(members: Sequence[Example]) -> bool:
    return len(members) == 2 and members[0].positive is not members[1].positive


def _drawn(source: Source, single: Container[str]) -> Iterator[Substitution]:
    """Yield substitutions without end; none if the source has nothing to vary."""
    rng = random.Random("\n".join(each.prompt for each in source))
    return substitutions(source, rng, single)


def _next_new(source: Source, draws: Iterator[Substitution], seen: set[str]) -> Source | None:
    """Return the next proposal with only new prompts; None if the source is used up."""
    for _, draw in zip(range(_TRIES), draws, strict=False):
        new = tuple(draw.apply(each) for each in source)
        prompts = [each.prompt for each in new]
        if seen.isdisjoint(prompts) and len(set(prompts)) == len(prompts):
            return new
    return None
