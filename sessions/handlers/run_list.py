"""Find, list, name and tag runs."""

from sessions.edits.run_labels import label_run
from sessions.handlers.context import Answer, HandlerContext
from sessions.protocol import FindRun, LabelRun, ListRuns, RunAnswer, RunsAnswer
from sessions.rows import ListedRun
from sessions.store.database import Store
from sessions.store.queries import find_run, find_session, run_row
from sessions.store.run_lists import recent_runs


async def find_run_row(host: HandlerContext, request: FindRun) -> RunAnswer:
    """Return the run that a reference names."""
    return RunAnswer(run=await host.writer.read(lambda store: run_row(store, find_run(store, request.run))))


async def label(host: HandlerContext, request: LabelRun) -> RunAnswer:
    """Name and tag a run."""
    return RunAnswer(run=await host.writer.change(lambda recorder: label_run(recorder, request)))


async def list_runs(host: HandlerContext, request: ListRuns) -> RunsAnswer:
    """List runs."""

    def look(store: Store) -> list[ListedRun]:
        session_id = None if request.session is None else find_session(store, request.session)
        return recent_runs(
            store, session_id=session_id, tag=request.tag, limit=request.limit, with_before=request.with_before
        )

    return RunsAnswer(runs=tuple(await host.writer.read(look)))


ANSWERS: dict[type, Answer] = {FindRun: find_run_row, LabelRun: label, ListRuns: list_runs}
