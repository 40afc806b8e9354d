"""Passages of a corpus in a model's tokens, and passages of random tokens that come twice."""

import hashlib
import random

import msgspec

from engine.corpora.corpora import Corpus
from engine.corpora.passages import passages, spread
from engine.errors import ConfigError
from engine.models.loading import Model

LENGTH = 128
"""Tokens of a passage at most, if the model reads as many."""
RANDOM_PASSAGES = 16
_CHARACTERS_PER_TOKEN = 6
"""Passages are cut a little longer than needed, so that most fill their length."""
_LEAST = 4
_TRIED = 64
_SPARE = 1.15
_MOST_DIFFERENT = 50


class Passages(msgspec.Struct, frozen=True, kw_only=True):
    """What is read, in tokens. All begin with what the tokenizer adds before a text."""

    text: list[list[int]]
    random: list[list[int]]
    n_before: int
    """Tokens that the tokenizer adds before every text."""
    key: str
    """Hash of all tokens."""

    @property
    def n_own(self) -> int:
        """Tokens of the text itself."""
        return sum(len(each) - self.n_before for each in self.text)


def make_passages(model: Model, corpus: Corpus, tokens: int) -> Passages:
    """Return passages from all over the corpus with about `tokens` tokens, fewer if it has no more.

    Raises ConfigError if the corpus gives no passage, or tokens that the model has no embedding for.
    """
    length = min(LENGTH, model.info.context)
    before = list(model.tokens.before)
    room = length - len(before)
    cut = passages(corpus.texts, room * _CHARACTERS_PER_TOKEN)
    tried = [len(_encode(model, cut[place], length)) - len(before) for place in spread(len(cut), _TRIED)]
    mean = max(sum(tried) / max(len(tried), 1), 1.0)
    found: list[list[int]] = []
    n_own = 0
    for place in spread(len(cut), int(_SPARE * tokens / mean) + 1):
        ids = _encode(model, cut[place], length)
        if len(ids) - len(before) < _LEAST:
            continue
        found.append(ids)
        n_own += len(ids) - len(before)
        if n_own >= tokens:
            break
    if not found:
        raise ConfigError(
            f"The corpus {corpus.name} has no passage of {_LEAST} tokens for {model.info.name}.",
            hint="Give a longer text.",
        )
    unknown = model.unknown_token(token for ids in found for token in ids)
    if unknown is not None:
        raise ConfigError(f"The corpus {corpus.name} has {unknown}.", hint="Give the model its own tokenizer.")
    twice = _random(found, before, room)
    key = hashlib.sha256(msgspec.json.encode([found, twice])).hexdigest()
    return Passages(text=found, random=twice, n_before=len(before), key=key)


def _encode(model: Model, text: str, length: int) -> list[int]:
    return model.encode(text)[0][:length]


def _random(found: list[list[int]], before: list[int], room: int) -> list[list[int]]:
    """Return passages of different tokens of the text in random order, and then in the same order again."""
    own = sorted({token for ids in found for token in ids[len(before) :]})
    half = min(room // 2, len(own), _MOST_DIFFERENT)
    if half < _LEAST:
        return []
    rng = random.Random("atlas")
    drawn = [rng.sample(own, half) for _ in range(RANDOM_PASSAGES)]
    return [[*before, *ids, *ids] for ids in drawn]
