"""A prompt and its pair as columns of tokens, aligned at their ends, so that both are shortened alike."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.capture.code_reader import TokenPair
from engine.models.loading import Model


class TokenColumn(NamedTuple):
    """The tokens of both sides at one distance from the end; None where a side is shorter."""

    own: int | None
    other: int | None = None

    @property
    def differs(self) -> bool:
        """True if both sides were given and are not the same here."""
        return self.own != self.other


class Columns:
    """Turns pairs of prompts into columns and back. Tokens that the tokenizer puts before every text stay out."""

    def __init__(self, model: Model, *, paired: bool) -> None:
        self._before = tuple(model.tokens.before)
        self.paired = paired
        """False: prompts are read by themselves, and both sides of a column are the same token."""

    def of(self, pair: TokenPair) -> tuple[TokenColumn, ...]:
        """Return the columns of a pair."""
        own = list(pair.own[len(self._before) :])
        if not self.paired or pair.other is None:
            return tuple(TokenColumn(token, token) for token in own)
        other = list(pair.other[len(self._before) :])
        width = max(len(own), len(other))
        sides = [[None] * (width - len(side)) + side for side in (own, other)]
        return tuple(TokenColumn(*each) for each in zip(*sides, strict=True))

    def pair(self, columns: Sequence[TokenColumn]) -> TokenPair | None:
        """Return the prompts with these columns; None if a side has no token left."""
        own = [column.own for column in columns if column.own is not None]
        other = [column.other for column in columns if column.other is not None]
        if not own or not other:
            return None
        return TokenPair((*self._before, *own), (*self._before, *other) if self.paired else None)
