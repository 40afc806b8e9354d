"""Ordinary text for what steering costs: the user's, else a passage of English, else prompts of ready-made tasks."""

import math
from importlib.resources import files

from engine.errors import ExampleError, TaskError
from engine.events import Monitor, Notice
from engine.models.loading import Model
from engine.patching.directions import Encoded
from engine.patching.dose_response import text_cost
from engine.patching.forward import ForwardPasses
from engine.tasks.registry import TASKS

_PAIRS = 4
"""Of each ready-made task."""


def ordinary_texts(passes: ForwardPasses, own: str, monitor: Monitor) -> list[Encoded]:
    """Return texts in tokens.

    A model that predicts the passage worse than one that knows nothing does not know its language: then it is prompts
    of the ready-made tasks. Raises ExampleError for an own text that the model has no embeddings for.
    """
    model = passes.model
    if own:
        return [_checked(model, own)]
    passage = model.encode((files("engine") / "assets" / "ordinary.txt").read_text("utf-8"))
    if model.unknown_token(passage[0]) is None:
        known = text_cost(passes, [passage], [])
        if known is not None and known.before > -math.log(model.info.vocabulary):
            return [passage]
    found: list[Encoded] = []
    for task in TASKS.values():
        try:
            made = task.make(model, pairs=_PAIRS)
        except TaskError:
            continue  # another vocabulary
        found += [model.encode(each.prompt) for each in made]
    monitor.report(
        Notice(
            message=f"{model.info.name} does not know ordinary English: the cost is that of prompts of the ready-made "
            "tasks.",
            hint="Give a text of its own language: --text FILE.",
        )
    )
    return found


def _checked(model: Model, text: str) -> Encoded:
    ids, mine = model.encode(text)
    unknown = model.unknown_token(ids)
    if unknown is not None:
        raise ExampleError(f"The text has {unknown}.", hint="Give the model a text of its own language.")
    return ids, mine
