"""What a ready-made task is, and what it needs of a model's tokenizer."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from engine.errors import TaskError
from engine.examples import Example, Polarity
from engine.results import Reference
from engine.tasks.recognise import Recogniser

Metric = Literal["logit_difference", "probability_mass"]
"""The metric of a task, at the last position.

logit_difference: mean logit of the expected tokens minus mean logit of the foils. probability_mass: probability of all
expected tokens minus probability of all foils.
"""

TRIES_PER_PAIR = 60
"""Drafts tried per pair; a tokenizer that needs more cannot express the task."""


@runtime_checkable
class Splitter(Protocol):
    """The part of a model's tokenizer that a task needs."""

    def pieces(self, text: str) -> tuple[str, ...]:
        """Return the texts of the tokens of `text` without special tokens; joined they give `text`."""
        ...


Maker = Callable[[Splitter, random.Random, int], list[Example]]
"""(splitter, random source, number of pairs) -> examples; positive and negative of a pair share its number."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A ready-made example set that adapts to a model's tokenizer."""

    name: str
    title: str
    description: str
    metric: Metric
    maker: Maker
    recogniser: Recogniser
    published: tuple[tuple[str, Reference], ...] = ()
    """(model name as on the hub, the circuit its authors published)."""

    def make(self, splitter: Splitter, *, pairs: int, seed: int = 0) -> tuple[Example, ...]:
        """Return `pairs` positives and as many negatives, deterministic for the same arguments.

        Raises TaskError if the tokenizer cannot express the task, with what it lacks.
        """
        if pairs < 1:
            raise TaskError(f"{self.name}: {pairs} pairs.", hint="Ask for at least one.")
        return tuple(self.maker(splitter, random.Random(f"{self.name}/{seed}"), pairs))

    def recognises(self, example: Example) -> bool:
        """Return True if the task could have made this example: prompt, polarity and answers are of its kind.

        Pair numbers and `enabled` do not matter.
        """
        return self.recogniser(example)


class PairDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A pair before it is checked against the tokenizer: both prompts, one answer, one set of foils."""

    positive: str
    negative: str
    expected: tuple[str, ...]
    """Exact token texts, with the leading space if the token has one."""
    foils: tuple[str, ...]


def single_tokens(splitter: Splitter, words: Iterable[str]) -> tuple[str, ...]:
    """Return the words that are one token as given (with their leading space, if any)."""
    return tuple(word for word in words if len(splitter.pieces(word)) == 1)


def spaced_words(splitter: Splitter, words: Iterable[str]) -> list[str]:
    """Return the words that are one token after a space, without the space."""
    return [word[1:] for word in single_tokens(splitter, (f" {word}" for word in words))]


def need(words: Sequence[str], least: int, what: str, task: str) -> Sequence[str]:
    """Return the words if there are enough of them.

    Raises TaskError with the task, what was searched and how many were found.
    """
    if len(words) < least:
        raise TaskError(
            f"{task}: this model's tokenizer has {len(words)} of the {what} as single tokens; the task needs {least}.",
            hint="Choose another task (headcode tasks) or another model (headcode models list).",
        )
    return words


def collect(task: str, splitter: Splitter, pairs: int, draw: Callable[[], PairDraft]) -> list[Example]:
    """Return examples of `pairs` drafts that this tokenizer supports, positive and negative in turn.

    A draft is supported if both prompts have as many tokens and an answer is one token after either prompt (a tokenizer
    may merge it with the prompt's end). No pair is repeated while new ones are available. Raises TaskError if hardly
    any draft is supported.
    """
    examples: list[Example] = []
    seen: set[tuple[str, str]] = set()
    tries = repeats = 0
    while len(examples) < 2 * pairs:
        tries += 1
        if tries > TRIES_PER_PAIR * (pairs + 2):
            raise TaskError(
                f"{task}: only {len(examples) // 2} of {pairs} pairs could be written with this model's tokenizer: "
                "the two prompts of a pair must have as many tokens, and the answer must be one token.",
                hint="Ask for fewer pairs, or choose another task (headcode tasks).",
            )
        draft = draw()
        if (draft.positive, draft.negative) in seen:
            repeats += 1
            if repeats < TRIES_PER_PAIR:
                continue
        elif not is_supported(splitter, draft):
            continue
        repeats = 0
        seen.add((draft.positive, draft.negative))
        number = len(examples) // 2
        sides: tuple[tuple[str, Polarity], ...] = ((draft.positive, "positive"), (draft.negative, "negative"))
        examples += [
            Example(prompt=prompt, polarity=polarity, expected=draft.expected, foils=draft.foils, pair=number)
            for prompt, polarity in sides
        ]
    return examples


def is_supported(splitter: Splitter, draft: PairDraft) -> bool:
    """Return True if the pair has equal token counts and its answers are one token each after either prompt.

    Only the ends of a set of answers are checked: a task with large sets has chosen them for this tokenizer already.
    """
    positive, negative = splitter.pieces(draft.positive), splitter.pieces(draft.negative)
    answers = dict.fromkeys(texts[end] for texts in (draft.expected, draft.foils) if texts for end in (0, -1))
    return len(positive) == len(negative) and all(
        splitter.pieces(prompt + answer) == (*pieces, answer)
        for prompt, pieces in ((draft.positive, positive), (draft.negative, negative))
        for answer in answers
    )
