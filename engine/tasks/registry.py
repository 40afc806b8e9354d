"""All ready-made tasks by name."""

import difflib
from collections.abc import Iterable

from engine.errors import TaskError
from engine.examples import Example
from engine.tasks import (
    addition,
    docstring,
    facts,
    gendered_pronoun,
    greater_than,
    identifier_swap,
    induction,
    ioi,
    sequence_continuation,
)
from engine.tasks.base import Task

TASKS: dict[str, Task] = {
    module.TASK.name: module.TASK
    for module in (
        ioi,
        greater_than,
        docstring,
        induction,
        gendered_pronoun,
        sequence_continuation,
        addition,
        facts,
        identifier_swap,
    )
}


def find_task(name: str) -> Task:
    """Return the task of that name. Raises TaskError with the closest name and the list."""
    task = TASKS.get(name)
    if task is None:
        spelled = name.strip().lower().replace("-", "_").replace(" ", "_")
        close = difflib.get_close_matches(spelled, TASKS, n=1, cutoff=0.5)
        guess = f"Did you mean {close[0]}? " if close else ""
        raise TaskError(f"There is no task {name[:60]!r}.", hint=f"{guess}There are: {', '.join(TASKS)}.")
    return task


def made_by(task: str | None, examples: Iterable[Example]) -> bool:
    """Return True if the task could have made every enabled example; False without examples or without the task.

    A task's known circuit and its metric apply only to these: a prompt that was edited is another question.
    """
    known = TASKS.get(task) if task is not None else None
    enabled = [example for example in examples if example.enabled]
    return known is not None and bool(enabled) and all(known.recognises(example) for example in enabled)
