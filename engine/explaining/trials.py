"""Try other words in the places of a shortest prompt: which keep the code, by the model itself."""

import random
from collections.abc import Sequence
from typing import Literal

import msgspec

from engine.explaining.alternatives import ReadTokens
from engine.explaining.columns import TokenColumn
from engine.explaining.patterns import Pattern
from engine.explaining.shortening import Margins
from engine.explaining.words import Words

_NEAREST, _RANDOM, _SEEN, _SEEN_THERE, _ATLAS = 10, 8, 4, 10, 8
"""Words tried in a place: nearest for the node, drawn from the vocabulary, of the prompts, of places that differ, and
of the atlas.
"""
_TOGETHER = 48
"""Trials in which all words are others at once."""
_MOST_TRIALS = 240
"""Of one word each: patterns of many words try fewer of each."""


WordSource = Literal["prompts", "vocabulary", "atlas", "all"]
"""prompts: also those nearest for the node; vocabulary: drawn from the whole of it; all: of trials of several words."""


class Trial(msgspec.Struct, frozen=True):
    """Words in the slots of a pattern, and whether the code was kept."""

    tokens: tuple[int, ...]
    """Of each word of the pattern."""
    changed: int | None
    """The one that is another; None: more than one."""
    source: WordSource
    """Where it was taken from."""
    kept: bool


class WordSources(msgspec.Struct, frozen=True, kw_only=True):
    """Where words to try are taken from."""

    reads: ReadTokens
    seen: tuple[int, ...]
    """Tokens of the prompts that are learnt from, without duplicates."""
    seen_there: tuple[int, ...]
    """Those of them in places where the sides of a pair differ."""
    vocabulary: int
    atlas: tuple[int, ...] = ()
    """Tokens that the node has to do with in ordinary text."""


def try_words(
    pattern: Pattern, margins: Margins, words: Words, sources: WordSources, source: random.Random
) -> list[Trial]:
    """Return the trials: each word of the pattern replaced alone, then all at once."""
    n_words = len(pattern.tokens)
    per_word = _NEAREST + _RANDOM + _SEEN + _SEEN_THERE + (_ATLAS if sources.atlas else 0)
    share = min(1.0, _MOST_TRIALS / n_words / per_word)
    choices = [_choices(token, words, sources, source, share) for token in pattern.tokens]
    planned: list[tuple[dict[int, int], int | None, WordSource]] = []
    for index, found in enumerate(choices):
        planned += [({index: token}, index, name) for name, tokens in found.items() for token in tokens]
    if n_words > 1:
        pools = [
            [each for tokens in found.values() for each in tokens] or [token]
            for found, token in zip(choices, pattern.tokens, strict=True)
        ]
        for _ in range(_TOGETHER):
            planned.append(({index: source.choice(pool) for index, pool in enumerate(pools)}, None, "all"))
    written: list[tuple[TokenColumn, ...]] = []
    tried = []
    for change, alone, name in planned:
        columns = pattern.with_words(change)
        if columns is not None:
            written.append(columns)
            tokens = tuple(change.get(each, token) for each, token in enumerate(pattern.tokens))
            tried.append((tokens, alone, name))
    return [
        Trial(tokens, alone, name, margin > 0)
        for (tokens, alone, name), margin in zip(tried, margins(written), strict=True)
    ]


def _choices(
    token: int, words: Words, sources: WordSources, source: random.Random, share: float
) -> dict[WordSource, list[int]]:
    """Return words to try in the place of this one, by where they were taken from."""
    own = words.word(token)[0]
    used = {own}

    def new(tokens: Sequence[int], most: int) -> list[int]:
        found: list[int] = []
        for each in tokens:
            word = words.word(each)[0]
            if len(found) >= max(2, round(most * share)):
                break
            if word not in used and words.is_plain(each) and words.token(word, like=token) is not None:
                used.add(word)
                found.append(each)
        return found

    near = new(sources.reads.nearest(token, 4 * _NEAREST), _NEAREST)
    there = new(source.sample(sources.seen_there, len(sources.seen_there)), _SEEN_THERE)
    seen = new(source.sample(sources.seen, len(sources.seen)), _SEEN)
    drawn = new(source.sample(range(sources.vocabulary), min(sources.vocabulary, 60 * _RANDOM)), _RANDOM)
    return {
        "prompts": [*near, *there, *seen],
        "vocabulary": drawn,
        "atlas": new(source.sample(sources.atlas, len(sources.atlas)), _ATLAS),
    }
