"""Pairs of a ready-made task that the model at hand can do: the others say what moves wrong answers (METHOD 1)."""

from collections.abc import Sequence

import msgspec
import torch

from engine.capture import read_examples
from engine.config import ProbeConfig
from engine.errors import TaskError
from engine.events import Event, Monitor
from engine.examples import Example
from engine.grade import grade_examples
from engine.model import Model
from engine.results import Grade
from engine.tasks.base import Task

_MOST_DRAWN = 16
"""Pairs drawn for each that is wanted; a task of which fewer are usable is not one the model does."""


def usable_pairs(examples: Sequence[Example], grades: Sequence[Grade]) -> list[int]:
    """Pairs whose positive is graded ok and whose negative is not broken, in their order."""
    sides: dict[int, dict[bool, str]] = {}
    for example, grade in zip(examples, grades, strict=True):
        if example.pair is not None:
            sides.setdefault(example.pair, {})[example.positive] = grade.verdict
    return [pair for pair, found in sides.items() if found.get(True) == "ok" and found.get(False) in ("ok", "weak")]


def make_usable(task: Task, model: Model, *, pairs: int, seed: int, monitor: Monitor) -> tuple[Example, ...]:
    """The first `pairs` usable pairs that the task makes for this model, numbered from 0.

    Twice as many are drawn and graded, and twice as many again while that is not enough. Raises TaskError where too
    few of the most are usable, and what `make` raises; Cancelled. Nothing is reported: no prompt is a run's yet.
    """
    drawn, unheard = pairs, _Unheard(monitor)
    while True:
        drawn = min(2 * drawn, _MOST_DRAWN * pairs)
        examples = task.make(model, pairs=drawn, seed=seed)
        with torch.inference_mode():
            reading = read_examples(model, list(examples), ProbeConfig(), unheard, None)
        usable = usable_pairs(examples, grade_examples(model, examples, reading))
        if len(usable) >= pairs:
            place = {pair: number for number, pair in enumerate(usable[:pairs])}
            return tuple(
                msgspec.structs.replace(each, pair=place[each.pair]) for each in examples if each.pair in place
            )
        if drawn >= _MOST_DRAWN * pairs:
            raise TaskError(
                f"{model.info.name} can do {len(usable)} of {drawn} pairs of {task.name}; {pairs} were asked for.",
                hint="Ask for fewer, or choose a task the model does, or another model.",
            )


class _Unheard:
    """Knows whether that is still wanted, and tells nobody how far it is."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def report(self, event: Event, /) -> None:
        """Drawing is no stage of a run."""

    def cancelled(self) -> bool:
        return self._monitor.cancelled()
