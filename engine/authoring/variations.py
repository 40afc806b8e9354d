"""New pairs made of those that are there: words of a class exchanged for others of it, alike in all texts of a pair.

Light to import: whether the model can do what is proposed only the model says (`holds` judges its grades).
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
"""Pairs that are added where none is missing and no number is named."""
MOST_SOURCES = 64
"""Pairs that others are made of."""
_LONGEST = 20_000
"""Characters of a prompt that is varied."""
_TRIES = 40
"""Draws in a row that give nothing new before a pair counts as used up."""
_OPENING = "Words:"
_WORDS_AT_ONCE = 12
"""In a trial: few enough for the smallest model, many enough for few prompts."""
Source = tuple[Example, ...]
"""A positive and its negative, or one example without a partner."""


class Variation(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal: the examples, and the place of their source among the sources."""

    examples: Source
    source: int


def sources(examples: Sequence[Example]) -> tuple[Source, ...]:
    """What new examples can be made of: the pairs; where there are none, the examples one by one.

    Left out are examples that take no part in runs, and templates. Raises ExampleError where nothing is left.
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
    """Prompts that hold every word that could be put in: as the model splits them, `single_words` tells which of these
    are one token."""
    words = list(dict.fromkeys(word for source in made_of for word in candidates(source)))
    return tuple(
        Example(prompt=" ".join((_OPENING, *words[at : at + _WORDS_AT_ONCE])), polarity="positive")
        for at in range(0, len(words), _WORDS_AT_ONCE)
    )


def single_words(tokens: Iterable[PromptTokens]) -> frozenset[str]:
    """The tokens of the trials that stand between spaces."""
    return frozenset(
        text.strip()
        for each in tokens
        for text, after in itertools.pairwise((*each.texts, " "))
        if text.startswith(" ") and after.startswith(" ")
    )


def variations(made_of: Sequence[Source], there: Iterable[Example], single: Container[str] = ()) -> Iterator[Variation]:
    """Proposals, one of each source in turn, the same for the same examples; none has a prompt of `there` or of another
    proposal. `single`: words that are one token, of which they are made as far as a class has some."""
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
    """The error for sources of which no proposal is made."""
    return ExampleError(
        "Nothing can be varied: no word of these examples is of a class whose words stand for each other (names, "
        "countries, cities, days, months, colours, animals, things, places, roles, numbers, arguments), or all "
        "variations are there already.",
        hint="Write a template: {thing} = stone, lamp in a line of its own, and {thing} in a pair of lines.",
    )


def holds(source: Source, own: Sequence[Grade], grades: Sequence[Grade]) -> bool:
    """Whether the model can do a proposal as a run wants it: positive ok, negative not broken (which it also is where
    an answer is not one token), and as many tokens on both sides where the source has that.

    Without an expected token there is nothing to grade.
    """
    for example, grade in zip(source, grades, strict=True):
        wanted = ("ok",) if example.positive else ("ok", "weak")
        if grade.verdict not in (wanted if example.expected else ("ungraded",)):
            return False
    was_equal = len({grade.n_tokens for grade in own}) == 1
    return not was_equal or len({grade.n_tokens for grade in grades}) == 1 or len(source) == 1


def gathered(held: Sequence[Source], wanted: int) -> tuple[Source, ...]:
    """The first `wanted` that can be added: pairs as they are, single examples one of each side at a time."""
    whole = [source for source in held if len(source) == 2]
    alone = [source[0] for source in held if len(source) == 1]
    sides = [[each for each in alone if each.positive is side] for side in (True, False)]
    return tuple([*whole, *zip(*sides, strict=False)][:wanted])


def _is_pair(members: Sequence[Example]) -> bool:
    return len(members) == 2 and members[0].positive is not members[1].positive


def _drawn(source: Source, single: Container[str]) -> Iterator[Substitution]:
    """Substitutions without end; none where the source has nothing to vary."""
    rng = random.Random("\n".join(each.prompt for each in source))
    return substitutions(source, rng, single)


def _next_new(source: Source, draws: Iterator[Substitution], seen: set[str]) -> Source | None:
    """The next proposal whose prompts are all new; None where the source is used up."""
    for _, draw in zip(range(_TRIES), draws, strict=False):
        new = tuple(draw.apply(each) for each in source)
        prompts = [each.prompt for each in new]
        if seen.isdisjoint(prompts) and len(set(prompts)) == len(prompts):
            return new
    return None
