"""Patterns: what a prompt has to contain to get a code, made of a shortest prompt that has it."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from engine.explaining.columns import TokenColumn
from engine.explaining.words import Words

_MOST_STEPS = 5_000
"""Of the search for a pattern in one prompt; the ways found until then count."""


class Slot(msgspec.Struct, frozen=True):
    """A place of a pattern: which of its words stands there, by index; None: nothing on that side."""

    own: int | None
    other: int | None

    @property
    def differs(self) -> bool:
        return self.own != self.other


class Pattern:
    """Slots in this order, with any number of tokens between them; a word stands in all of its slots.

    Equal words of the shortest prompt, on either side, are one word of the pattern: that a name comes twice is part of
    it, and which name it is need not be.
    """

    def __init__(self, columns: Sequence[TokenColumn], words: Words, *, anchored: bool) -> None:
        """`anchored`: the last slot is the prompt's end, where the node is read."""
        self.columns, self.words, self.anchored = tuple(columns), words, anchored
        self.tokens: list[int] = []
        """The first token of each word."""
        places: dict[str, int] = {}

        def place(token: int | None) -> int | None:
            if token is None:
                return None
            word, _ = words.word(token)
            if word not in places:
                places[word] = len(self.tokens)
                self.tokens.append(token)
            return places[word]

        self.slots = tuple(Slot(place(column.own), place(column.other)) for column in columns)

    def with_words(self, tokens: Mapping[int, int]) -> tuple[TokenColumn, ...] | None:
        """Return the shortest prompt with other words, by index; None if it cannot be written or two would be one."""
        new = {index: self.words.word(token)[0] for index, token in enumerate(self.tokens)}
        new |= {index: self.words.word(token)[0] for index, token in tokens.items()}
        if len(set(new.values())) < len(new):
            return None
        found = []
        for column, slot in zip(self.columns, self.slots, strict=True):
            sides: list[int | None] = []
            for token, index in zip(column, (slot.own, slot.other), strict=True):
                if token is None or index is None:
                    sides.append(None)
                    continue
                written = self.words.token(new[index], like=token) if index in tokens else token
                if written is None:
                    return None
                sides.append(written)
            found.append(TokenColumn(*sides))
        return tuple(found)

    def ways(self, columns: Sequence[TokenColumn], most: int) -> list[tuple[int, ...]]:
        """Return the ways in which the pattern is in a prompt, at most so many: for each word its token there.

        Any word can stand in a slot, as long as equal words are equal, different ones different, and both sides differ
        where they do in the pattern.
        """
        found: dict[tuple[int, ...], None] = {}
        for tokens in self._fill(columns):
            found[tuple(tokens)] = None
            if len(found) >= most:
                break
        return list(found)

    def _fill(self, columns: Sequence[TokenColumn]) -> Iterator[Sequence[int]]:
        """Yield the ways, tried from the end; every word is bound where it is met first."""
        there = self.words.of_columns(tuple(columns))
        bound: list[int | None] = [None] * len(self.tokens)
        tokens = [0] * len(self.tokens)
        used: set[int] = set()
        steps = 0

        def fill(slot: int, end: int) -> Iterator[Sequence[int]]:
            nonlocal steps
            if slot < 0:
                yield tokens
                return
            pattern = self.slots[slot]
            sides, differs = (pattern.own, pattern.other), pattern.own != pattern.other
            last = slot == len(self.slots) - 1
            for place in range(end - 1, (end - 2 if last and self.anchored else slot - 1), -1):
                steps += 1
                if steps > _MOST_STEPS:
                    return
                if differs != columns[place].differs:
                    continue
                new = []
                for index, word, token in zip(sides, there[place], columns[place], strict=True):
                    if index is None or word is None or token is None:
                        if index is not None or word is not None:
                            break
                    elif bound[index] is None:
                        if word in used:
                            break
                        bound[index], tokens[index] = word, token
                        used.add(word)
                        new.append(index)
                    elif bound[index] != word:
                        break
                else:
                    yield from fill(slot - 1, place)
                for index in new:
                    used.discard(bound[index])
                    bound[index] = None

        yield from fill(len(self.slots) - 1, len(columns))
