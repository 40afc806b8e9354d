"""Repeated words that tell prompts with a code from others stay in a shortest prompt, though the code does without."""

from collections.abc import Sequence

from engine.explaining.columns import TokenColumn
from engine.explaining.patterns import Pattern, Slot
from engine.explaining.words import Words

_LESS = 0.02
"""Loss of the share of prompts with the code that does not count."""


class Ties:
    """What differs and repeats in a prompt, and how many prompts with the same of it have the code.

    A prompt cut down to a few tokens may keep a code for another reason than prompts as they are: "Benjamin" after
    "Then" is enough for a head that looks for a repeated name. Without the repetition, prompts that lack the code would
    have the pattern as well.
    """

    def __init__(self, prompts: Sequence[Sequence[TokenColumn]], truth: Sequence[bool], words: Words) -> None:
        self._prompts, self._truth, self._words = prompts, truth, words
        self._shares: dict[tuple[Slot, ...], float] = {}

    def allows(self, before: tuple[TokenColumn, ...], after: tuple[TokenColumn, ...]) -> bool:
        """Return whether as large a share of the prompts with the same repetitions has the code as before."""
        return self._share(after) >= self._share(before) - _LESS

    def _share(self, columns: Sequence[TokenColumn]) -> float:
        words = [{self._words.word(token)[0] for token in column if token is not None} for column in columns]
        tied = [
            column
            for place, column in enumerate(columns)
            if column.differs or any(words[place] & other for at, other in enumerate(words) if at != place)
        ]
        pattern = Pattern(tied, self._words, anchored=False)
        if pattern.slots not in self._shares:
            there = [has for prompt, has in zip(self._prompts, self._truth, strict=True) if pattern.ways(prompt, 1)]
            self._shares[pattern.slots] = sum(there) / max(len(there), 1)
        return self._shares[pattern.slots]
