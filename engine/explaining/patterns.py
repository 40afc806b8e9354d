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
        for bound in self._fill(columns):
            found[tuple(bound[index] for index in range(len(self.tokens)))] = None
            if len(found) >= most:
                break
        return list(found)

    def _fill(self, columns: Sequence[TokenColumn]) -> Iterator[dict[int, int]]:
        steps = 0

        def fill(slot: int, end: int, bound: dict[int, int]) -> Iterator[dict[int, int]]:
            nonlocal steps
            if slot < 0:
                yield bound
                return
            last = slot == len(self.slots) - 1
            begin = end - 1 if last and self.anchored else slot
            for place in range(end - 1, begin - 1, -1):
                steps += 1
                if steps > _MOST_STEPS:
                    return
                more = self._bind(self.slots[slot], columns[place], bound)
                if more is not None:
                    yield from fill(slot - 1, place, more)

        yield from fill(len(self.slots) - 1, len(columns), {})

    def _bind(self, slot: Slot, column: TokenColumn, bound: dict[int, int]) -> dict[int, int] | None:
        """Return the words after this slot took this column; None if it cannot."""
        if slot.differs != column.differs:
            return None
        for index, token in ((slot.own, column.own), (slot.other, column.other)):
            if index is None or token is None:
                if index is not None or token is not None:
                    return None
                continue
            word = self.words.word(token)[0]
            if index in bound:
                if self.words.word(bound[index])[0] != word:
                    return None
            elif any(self.words.word(each)[0] == word for each in bound.values()):
                return None
            else:
                bound = {**bound, index: token}
        return bound
