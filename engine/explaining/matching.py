"""Say whether a pattern is in a prompt: its slots are there, and words that keep the code stand in them."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.explaining.alternatives import ReadTokens
from engine.explaining.columns import TokenColumn
from engine.explaining.patterns import Pattern

_NEAREST = 2
"""Fillings on either side that a new one is compared with."""
_MOST_WAYS = 256
Vector = NDArray[np.float32]


class Filling(msgspec.Struct, frozen=True):
    """Words that stood in the pattern's slots, and whether the node had the code."""

    tokens: tuple[int, ...]
    kept: bool
    prompt: int | None = None
    """The prompt in which they stood, by number; None: the shortest prompt, with other words."""


class Matcher:
    """Compares the words in a prompt with fillings whose code is known, by what the node reads of them."""

    def __init__(self, pattern: Pattern, fillings: Sequence[Filling], reads: ReadTokens) -> None:
        self.pattern, self._reads = pattern, reads
        self.threshold = math.inf
        """A prompt has the pattern from this score on."""
        self._fillings = tuple(fillings)
        self._kept = np.array([each.kept for each in fillings], dtype=bool)
        self._prompts = np.array([-1 if each.prompt is None else each.prompt for each in fillings])
        tokens = np.array([each.tokens for each in fillings])
        self._known = [self._vectors(tokens[:, index].tolist()) for index in range(tokens.shape[1])]
        self._alike: list[dict[int, Vector]] = [{} for _ in self._known]

    def with_prompts(self, prompts: Sequence[Sequence[TokenColumn]], truth: Sequence[bool]) -> "Matcher":
        """Return a matcher that also knows the best filling of each of these prompts."""
        more = []
        for number, (columns, has) in enumerate(zip(prompts, truth, strict=True)):
            _, way = self.best(columns)
            if way:
                more.append(Filling(way, has, number))
        return Matcher(self.pattern, [*self._fillings, *more], self._reads)

    def matches(self, columns: Sequence[TokenColumn]) -> bool:
        return self.best(columns)[0] >= self.threshold

    def best(self, columns: Sequence[TokenColumn], *, without: int | None = None) -> tuple[float, tuple[int, ...]]:
        """Return how much nearer the best filling is to those with the code than to those without, and the filling.

        -inf: the prompt has no such slots. `without`: leave out what was seen in this prompt.
        """
        use = np.ones(len(self._fillings), dtype=bool) if without is None else self._prompts != without
        ways = self.pattern.ways(columns, _MOST_WAYS)
        return max(((self._score(way, use), way) for way in ways), default=(-math.inf, ()))

    def _score(self, way: tuple[int, ...], use: NDArray[np.bool_]) -> float:
        alike = np.mean([self._similar(index, token) for index, token in enumerate(way)], axis=0)
        kept, lost = (np.sort(alike[side & use])[-_NEAREST:] for side in (self._kept, ~self._kept))
        if not len(kept):
            return -1.0
        return float(kept.mean() - (lost.mean() if len(lost) else 0.0))

    def _similar(self, index: int, token: int) -> Vector:
        found = self._alike[index].get(token)
        if found is None:
            found = self._alike[index][token] = self._known[index] @ self._vectors([token])[0]
        return found

    def _vectors(self, tokens: Sequence[int]) -> Vector:
        return self._reads.vectors(tokens).cpu().numpy().astype(np.float32)
