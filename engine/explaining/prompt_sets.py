"""The prompts that an explanation learns from, and those that it is judged by."""

from collections.abc import Sequence

import msgspec

from engine.capture.code_reader import TokenPair
from engine.capture.prompts import encode_prompt
from engine.errors import ExampleError, TaskError
from engine.examples import Example
from engine.explanations import HeldOutKind
from engine.models.loading import Model
from engine.tasks.registry import TASKS

_LEARN_PAIRS, _JUDGE_PAIRS = 40, 24
"""New pairs of the run's task."""
_OTHER_PAIRS = 2
"""Of every other task, for either."""
_SEED = 1_000_003
"""Far from those that runs use."""
_SPARE = 3
"""As many more are drawn: some are in the run."""


class PromptSets(msgspec.Struct, frozen=True, kw_only=True):
    """Prompts in tokens with their pairs; no prompt is in two of the lists."""

    run: tuple[TokenPair, ...]
    """The run's examples, in its order."""
    learn_from: tuple[int, ...]
    """Those that may be learnt from, by index."""
    learn: tuple[TokenPair, ...]
    """More to learn from, of the same kind."""
    learn_others: tuple[TokenPair, ...]
    judge: tuple[TokenPair, ...]
    """Held out, of the same kind."""
    judge_others: tuple[TokenPair, ...]
    held_out: HeldOutKind


def prompt_sets(model: Model, examples: Sequence[Example], task: str | None, *, paired: bool) -> PromptSets:
    """Return the prompts for a run's examples.

    `task`: the one that made them; then more of it are drawn. Without it every second pair is held out. Prompts of the
    other ready-made tasks are contexts in which most codes should not be found.
    """
    run = token_pairs(model, examples, paired=paired)
    seen = {each.own for each in run}
    learn: Sequence[TokenPair] = ()
    if task is not None:
        learn = _drawn(model, task, _LEARN_PAIRS, _SEED, seen, paired=paired)
        judge: Sequence[TokenPair] = _drawn(model, task, _JUDGE_PAIRS, _SEED + 1, seen, paired=paired)
        learn_from = tuple(range(len(run)))
    else:
        aside = _every_second(examples)
        judge = [run[row] for row in aside]
        learn_from = tuple(row for row in range(len(run)) if row not in set(aside))
    others: list[list[TokenPair]] = [[], []]
    for name in TASKS:
        if name != task:
            for part in (0, 1):
                others[part] += _drawn(model, name, _OTHER_PAIRS, _SEED + 2 + part, seen, paired=paired)
    return PromptSets(
        run=run,
        learn_from=learn_from,
        learn=tuple(learn),
        learn_others=tuple(others[0]),
        judge=tuple(judge),
        judge_others=tuple(others[1]),
        held_out="examples" if task is None else "task",
    )


def token_pairs(model: Model, examples: Sequence[Example], *, paired: bool) -> tuple[TokenPair, ...]:
    """Return every example in tokens beside its pair. Raises ExampleError for a prompt the model cannot read."""
    ids = [tuple(encode_prompt(model, row, example)[0]) for row, example in enumerate(examples)]
    if not paired:
        return tuple(TokenPair(each) for each in ids)
    sides: dict[tuple[int | None, bool], int] = {}
    for row, example in enumerate(examples):
        sides.setdefault((example.pair, example.positive), row)
    found = []
    for row, example in enumerate(examples):
        partner = None if example.pair is None else sides.get((example.pair, not example.positive))
        found.append(TokenPair(ids[row], None if partner is None else ids[partner]))
    return tuple(found)


def _every_second(examples: Sequence[Example]) -> list[int]:
    """Return the rows of every second pair; of examples without a pair, every second of either side."""
    groups: dict[object, list[int]] = {}
    for row, example in enumerate(examples):
        groups.setdefault(("pair", example.pair) if example.pair is not None else ("row", row), []).append(row)
    aside, counts = [], {True: 0, False: 0}
    for rows in groups.values():
        side = examples[rows[0]].positive
        counts[side] += 1
        if counts[side] % 2 == 0:
            aside += rows
    return sorted(aside)


def _drawn(
    model: Model, task: str, pairs: int, seed: int, seen: set[tuple[int, ...]], *, paired: bool
) -> list[TokenPair]:
    """Return new prompts of a task, none if this model's tokenizer cannot write it. They are added to `seen`."""
    try:
        drawn = TASKS[task].make(model, pairs=pairs * _SPARE, seed=seed)
        rows = token_pairs(model, drawn, paired=True)
    except (TaskError, ExampleError):
        return []
    found: list[TokenPair] = []
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        if first.own in seen or second.own in seen:
            continue
        seen.update((first.own, second.own))
        found += [first, second] if paired else [TokenPair(first.own), TokenPair(second.own)]
        if len(found) >= 2 * pairs:
            break
    return found
