"""What a ready-made task is, and what it asks of a model's tokenizer."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from engine.errors import TaskError
from engine.examples import Example
from engine.results import Reference

Metric = Literal["logit_difference", "probability_mass"]
"""logit_difference: mean logit of the expected tokens minus mean logit of the foils, at the last position.
probability_mass: probability of all expected tokens minus probability of all foils, there."""


@runtime_checkable
class Splitter(Protocol):
    """A model's tokenizer as far as a task needs it."""

    def pieces(self, text: str) -> tuple[str, ...]:
        """The texts of the tokens `text` is split into, special tokens left out; joined they give `text` again."""
        ...


Maker = Callable[[Splitter, random.Random, int], list[Example]]
"""(splitter, random source, pairs wanted) -> examples, positive and negative of one pair sharing its number."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A ready-made example set that adapts to a model's tokenizer."""

    name: str
    title: str
    description: str
    metric: Metric
    maker: Maker
    published: tuple[tuple[str, Reference], ...] = ()
    """(model name as the hub spells it, the circuit its authors published)."""

    def make(self, splitter: Splitter, *, pairs: int, seed: int = 0) -> tuple[Example, ...]:
        """`pairs` positives and as many negatives, the same for the same arguments.

        Raises TaskError where the tokenizer cannot express the task, saying what it lacks.
        """
        if pairs < 1:
            raise TaskError(f"{self.name}: {pairs} pairs.", hint="Ask for at least one.")
        return tuple(self.maker(splitter, random.Random(f"{self.name}/{seed}"), pairs))


def single_tokens(splitter: Splitter, words: Iterable[str]) -> tuple[str, ...]:
    """Those of the words that are one token, written as given (with their leading space, if any)."""
    return tuple(word for word in words if len(splitter.pieces(word)) == 1)


def need(words: Sequence[str], least: int, what: str, task: str) -> Sequence[str]:
    """The words, when there are enough of them.

    Raises TaskError naming the task, what was looked for and how many were found.
    """
    if len(words) < least:
        raise TaskError(
            f"{task}: this model's tokenizer has {len(words)} of the {what} as single tokens; the task needs {least}.",
            hint="Choose another task (headcode tasks) or another model (headcode models list).",
        )
    return words
