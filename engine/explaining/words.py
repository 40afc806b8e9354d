"""Tokens as words: the same word with and without a space before it counts as one."""

from functools import lru_cache

from engine.explaining.columns import TokenColumn
from engine.models.byte_tokens import SPACE_SIGN
from engine.models.loading import Model


class Words:
    """The words of a model's tokens."""

    def __init__(self, model: Model) -> None:
        self._tokens, self._tokenizer = model.tokens, model.tokenizer
        self._vocabulary = model.info.vocabulary
        self._special = {*map(int, getattr(model.tokenizer, "all_special_ids", ()))}
        self.word = lru_cache(maxsize=1 << 16)(self._word)
        self.of_columns = lru_cache(maxsize=1 << 12)(self._of_columns)
        self._numbers: dict[str, int] = {}

    def _word(self, token: int) -> tuple[str, bool]:
        """Return the word, and whether a space stands before it."""
        piece = self._piece(token)
        for sign in (SPACE_SIGN, "Ġ", " "):
            if piece.startswith(sign) and len(piece) > len(sign):
                return piece[len(sign) :], True
        return piece, False

    def _of_columns(self, columns: tuple[TokenColumn, ...]) -> list[tuple[int | None, ...]]:
        """Return the words of both sides of each column, as numbers; None where a side has no token."""

        def number(token: int | None) -> int | None:
            return None if token is None else self._numbers.setdefault(self.word(token)[0], len(self._numbers))

        return [(number(column.own), number(column.other)) for column in columns]

    def token(self, word: str, *, like: int) -> int | None:
        """Return the token of the word with a space before it as `like` has one; None if there is none."""
        _, spaced = self.word(like)
        if not spaced:
            return self._known(word)
        piece = self._piece(like)
        sign = next(sign for sign in (SPACE_SIGN, "Ġ", " ") if piece.startswith(sign))
        return self._known(sign + word)

    def of_text(self, text: str) -> int | None:
        """Return the token whose text this is (Model.token_words); None if there is none."""
        for sign in (SPACE_SIGN, "Ġ", " ") if text.startswith(" ") else ("",):
            token = self._known(sign + text[1:] if sign else text)
            if token is not None and self._tokens.words(token) == text:
                return token
        return None

    def is_plain(self, token: int) -> bool:
        """Return True for a token that can stand in a text: no special one, no part of a character."""
        if token in self._special or token >= self._vocabulary:
            return False
        text = self._tokens.words(token)
        return bool(text.strip()) and text.isprintable() and not text.startswith("<")

    def _known(self, piece: str) -> int | None:
        token = self._tokenizer.convert_tokens_to_ids(piece)
        if isinstance(token, int) and 0 <= token < self._vocabulary and self._piece(token) == piece:
            return token
        return None

    def _piece(self, token: int) -> str:
        return str(self._tokenizer.convert_ids_to_tokens(token))
