"""Resample the examples of runs over checkpoints, so that a transition's interval covers other examples.

All checkpoints of a draw have the same examples, so they are drawn once for the whole curve: examples that a model
learns late are late at every checkpoint. What is drawn are parts of the examples (engine.events.EffectsPart).
"""

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

Counts = tuple[int, ...]
"""How often each part of a draw's examples was drawn."""


class PartOfRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run measured on a part of its examples."""

    n_examples: int
    base: float
    values: Mapping[str, float]


class PairDone(msgspec.Struct, frozen=True):
    """Whether the model can do a pair, and whether its positive was trained on; None: not known."""

    done: bool
    trained: bool | None = None


class Resamples:
    """Draws with replacement of the parts of every draw's examples, the same for all curves over them."""

    def __init__(self, parts: Mapping[str, int], n: int, *, seed: int) -> None:
        """`parts`: by draw of the examples, the number of its parts. `n`: how many resamples."""
        rng = random.Random(seed)
        self._counts: list[dict[str, Counts]] = []
        for _ in range(n):
            drawn = {}
            for draw, size in parts.items():
                counts = [0] * size
                for _ in range(size):
                    counts[rng.randrange(size)] += 1
                drawn[draw] = tuple(counts)
            self._counts.append(drawn)
        # A mean over n drawn parts varies by (n-1)/n of what it should.
        least = min(parts.values())
        self._scale = math.sqrt(least / (least - 1))

    def curves(
        self,
        draws: Sequence[str],
        values: Callable[[str, Counts], Sequence[float | None]],
        means: Sequence[float | None],
    ) -> tuple[tuple[float, ...], ...]:
        """Return the resampled means over draws, at every step where there is one.

        `values`: a draw's values at all steps with its parts counted so often. `means`: of the examples as they are.
        """
        found = []
        for drawn in self._counts:
            rows = [values(draw, drawn[draw]) for draw in draws]
            moved = []
            for column, mean in zip(zip(*rows, strict=True), means, strict=True):
                known = [value for value in column if value is not None]
                if mean is not None:
                    moved.append(mean + self._scale * (math.fsum(known) / len(known) - mean) if known else mean)
            found.append(tuple(moved))
        return tuple(found)


def share_done(
    pairs: Sequence[PairDone], parts: Sequence[int], counts: Counts, only: Collection[bool | None]
) -> float | None:
    """Return the share of pairs that can be done, of those whose `trained` is one of `only`; None if none was drawn.

    `parts`: of each pair.
    """
    done = every = 0
    for pair, part in zip(pairs, parts, strict=True):
        if pair.trained in only:
            times = counts[part]
            every += times
            done += times * pair.done
    return done / every if every else None


def part_weights(parts: Sequence[PartOfRun], counts: Counts) -> list[float]:
    """Return what each part weighs in the mean over examples, each part counted so often."""
    sizes = [part.n_examples * times for part, times in zip(parts, counts, strict=True)]
    total = sum(sizes)
    return [size / total for size in sizes]
