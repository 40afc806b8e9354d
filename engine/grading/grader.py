"""Grade examples while they are written, with the warm model, each prompt once."""

from collections import OrderedDict
from pathlib import Path

from engine.capture.head_outputs import read_examples
from engine.capture.prompts import answers_of, position_weights
from engine.config import ProbeConfig
from engine.errors import ConfigError, ExampleError, OutOfMemory
from engine.events import Monitor
from engine.examples import Example
from engine.grading.rules import grade_examples
from engine.grading.usable_pairs import make_examples
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.protocol import ExamplesOf, GradePrompts, GradesMade, MakeExamples
from engine.results import Grade, PromptTokens
from engine.tasks.registry import find_task
from engine.tensors.out_of_memory import is_out_of_memory

MOST_KEPT = 20_000
"""Prompts whose grades are cached."""

_Known = tuple[Grade, PromptTokens]


class Grader:
    """Answers GradePrompts; known grades are looked up by content."""

    def __init__(self, warm_model: WarmModel) -> None:
        self.warm_model = warm_model
        self._known: OrderedDict[tuple[str, str, Example], _Known] = OrderedDict()

    def make(self, request: MakeExamples, monitor: Monitor) -> ExamplesOf:
        """Return the task's examples for the request's model.

        Raises TaskError, ModelError, ConfigError; OutOfMemory and Cancelled while grading.
        """
        task, model = find_task(request.task), self._model(request)
        try:
            made = make_examples(
                task, model, pairs=request.pairs, seed=request.seed, usable=request.usable, monitor=monitor
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"Memory ran out while pairs of {task.name} were graded.", hint="Ask for fewer pairs."
            ) from error
        return ExamplesOf(job=request.job, examples=made.examples)

    def answer(self, request: GradePrompts, monitor: Monitor) -> GradesMade:
        """Return one grade per example, in order; an example that cannot be read is broken, with the reason.

        `equal_length` is not set: the other half of a pair may not be among them. Raises ModelError, ConfigError,
        OutOfMemory, Cancelled.
        """
        model = self._model(request)
        config = ProbeConfig(position=request.position)
        alone = [
            Example(prompt=each.prompt, polarity=each.polarity, expected=each.expected, foils=each.foils)
            for each in request.examples
        ]
        identity = f"{model.info.identity} {model.precision}"
        fresh = [each for each in dict.fromkeys(alone) if (identity, request.position, each) not in self._known]
        try:
            found = self._read(model, fresh, config, monitor)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"Memory ran out while {len(fresh)} prompts were graded.", hint="Shorten the longest prompts."
            ) from error
        for example, known in found.items():
            self._known[identity, request.position, example] = known
        pairs = [self._known[identity, request.position, each] for each in alone]
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        return GradesMade(
            job=request.job,
            model=model.info,
            grades=tuple(_at(index, grade) for index, (grade, _) in enumerate(pairs)),
            tokens=tuple(tokens for _, tokens in pairs),
        )

    def _model(self, request: GradePrompts | MakeExamples) -> Model:
        return self.warm_model.take(request.model, Path(request.models), request)[0]

    def _read(self, model: Model, fresh: list[Example], config: ProbeConfig, monitor: Monitor) -> dict[Example, _Known]:
        found: dict[Example, _Known] = {}
        whole: dict[Example, PromptTokens] = {}
        for example in fresh:
            tokens, flaw = tokens_of(model, example, config.position)
            if flaw:
                grade = Grade(index=0, verdict="broken", reason=flaw, n_tokens=len(tokens.texts))
                found[example] = (grade, tokens)
            else:
                whole[example] = tokens
        if whole:
            # The position policy changes no grade, and with `mean` no prompt can fail for it.
            reading = read_examples(model, list(whole), ProbeConfig(), monitor, None)
            grades = grade_examples(model, list(whole), reading)
            found.update({example: (grade, whole[example]) for example, grade in zip(whole, grades, strict=True)})
        return found


def tokens_of(model: Model, example: Example, position: str) -> tuple[PromptTokens, str]:
    """Return the prompt's tokens and, if it cannot be read, the reason."""
    ids, own = model.encode(example.prompt)
    texts = model.prompt_words(ids[: model.info.context], own)
    nothing = PromptTokens(texts=texts, read=(False,) * len(texts))
    if len(ids) > model.info.context:
        return nothing, f"{len(ids)} tokens, and {model.info.name} reads {model.info.context}: shorten it"
    if not any(own):
        return nothing, "the model sees no token of its own in it: write a word"
    unknown = model.unknown_token(ids)
    if unknown is not None:
        return nothing, f"it has {unknown}"
    try:
        answers_of(model, example)
    except ExampleError as error:
        return nothing, error.message
    try:
        weights = position_weights(model, 0, ids, own, position)
    except ConfigError:
        return nothing, f"it has no position {position}, which the run would read"
    return PromptTokens(texts=texts, read=tuple(weight > 0 for weight in weights)), ""


def _at(index: int, grade: Grade) -> Grade:
    return Grade(**{name: getattr(grade, name) for name in Grade.__struct_fields__ if name != "index"}, index=index)
