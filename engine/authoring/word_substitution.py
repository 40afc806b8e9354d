"""Replace words by others of their class, the same in both prompts of a pair and in all their answers."""

import random
import re
from collections.abc import Container, Iterator, Mapping, Sequence

import msgspec

from engine.authoring.number_shifts import Shift, shift_numbers, shift_series, threshold
from engine.examples import Example
from engine.tasks.word_classes import (
    ANIMALS,
    CAPITALS,
    CITIES,
    COLOURS,
    COUNTING,
    COUNTRIES,
    DAYS,
    MEN,
    MONTHS,
    MORE_FEMALE,
    MORE_MALE,
    WOMEN,
)
from engine.tasks.words import (
    ARGUMENTS,
    EVENTS,
    FEMALE,
    FUNCTIONS,
    MALE,
    NEUTRAL,
    NOUNS,
    OBJECTS,
    PLACES,
    ROLES,
)

TOKEN = re.compile(r"[^\W\d]\w*|(?<![\w.,])\d+(?!\w|[.,]\d)")
"""A word or a whole number. What follows an apostrophe is a separate word: John's contains John."""
_SIGNATURE = re.compile(r"\bdef\s+(\w+)\s*\(([^()]*)\)")
_ARGUMENT = re.compile(r"(?:^|,)\s*\**\s*([^\W\d]\w*)")
_RECEIVERS = ("self", "cls")
_Class = tuple[tuple[str, ...], tuple[str, ...]]
"""Words that are recognised, and those that replace them."""
_CLASSES: tuple[_Class, ...] = (
    ((*FEMALE, *MORE_FEMALE), FEMALE),
    ((*MALE, *MORE_MALE), MALE),
    *(
        (words, words)
        for words in (
            # "nobody" would invert the meaning
            tuple(word for word in NEUTRAL if word != "nobody"),
            *(COLOURS, ANIMALS, OBJECTS, PLACES, ROLES, WOMEN, MEN, EVENTS),
        )
    ),
    (NOUNS, tuple(word for word in NOUNS if word not in (*WOMEN, *MEN))),
)
"""A word belongs to the first class that contains it."""
_SERIES = ((DAYS, True), (MONTHS, True), (COUNTING, False))
"""Series, and whether the first word follows the last: all words of a series shift by one distance."""
_LEAST_COUNTING = 2
"""Distinct number words that make `one` a number and not a pronoun."""


class Substitution(msgspec.Struct, frozen=True, kw_only=True):
    """The replacement of each word."""

    words: Mapping[str, str]
    foils: Mapping[str, str]
    """In foils, applied before `words`: the rest of a whole series changes with the answer."""
    shift: Shift | None = None
    """Of the number that separates the expected answers from the foils."""

    def apply(self, example: Example) -> Example:
        """Replace all words of the example; the pair number is dropped."""
        prompt, expected, foils = example.prompt, example.expected, example.foils
        words = self.words
        if self.shift is not None:
            expected, foils = self.shift.expected, self.shift.foils
            words = {**words, self.shift.old: self.shift.new}
        else:
            expected = tuple(_put(text, words) for text in expected)
            foils = tuple(_put(text, {**words, **self.foils}) for text in foils)
        return Example(prompt=_put(prompt, words), polarity=example.polarity, expected=expected, foils=foils)


def substitutions(source: Sequence[Example], rng: random.Random, single: Container[str]) -> Iterator[Substitution]:
    """Yield random replacements of the words in the source, without end; none if nothing can be replaced.

    `single`: words that are one token; a class that has some draws only those.
    """
    texts = _PairWords(source, single)
    while True:
        drawn = texts.draw(rng)
        if not drawn.words and drawn.shift is None:
            return
        yield drawn


def candidates(source: Sequence[Example]) -> tuple[str, ...]:
    """Return all words that could replace one in the source."""
    texts = _PairWords(source, ())
    pools = [ARGUMENTS] if texts.arguments else []
    pools += [FUNCTIONS] if texts.functions else []
    pools += [COUNTRIES, CITIES] if texts.places else []
    pools += [pool for members, pool in _CLASSES if any(_belongs(word, members) for word in texts.there)]
    return tuple(dict.fromkeys(word for pool in pools for word in pool))


class _PairWords:
    """The words of a pair by their class."""

    def __init__(self, source: Sequence[Example], single: Container[str]) -> None:
        self.source = source
        self.single = single
        prompts = [each.prompt for each in source]
        self.expected = [text for each in source for text in each.expected]
        self.foils = [text for each in source for text in each.foils]
        self.text = "\n".join((*prompts, *self.expected, *self.foils))
        self.there = list(dict.fromkeys(TOKEN.findall(self.text)))
        self.lower = {word.lower() for word in self.there}
        self.arguments = list(dict.fromkeys(name for prompt in prompts for name in _arguments(prompt)))
        functions = [found[1] for prompt in prompts for found in _SIGNATURE.finditer(prompt)]
        self.functions = [name for name in dict.fromkeys(functions) if name in FUNCTIONS]
        self.asked = [word for prompt in (*prompts, *self.expected) for word in TOKEN.findall(prompt)]
        self.in_foils = [word for text in self.foils for word in TOKEN.findall(text)]
        self.places = [word for word in self.there if word in (*COUNTRIES, *CITIES, *CAPITALS.values())]
        self.cutoff = threshold(source)

    def draw(self, rng: random.Random) -> Substitution:
        words: dict[str, str] = {}
        foils: dict[str, str] = {}
        taken = set(self.lower)
        self._places(words, taken, rng)
        for names, pool in ((self.arguments, ARGUMENTS), (self.functions, FUNCTIONS)):
            for name in names:
                self._choose(name, pool, words, taken, rng)
        for members, around in _SERIES:
            own = {word for word in self.asked if word in members}
            if members is COUNTING and len(own) < _LEAST_COUNTING:
                continue
            found = shift_series(members, own, {word for word in self.in_foils if word in members}, around, rng)
            words.update(found[0])
            foils.update(found[1])
        for members, pool in _CLASSES:
            for word in self.there:
                if word not in words and _belongs(word, members):
                    self._choose(word, self._fitting(word, pool), words, taken, rng)
        if self.cutoff is not None:
            return Substitution(words=words, foils=foils, shift=self.cutoff.draw(rng))
        found = shift_numbers([each.prompt for each in self.source], self.expected, self.foils, rng)
        return Substitution(words={**words, **found[0]}, foils={**foils, **found[1]})

    def _places(self, words: dict[str, str], taken: set[str], rng: random.Random) -> None:
        """Replace countries and cities: a country and its capital change together."""
        for country in (word for word in self.places if word in COUNTRIES):
            capital = CAPITALS.get(country, "")
            linked = capital.lower() in self.lower
            pool = [other for other in COUNTRIES if not linked or CAPITALS.get(other, "").lower() not in {"", *taken}]
            self._choose(country, pool, words, taken, rng)
            if linked and country in words:
                words[capital] = CAPITALS[words[country]]
                taken.add(words[capital].lower())
        for city in (word for word in self.places if word not in COUNTRIES and word not in words):
            self._choose(city, CITIES, words, taken, rng)

    def _fitting(self, word: str, pool: Sequence[str]) -> Sequence[str]:
        """Return the words of the pool that fit the article before the word, if there is one."""
        if not re.search(rf"\b[Aa]n?\s+{re.escape(word)}\b", self.text):
            return pool
        return [other for other in pool if (other[0] in "aeiou") is (word[0].lower() in "aeiou")]

    def _choose(
        self, word: str, pool: Sequence[str], words: dict[str, str], taken: set[str], rng: random.Random
    ) -> None:
        """Record a word of the pool that is not in the pair yet, if there is one.

        Two spellings of a word get the same replacement.
        """
        same = next((old for old in words if old.lower() == word.lower()), None)
        if same is not None:
            words[word] = _spelled(words[same].lower(), word)
            return
        free = [other for other in pool if other.lower() not in taken]
        free = [other for other in free if other in self.single] or free
        if free:
            other = rng.choice(free)
            taken.add(other.lower())
            words[word] = _spelled(other, word) if other.islower() else other


def _arguments(prompt: str) -> Iterator[str]:
    """Yield argument names in function signatures, without a method's receiver."""
    for signature in _SIGNATURE.finditer(prompt):
        for found in _ARGUMENT.finditer(signature[2]):
            if found[1] not in _RECEIVERS:
                yield found[1]


def _belongs(word: str, members: Sequence[str]) -> bool:
    """Return True if the word is a member, also capitalised or in capitals."""
    lower = word.lower()
    return word in members or (lower in members and word in (lower.capitalize(), lower.upper()))


def _spelled(other: str, word: str) -> str:
    if len(word) > 1 and word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def _put(text: str, words: Mapping[str, str]) -> str:
    return TOKEN.sub(lambda found: words.get(found[0], found[0]), text)
