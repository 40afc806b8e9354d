"""All ready-made tasks by name."""

import difflib

from engine.errors import TaskError
from engine.tasks import docstring, gendered_pronoun, greater_than, induction, ioi, sequence_continuation
from engine.tasks.base import Task

TASKS: dict[str, Task] = {
    module.TASK.name: module.TASK
    for module in (ioi, greater_than, docstring, induction, gendered_pronoun, sequence_continuation)
}


def find_task(name: str) -> Task:
    """The task of that name. Raises TaskError with what there is, and the closest name first."""
    task = TASKS.get(name)
    if task is None:
        spelled = name.strip().lower().replace("-", "_").replace(" ", "_")
        close = difflib.get_close_matches(spelled, TASKS, n=1, cutoff=0.5)
        guess = f"Did you mean {close[0]}? " if close else ""
        raise TaskError(f"There is no task {name[:60]!r}.", hint=f"{guess}There are: {', '.join(TASKS)}.")
    return task
