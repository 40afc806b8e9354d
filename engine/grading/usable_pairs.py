"""Draw pairs of a ready-made task that the model can do; others show what moves wrong answers (docs/method.md 1)."""

import math
from collections.abc import Sequence

import msgspec
import torch

from engine.capture.head_outputs import read_examples
from engine.config import ProbeConfig
from engine.errors import TaskError
from engine.events import Monitor, Notice, SilentMonitor
from engine.examples import Example
from engine.grading.rules import grade_examples
from engine.models.loading import Model
from engine.results import Grade
from engine.sample_size import pairs_needed
from engine.tasks.base import Task

_SPARE = 1.1
"""Factor by which more pairs are drawn than the usable share so far requires."""
_MOST_DRAWN = 16
"""Maximum pairs drawn per requested pair; if fewer are usable, the model cannot do the task."""


def usable_pairs(examples: Sequence[Example], grades: Sequence[Grade]) -> list[int]:
    """Return pairs whose positive is graded ok and whose negative is not broken, in order."""
    sides: dict[int, dict[bool, str]] = {}
    for example, grade in zip(examples, grades, strict=True):
        if example.pair is not None:
            sides.setdefault(example.pair, {})[example.positive] = grade.verdict
    return [pair for pair, found in sides.items() if found.get(True) == "ok" and found.get(False) in ("ok", "weak")]


class DrawnExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Examples of a ready-made task, and a notice on how they were drawn."""

    examples: tuple[Example, ...]
    notice: Notice | None = None


def make_examples(task: Task, model: Model, *, pairs: int, seed: int, usable: bool, monitor: Monitor) -> DrawnExamples:
    """Return the task's examples for this model.

    `pairs`: how many; 0: as many as one head among the model's heads needs to be significant, of usable pairs where
    there are enough. `usable`: only pairs the model can do. Raises TaskError, Cancelled.
    """
    if pairs == 0:
        return _as_many_as_needed(task, model, pairs_needed(model.n_heads_in_all), seed, only=usable, monitor=monitor)
    if usable:
        return DrawnExamples(examples=make_usable(task, model, pairs=pairs, seed=seed, monitor=monitor))
    return DrawnExamples(examples=task.make(model, pairs=pairs, seed=seed))


def make_usable(task: Task, model: Model, *, pairs: int, seed: int, monitor: Monitor) -> tuple[Example, ...]:
    """Return the first `pairs` usable pairs that the task makes for this model, numbered from 0.

    More are drawn and graded until there are enough. Raises TaskError if too few of the maximum are usable, and
    whatever `make` raises; Cancelled. Nothing is reported: no prompt belongs to a run yet.
    """
    drawn = _draw(task, model, pairs, seed, monitor, independent=False)
    if len(drawn.usable) < pairs:
        raise TaskError(
            f"{model.info.name} can do {len(drawn.usable)} of {drawn.pairs} pairs of {task.name}; "
            f"{pairs} were requested.",
            hint="Ask for fewer, or choose a task the model does, or another model.",
        )
    return _numbered(drawn.examples, drawn.best(pairs))


def _as_many_as_needed(
    task: Task, model: Model, pairs: int, seed: int, *, only: bool, monitor: Monitor
) -> DrawnExamples:
    if only:
        return DrawnExamples(examples=make_usable(task, model, pairs=pairs, seed=seed, monitor=monitor))
    drawn = _draw(task, model, pairs, seed, monitor, independent=True)
    found = drawn.best(pairs)
    if len(found) == pairs:
        return DrawnExamples(examples=_numbered(drawn.examples, found))
    others = [pair for pair in range(drawn.pairs) if pair not in set(drawn.usable)][: pairs - len(found)]
    return DrawnExamples(
        examples=_numbered(drawn.examples, sorted((*found, *others))),
        notice=Notice(
            message=f"{model.info.name} can do {len(drawn.usable)} of {drawn.pairs} pairs of {task.name}: "
            f"{len(others)} of the {pairs} pairs of this run are ones it cannot do.",
            hint="Its heads' effects on those mean little. Choose a task the model does, or another model.",
        ),
    )


class _Drawn(msgspec.Struct, frozen=True, kw_only=True):
    examples: tuple[Example, ...]
    pairs: int
    """Number of pairs drawn."""
    usable: list[int]
    """Numbers of the pairs the model can do, ascending."""
    independent: list[int]
    """Those that share no prompt with an earlier one."""

    def best(self, n: int) -> list[int]:
        """Return the first `n` usable pairs, ascending; pairs that share a prompt only if there are too few others."""
        alone = self.independent[:n]
        others = [pair for pair in self.usable if pair not in set(self.independent)]
        return sorted((*alone, *others[: n - len(alone)]))


def _draw(task: Task, model: Model, wanted: int, seed: int, monitor: Monitor, *, independent: bool) -> _Drawn:
    """Draw and grade pairs until `wanted` are usable; with `independent`, pairs that share a prompt do not count.

    Stops at `_MOST_DRAWN` times as many, or when the task has no more. The next number to draw follows from the usable
    share so far; prompts are graded once.
    """
    silent = _DrawingMonitor(monitor)
    examples: tuple[Example, ...] = ()
    usable: list[int] = []
    alone: list[int] = []
    seen: set[str] = set()
    counted = alone if independent else usable
    drawn, most = 0, _MOST_DRAWN * wanted
    while len(counted) < wanted and drawn < most:
        share = max((len(counted) + 1) / (drawn + 2), 1 / _MOST_DRAWN)
        more = wanted if not drawn else max(4, math.ceil(_SPARE * (wanted - len(counted)) / share))
        try:
            # The first pairs are the same for every number of pairs.
            longer = task.make(model, pairs=min(most, drawn + more), seed=seed)
        except TaskError:
            if not examples:
                raise
            break  # the task has no more words
        new = longer[len(examples) :]
        with torch.inference_mode():
            captured = read_examples(model, list(new), ProbeConfig(), silent, None)
        fresh = usable_pairs(new, grade_examples(model, new, captured))
        usable += fresh
        alone += _independent(new, fresh, seen)
        examples, drawn = longer, len(longer) // 2
    return _Drawn(examples=examples, pairs=drawn, usable=usable, independent=alone)


def _independent(examples: Sequence[Example], pairs: Sequence[int], seen: set[str]) -> list[int]:
    """Return the pairs that share no prompt with an earlier one (others are not independent). Adds to `seen`."""
    prompts: dict[int, list[str]] = {}
    for example in examples:
        if example.pair is not None:
            prompts.setdefault(example.pair, []).append(example.prompt)
    found = []
    for pair in pairs:
        if seen.isdisjoint(prompts[pair]):
            seen.update(prompts[pair])
            found.append(pair)
    return found


def _numbered(examples: Sequence[Example], pairs: Sequence[int]) -> tuple[Example, ...]:
    """Return only those pairs, numbered from 0."""
    place = {pair: number for number, pair in enumerate(pairs)}
    return tuple(msgspec.structs.replace(each, pair=place[each.pair]) for each in examples if each.pair in place)


class _DrawingMonitor(SilentMonitor):
    """Drops events; passes on whether the examples are still wanted."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def cancelled(self) -> bool:
        return self._monitor.cancelled()
