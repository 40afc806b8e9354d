"""Search of the palette: entries by their title, other words, key and description, the best first."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

_WORDS = re.compile(r"[^\W_]+(?:\.\d+)?")
_FILLERS = frozenset(
    _WORDS.findall(
        "a an and are at be can do does for from get have how i in into is it me my of on or please so that the this "
        "to want was what when where which with"
    )
)
_LENGTH = 200
"""Characters of a query that are read."""
_FEW = 3
"""With fewer entries that have every word, those with some of them are listed, too."""
_IN_TEXT = 0.2
"""Value of a word that is only in the text of what an entry opens."""
_TEXT_ALONE = 0.75 * _IN_TEXT
"""Score of an entry that has the query only there; as few of them are listed."""
_CLOSE = 0.8
"""Least similarity (difflib) of a misspelt word."""


class PaletteEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the palette."""

    id: str
    """An action's full id, or KIND:NAME, as in node:26.0 and doc:docs/sql.md."""
    title: str
    detail: str = ""
    words: tuple[str, ...] = ()
    """Other words and phrases it is found by."""
    keys: tuple[str, ...] = ()
    """Display names of its keys; typing one finds the entry."""
    label: str = ""
    """What is shown for the title, such as the title and the key; empty: the title."""
    text: frozenset[str] = frozenset()
    """Words of what it opens (cut_words); they count least."""
    weight: float = 1.0
    """Factor of its score: what is used more often precedes."""
    disabled: bool = False
    do: Callable[[], object] = msgspec.field(default=lambda: None)

    @property
    def shown(self) -> str:
        return self.label or self.title


class _Indexed(msgspec.Struct, frozen=True):
    """An entry with its words, cut."""

    entry: PaletteEntry
    title: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]
    """The other words, one tuple a phrase."""
    other: frozenset[str]
    """All words of the phrases."""
    detail: frozenset[str]


class EntryIndex:
    """Entries that can be searched. Scores are between 0 and 1."""

    def __init__(self, entries: Iterable[PaletteEntry]) -> None:
        self._all = [_index(entry) for entry in entries]
        self._vocabulary: list[str] | None = None
        self._known: set[str] = set()

    def search(self, query: str, *, limit: int, recent: Sequence[str] = ()) -> list[tuple[float, PaletteEntry]]:
        """Return the entries that match with their scores, the best first; equal ones in the order they came in.

        Entries that have every word of the query, as a whole or as its beginning, precede; if they are few, those
        follow that have some of them, where a rare word counts more than one that many entries have. A word that no
        entry has is replaced by the closest one.
        """
        typed = query.strip()[:_LENGTH]
        words = cut_words(typed)
        if not typed:
            return []
        bonus = {name: 0.03 * (1 - place / (len(recent) + 1)) for place, name in enumerate(recent)}
        words = tuple(self._mend(word) for word in words)
        found = self._score(typed, words, bonus)
        if sum(not entry.text for _, entry in found) < _FEW and len(words) > 1:
            there = {entry.id for _, entry in found}
            found += [pair for pair in self._score_some(words) if pair[1].id not in there]
        found.sort(key=lambda pair: -pair[0])
        weak = [pair for pair in found if pair[0] <= _TEXT_ALONE]
        return [*found[: len(found) - len(weak)], *weak[:_FEW]][:limit]

    def _score(
        self, typed: str, words: tuple[str, ...], bonus: Mapping[str, float]
    ) -> list[tuple[float, PaletteEntry]]:
        scored = []
        for indexed in self._all:
            score = _score(indexed, typed, words)
            if score:
                entry = indexed.entry
                # A disabled action is still an answer, below an enabled one that is as good.
                scored.append((score * entry.weight * (0.98 if entry.disabled else 1) + bonus.get(entry.id, 0), entry))
        return scored

    def _score_some(self, words: tuple[str, ...]) -> list[tuple[float, PaletteEntry]]:
        """Score entries that have some of the words, weighted by how rare each is among the entries."""
        values = [[_value(indexed, word) for word in words] for indexed in self._all]
        n = len(self._all)
        rarity = [math.log((n + 1) / (1 + sum(row[place] > 0 for row in values))) for place in range(len(words))]
        whole = sum(rarity) or 1.0
        return [
            (0.5 * indexed.entry.weight * sum(v * r for v, r in zip(row, rarity, strict=True)) / whole, indexed.entry)
            for indexed, row in zip(self._all, values, strict=True)
            if any(row)
        ]

    def _mend(self, word: str) -> str:
        """Return the closest known word; the word itself if it is known, short or like none."""
        if self._vocabulary is None:
            # Names of sessions and numbers of runs are no vocabulary to choose from, but not misspelt either.
            words = {word for each in self._all for word in (*each.title, *each.other, *each.detail)}
            self._vocabulary = sorted(word for word in words if word.isalpha())
            self._known = words.union(*(each.entry.text for each in self._all))
        if len(word) < 4 or not word.isalpha() or word in self._known:
            return word
        if any(each.startswith(word) for each in self._vocabulary):
            return word
        close = difflib.get_close_matches(word, self._vocabulary, n=1, cutoff=_CLOSE)
        return close[0] if close else word


@lru_cache(maxsize=20_000)
def cut_words(text: str) -> tuple[str, ...]:
    """Cut a text into comparable words: lower case, singular, American spelling, without filler words."""
    words = [_stem(word) for word in _WORDS.findall(text.casefold())]
    return tuple(word for word in words if word not in _FILLERS) or tuple(words)


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    word = word.replace("colour", "color")
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is", "as")):
        word = word[:-1]
    for ending in ("ing", "ed", "e"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending)
    return word


def _index(entry: PaletteEntry) -> _Indexed:
    phrases = tuple(cut_words(phrase) for phrase in entry.words)
    other = frozenset(word for phrase in phrases for word in phrase)
    # Parts that many entries share, such as a model's name, are cut once.
    detail = frozenset(word for part in entry.detail.split(" · ") for word in cut_words(part))
    return _Indexed(entry, cut_words(entry.title), phrases, other, detail)


def _score(indexed: _Indexed, typed: str, words: tuple[str, ...]) -> float:
    """Return how well an entry matches, 0 to 1; 0 if it lacks one of the words."""
    if typed in indexed.entry.keys:
        return 1.0
    if not words:
        return 0.0
    if words == indexed.title:
        return 0.97
    if words in indexed.phrases:
        # The first phrases are the usual words for it.
        return 0.95 - 0.002 * indexed.phrases.index(words)
    total = 0.0
    for word in words:
        value = _value(indexed, word)
        if not value:
            return 0.0
        total += value
    score = 0.75 * total / len(words)
    in_one = max((_cover(phrase, words) for phrase in (indexed.title, *indexed.phrases)), default=0.0)
    return score + 0.15 * in_one


def _value(indexed: _Indexed, word: str) -> float:
    if word in indexed.title:
        return 1.0
    if word in indexed.other:
        return 0.9
    if any(each.startswith(word) for each in indexed.title):
        return 0.85
    if any(each.startswith(word) for each in indexed.other):
        return 0.75
    if word in indexed.detail:
        return 0.5
    if len(word) > 2 and any(each.startswith(word) for each in indexed.detail):
        return 0.35
    if len(word) > 5:
        # Another form of the word: comparison for compare.
        stem = word[: max(5, round(0.6 * len(word)))]
        if any(each.startswith(stem) for each in (*indexed.title, *indexed.other)):
            return 0.3
    return _IN_TEXT if word in indexed.entry.text else 0.0


def _cover(phrase: tuple[str, ...], words: tuple[str, ...]) -> float:
    """Return which share of a phrase the words make up, if all of them are in it or begin a word of it."""
    if not phrase or not all(any(each.startswith(word) for each in phrase) for word in words):
        return 0.0
    return min(len(words) / len(phrase), 1.0)
