"""Turn prompts and answers into tokens with a model's tokenizer: the only place where text becomes ids."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from engine.examples import answer_text
from engine.models.byte_tokens import SPACE_SIGN, UNREADABLE, byte_words, pieces_of, read_bytes, written_bytes

_LONG = 400
"""Characters of a prompt above which answers are encoded with only its end, if that gives the same tokens."""
_END = 200


class EncodedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of a prompt."""

    ids: list[int]
    own: list[bool]
    """True for the text's own tokens, False for those the tokenizer added."""
    doubled: tuple[int, ...] = ()
    """Leading tokens of the prompt that the tokenizer adds itself: kept only once."""


class AnswerTokens(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of an expected text or a foil."""

    ids: tuple[int, ...]
    joined: bool = False
    """True if its beginning merges with the prompt's last token: the ids are those of the answer by itself."""


class Tokens:
    """A tokenizer, and the tokens it adds around every text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        bare, whole = self.own("a"), self._ids("a", special=True)
        places = (n for n in range(len(whole) - len(bare) + 1) if whole[n : n + len(bare)] == bare)
        place = next(places, None)
        self.before: tuple[int, ...] = () if place is None else tuple(whole[:place])
        """What it adds before every text."""
        self.behind: tuple[int, ...] = () if place is None else tuple(whole[place + len(bare) :])
        """What it adds after every text: an end or a separator, where a language model would have to continue."""
        self._added: dict[str, int] = dict(self.tokenizer.get_added_vocab())
        self._unknown: int | None = getattr(tokenizer, "unk_token_id", None)
        self._special = set(getattr(tokenizer, "all_special_ids", ()))
        self._texts: dict[int, str] = {}
        # Tasks ask for the same few hundred words in every run: 15 ms where nothing is kept.
        self._split = lru_cache(maxsize=1 << 14)(self._pieces)
        first = self._piece(bare[0]) if bare else ""
        self._prepends = first.startswith(SPACE_SIGN)
        """True if a text by itself is tokenized as if a space came before it."""

    def own(self, text: str) -> list[int]:
        """Return the text's own ids."""
        return self._ids(text, special=False)

    def encode(self, text: str) -> EncodedPrompt:
        """Encode a prompt.

        Tokens the tokenizer adds before the text are kept, once; those after it are left out, so that the last token is
        the text's own and the model's answer follows it.
        """
        own, before = self.own(text), self.before
        doubled = 0
        while before and (same := _overlap(before, own[doubled:])):
            doubled += same
        ids = [*before, *own[doubled:]]
        return EncodedPrompt(
            ids=ids,
            own=[False] * len(before) + [True] * (len(own) - doubled),
            doubled=tuple(own[:doubled]),
        )

    def answers(self, prompt: str, texts: Sequence[str]) -> list[AnswerTokens]:
        """Return each text's tokens after the prompt: what follows the prompt's ids in the encoding of both together.

        If the answer's beginning merges with the prompt's last token (a space at the prompt's end, digits), the answer
        is encoded by itself. A text with a character missing from the vocabulary has no tokens. The name of a special
        token, and bytes as tokens are displayed (<e6 97>), mean that token, unless the text is a single token as it is.
        """
        if not texts:
            return []
        before, context = self.own(prompt), prompt
        if len(prompt) > _LONG:
            context = self._end_of(prompt, before)
            before = before if context is prompt else self.own(context)
        whole = [answer_text(prompt, text) for text in texts]
        both = self.tokenizer([context + each for each in whole], add_special_tokens=False, verbose=False)["input_ids"]
        found = []
        for text, spaced, ids in zip(texts, whole, both, strict=True):
            joined = ids[: len(before)] != before
            answer = AnswerTokens(ids=tuple(self.alone(spaced) if joined else ids[len(before) :]), joined=joined)
            if self._unknown in answer.ids:
                answer = AnswerTokens(ids=())
            named = None if len(answer.ids) == 1 and not joined else self._named(text)
            found.append(answer if named is None else AnswerTokens(ids=(named,)))
        return found

    def alone(self, text: str) -> list[int]:
        """Return the ids of a text inside another, without the space that some tokenizers add before every text."""
        if self._prepends and text.startswith(" "):
            return self.own(text[1:])
        ids = self.own(text)
        if self._prepends and ids:
            piece = self._piece(ids[0])
            if piece == SPACE_SIGN:
                return ids[1:]
            inner = self._token(piece.removeprefix(SPACE_SIGN))
            return ids if inner is None else [inner, *ids[1:]]
        return ids

    def pieces(self, text: str) -> tuple[str, ...]:
        """Return the texts of the text's own tokens (tasks.base.Splitter).

        A text that begins with a space is treated as the middle of a sentence.
        """
        return self._split(text)

    def _pieces(self, text: str) -> tuple[str, ...]:
        if self._prepends and text.startswith(" "):
            return tuple(self.text(token) for token in self.own(text[1:]))
        return tuple(self.text(token, begins=not place) for place, token in enumerate(self.own(text)))

    def text(self, token: int, *, begins: bool = False) -> str:
        """Return a token's text; a decoder may drop the leading space of a token that begins a text."""
        if begins or token in self._special:
            return self._decode([token])
        if token not in self._texts:
            text = self._decode([token])
            if not text.startswith(" ") and UNREADABLE not in text:
                twice = self._decode([token, token])
                text = twice[len(text) :] if twice.startswith(text) and twice.endswith(text) else text
            self._texts[token] = text
        return self._texts[token]

    def words(self, token: int, *, begins: bool = False) -> str:
        """Return the token's text, but write a token that is part of a character as its bytes: <e6 97>."""
        text = self.text(token, begins=begins)
        if UNREADABLE not in text:
            return text
        return byte_words(self._piece(token)) or text

    def typed(self, prompt: str, token: int) -> str | None:
        """Return what to type as an answer after the prompt to get exactly this token; None if nothing does."""
        words = self.words(token).strip(" ")
        ways = [words, written_bytes(self.text(token).encode())] if words else []
        found = zip(ways, self.answers(prompt, ways), strict=True)
        return next((way for way, answer in found if answer.ids == (token,)), None)

    def _end_of(self, prompt: str, ids: list[int]) -> str:
        """Return the prompt's end if its tokens are the same as in the prompt; else the whole prompt."""
        cut = prompt.rfind(" ", 0, len(prompt) - _END)
        end = prompt[cut:] if cut > 0 else prompt
        tail = self.own(end)
        return end if len(tail) > 1 and ids[-len(tail) + 1 :] == tail[1:] else prompt

    def _named(self, text: str) -> int | None:
        if text in self._added:
            return self._added[text]
        raw = read_bytes(text)
        for piece in pieces_of(raw) if raw else ():
            token = self._token(piece)
            if token is not None and (UNREADABLE in (shown := self.text(token)) or shown.encode() == raw):
                return token
        return None

    def _token(self, piece: str) -> int | None:
        token = self.tokenizer.convert_tokens_to_ids(piece) if piece else None
        return token if isinstance(token, int) and self._piece(token) == piece else None

    def _piece(self, token: int) -> str:
        return str(self.tokenizer.convert_ids_to_tokens(token))

    def _ids(self, text: str, *, special: bool) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def _decode(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        return text


def _overlap(before: Sequence[int], own: Sequence[int]) -> int:
    """Return how many tokens at the end of `before` the text begins with."""
    return next((n for n in range(min(len(before), len(own)), 0, -1) if list(before[-n:]) == list(own[:n])), 0)
