"""Shift numbers, and words of a series, by one distance, so that their relations stay true."""

import random
import re
from collections.abc import Iterable, Sequence

import msgspec

from engine.examples import Example

Maps = tuple[dict[str, str], dict[str, str]]
"""Replacements in prompts and expected answers; and in foils, where they differ."""
_ARITHMETIC = re.compile(r"\d\s*[-+*/=<>\u00d7\u00f7\u2212]|[-+*/=<>\u00d7\u00f7\u2212]\s*\d")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?!\w|[.,]\d)")
_YEARS = (1000, 2025)
_SMALL = 100
_FARTHEST = 20
"""Maximum shift of numbers below a hundred."""
_WHOLE = 4
"""Answers and foils together that, without gaps, count as a whole series: the foils are its rest."""
_RANGE = 2
"""Number of expected numbers that make a range."""


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Another number in the positive, and the answers above and below it."""

    old: str
    new: str
    expected: tuple[str, ...]
    foils: tuple[str, ...]


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """A number whose expected answers are those above its last digits and whose foils are the others."""

    number: str
    answers: tuple[str, ...]
    """All of them, ascending."""

    def draw(self, rng: random.Random) -> Shift | None:
        """Draw another number with the same beginning and at least a tenth of the answers on either side.

        None if there is none.
        """
        width = len(self.answers[0].strip())
        values = [int(text) for text in self.answers]
        edge = max(1, len(values) // 10)
        free = [value for value in values[edge:-edge] if value != int(self.number[-width:])]
        if not free:
            return None
        at = rng.choice(free)
        return Shift(
            old=self.number,
            new=f"{self.number[:-width]}{at:0{width}}",
            expected=tuple(text for text in self.answers if int(text) > at),
            foils=tuple(text for text in self.answers if int(text) <= at),
        )


def threshold(source: Sequence[Example]) -> Threshold | None:
    """Return the number in the positive (and not in its negative) that separates the answers; None if there is none."""
    first = source[0]
    answers = (*first.expected, *first.foils)
    if not _is_range(first.expected) or not all(_is_number(text) for text in answers):
        return None
    if any((each.expected, each.foils) != (first.expected, first.foils) for each in source):
        return None
    ordered = tuple(sorted(answers, key=int))
    widths = {len(text.strip()) for text in answers}
    if len(widths) > 1 or len(set(ordered)) < len(answers):
        return None
    width = widths.pop()
    positive, others = (
        dict.fromkeys(number for each in source if each.positive is side for number in _NUMBER.findall(each.prompt))
        for side in (True, False)
    )
    found = [
        number
        for number in positive
        if number not in others and len(number) > width and _separates(number[-width:], first)
    ]
    return Threshold(number=found[0], answers=ordered) if len(found) == 1 else None


def shift_series(
    series: Sequence[str], own: Iterable[str], foils: Iterable[str], around: bool, rng: random.Random
) -> Maps:
    """Shift the words of a series in prompts and expected answers, and in foils, by one distance."""
    at = {word: place for place, word in enumerate(series)}
    asked, others = [at[word] for word in own], [at[word] for word in foils]
    if not asked:
        return {}, {}
    n = len(series)
    if around:
        by = rng.randrange(1, n)
        return {series[place]: series[(place + by) % n] for place in sorted({*asked, *others})}, {}
    moved = _moved(asked, others, 0, n - 1, n, rng)
    return tuple({series[old]: series[new] for old, new in each.items()} for each in moved)  # type: ignore[return-value]


def shift_numbers(prompts: Sequence[str], expected: Sequence[str], foils: Sequence[str], rng: random.Random) -> Maps:
    """Shift years within their century, else numbers below a hundred.

    Numbers in arithmetic, and expected answers that are a range of numbers, are left as they are.
    """
    if _is_range(expected) or any(_ARITHMETIC.search(prompt) for prompt in prompts):
        return {}, {}
    shown = [text for prompt in prompts for text in _NUMBER.findall(prompt)]
    answered = [[text for each in side for text in _NUMBER.findall(each)] for side in (expected, foils)]
    every = [*shown, *answered[0], *answered[1]]
    years = [text for text in every if _is_year(text)]
    if years:
        if any(not _is_year(text) for side in answered for text in side):
            return {}, {}  # an answer that is the rest of a year, or its age
        found = sorted({int(year) for year in years})
        low = max(-(year % 100) for year in found)
        high = min(min(99 - year % 100, _YEARS[1] - year) for year in found)
        steps = [by for by in range(low, high + 1) if by]
        by = rng.choice(steps) if steps else 0
        return ({str(year): str(year + by) for year in found}, {}) if by else ({}, {})
    small = [text for text in every if len(text) < 3 and (text == "0" or text[0] != "0")]
    if not small or len(small) < len(every):
        return {}, {}
    lowest, highest = min(map(int, small)), max(map(int, small))
    asked = [int(text) for text in (*shown, *answered[0])]
    if not asked:
        return {}, {}
    moved = _moved(
        asked, [int(text) for text in answered[1]], min(lowest, 1), 9 if highest < 10 else _SMALL - 1, _FARTHEST, rng
    )
    return tuple({str(old): str(new) for old, new in each.items()} for each in moved)  # type: ignore[return-value]


def _moved(
    asked: Sequence[int], foils: Sequence[int], low: int, high: int, farthest: int, rng: random.Random
) -> tuple[dict[int, int], dict[int, int]]:
    """Shift positions by one distance within low and high; foils that are the rest of a series become its new rest."""
    own = sorted(set(asked))
    answers = set(foils)
    span = range(min((*answers, *own)), max((*answers, *own)) + 1)
    # A rest: all of a range but the answers, which the prompts may contain as well.
    missing = [place for place in span if place not in answers]
    if len(span) >= _WHOLE and len(answers) >= _WHOLE - 1 and set(missing) <= set(own):
        by = _distance(own, span[0], span[-1], farthest, rng)
        if by:
            left = [place for place in span if place - by not in missing]
            return {place: place + by for place in own}, dict(zip(sorted(answers), left, strict=True))
    held = sorted({*own, *answers})
    by = _distance(held, low, high, farthest, rng)
    return ({place: place + by for place in held} if by else {}), {}


def _distance(held: Sequence[int], low: int, high: int, farthest: int, rng: random.Random) -> int:
    """Draw a shift of positions, ascending, within low and high; 0 if there is none."""
    steps = [by for by in range(low - held[0], high - held[-1] + 1) if by and abs(by) <= farthest]
    return rng.choice(steps) if steps else 0


def _is_year(text: str) -> bool:
    return len(text) == 4 and _YEARS[0] <= int(text) <= _YEARS[1]


def _is_number(text: str) -> bool:
    return text.strip().isdecimal() and text.strip().isascii()


def _is_range(expected: Sequence[str]) -> bool:
    return len({text for text in expected if _is_number(text)}) >= _RANGE


def _separates(end: str, example: Example) -> bool:
    at = int(end)
    return (
        all(int(text) > at for text in example.expected)
        and all(int(text) <= at for text in example.foils)
        and any(int(text) == at for text in example.foils)
    )
