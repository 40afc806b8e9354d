"""Grades for examples that are being written: asked of the warm worker, recorded nowhere."""

import asyncio
from typing import TYPE_CHECKING, Any

from engine.errors import Cancelled, ExampleError, Failure
from engine.jobs import GradePrompts, GradesMade
from sessions.errors import error_from
from sessions.ids import new_id
from sessions.queries import find_session, plan
from sessions.wire import GradeExamples, Grades

if TYPE_CHECKING:
    from sessions.answers import Answer
    from sessions.host import HeadcodeHost

MOST_AT_ONCE = 256
"""Examples in one request: a run waits for one request's prompts at most."""


class Gradings:
    """Who waits for grades. A newer request of the same desk takes the place of the one before."""

    def __init__(self) -> None:
        self._desks: dict[str, asyncio.Task[Any]] = {}

    async def grade(self, host: "HeadcodeHost", request: GradeExamples) -> GradesMade:
        """Raises NoSuchRecord, ExampleError, Cancelled where a newer request came, or what the engine says."""
        if len(request.examples) > MOST_AT_ONCE:
            raise ExampleError(
                f"{len(request.examples)} examples to grade in one request; {MOST_AT_ONCE} is the most.",
                hint="Ask for them in parts, the ones at hand first.",
            )
        model = await host.ledger.read(lambda store: plan(store, find_session(store, request.session)).model)
        order = GradePrompts(
            job=new_id("g"),
            model=model,
            examples=request.examples,
            position=request.position,
            models=str(host.places.models),
        )
        before = self._desks.pop(request.desk, None) if request.desk else None
        if before is not None:
            before.cancel()
        task = asyncio.ensure_future(host.supervisor.beside(order))
        if request.desk:
            self._desks[request.desk] = task
        try:
            answer = await task
            if isinstance(answer, Failure) and answer.name == "WorkerDied":
                answer = await host.supervisor.beside(order)  # it may have died while it waited: once more
        except asyncio.CancelledError:
            task.cancel()
            if asyncio.current_task() is not None and asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            raise Cancelled from None
        finally:
            if self._desks.get(request.desk) is task:
                del self._desks[request.desk]
        if isinstance(answer, GradesMade):
            return answer
        assert isinstance(answer, Failure)
        raise error_from(answer)


async def grade_examples(host: "HeadcodeHost", request: GradeExamples) -> Grades:
    made = await host.gradings.grade(host, request)
    return Grades(model=made.model, grades=made.grades, tokens=made.tokens)


ANSWERS: "dict[type, Answer]" = {GradeExamples: grade_examples}
SLOW: frozenset[type] = frozenset({GradeExamples})
"""Answered beside what is asked after them on the same connection."""
