"""Grade examples while they are written: the warm worker answers, nothing is recorded."""

import asyncio
from typing import Any

from engine.config import load_fields
from engine.errors import Cancelled, ExampleError, Failure, TaskError
from engine.protocol import ExamplesOf, GradePrompts, GradesMade
from engine.protocol import MakeExamples as Make
from engine.tasks.registry import find_task
from sessions.errors import error_from
from sessions.handlers.context import Answer, HandlerContext
from sessions.ids import new_id
from sessions.protocol import GradeExamples, Grades, MakeTaskExamples, TaskExamplesMade
from sessions.store.queries import find_session, plan_run

MAX_PAIRS = 10_000
MOST_AT_ONCE = 256
"""Maximum number of examples per request: a run waits for the prompts of one request at most."""


class GradingRequests:
    """Pending grading requests. A newer request with the same `desk` replaces the earlier one."""

    def __init__(self) -> None:
        self._channels: dict[str, asyncio.Task[Any]] = {}

    async def grade(self, host: HandlerContext, request: GradeExamples) -> GradesMade:
        """Return the grades. Raises NoSuchRecord, ExampleError, the engine's errors, or Cancelled if replaced."""
        if len(request.examples) > MOST_AT_ONCE:
            raise ExampleError(
                f"{len(request.examples)} examples to grade in one request; {MOST_AT_ONCE} is the most.",
                hint="Send them in parts, the visible ones first.",
            )
        model = request.model or await model_of(host, request.session)
        worker_request = GradePrompts(
            job=new_id("g"),
            model=model,
            examples=request.examples,
            position=request.position,
            models=str(host.places.models),
            **load_fields(request),
        )
        before = self._channels.pop(request.desk, None) if request.desk else None
        if before is not None:
            before.cancel()
        task = asyncio.ensure_future(host.supervisor.answer_side_request(worker_request))
        if request.desk:
            self._channels[request.desk] = task
        try:
            answer = await task
            if isinstance(answer, Failure) and answer.name == "WorkerDied":
                # the worker may have died while idle: try once more
                answer = await host.supervisor.answer_side_request(worker_request)
        except asyncio.CancelledError:
            task.cancel()
            if asyncio.current_task() is not None and asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            raise Cancelled from None
        finally:
            if self._channels.get(request.desk) is task:
                del self._channels[request.desk]
        if isinstance(answer, GradesMade):
            return answer
        assert isinstance(answer, Failure)
        raise error_from(answer)


async def model_of(host: HandlerContext, session: str) -> str:
    """Return the model of the session."""
    return await host.writer.read(lambda store: plan_run(store, find_session(store, session)).model)


async def make_examples(host: HandlerContext, request: MakeTaskExamples) -> TaskExamplesMade:
    """Return the task's examples. Raises NoSuchRecord, TaskError and the engine's errors."""
    find_task(request.task)
    worker_request = Make(
        job=new_id("g"),
        model=request.model or await model_of(host, request.session),
        task=request.task,
        pairs=request.pairs,
        seed=request.task_seed,
        usable=request.usable,
        models=str(host.places.models),
        **load_fields(request),
    )
    if not 0 <= request.pairs <= MAX_PAIRS:
        raise TaskError(f"{request.pairs} pairs of {request.task}.", hint=f"Ask for 1 to {MAX_PAIRS}.")
    answer = await host.supervisor.answer_side_request(worker_request)
    if isinstance(answer, ExamplesOf):
        return TaskExamplesMade(examples=answer.examples)
    assert isinstance(answer, Failure)
    raise error_from(answer)


async def grade_examples(host: HandlerContext, request: GradeExamples) -> Grades:
    """Grade examples."""
    made = await host.get_state(GradingRequests).grade(host, request)
    return Grades(model=made.model, grades=made.grades, tokens=made.tokens)


ANSWERS: dict[type, Answer] = {GradeExamples: grade_examples, MakeTaskExamples: make_examples}
SLOW: frozenset[type] = frozenset(ANSWERS)
"""Answered concurrently with later requests on the same connection."""
