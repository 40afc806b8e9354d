"""Map each request to its handler. A subject has a module of its own, with a table like the one below."""

import asyncio

from sessions.edits import examples
from sessions.handlers import (
    atlas,
    bundles,
    code_families,
    comparison,
    drawing,
    effects,
    explanations,
    grading,
    head_inspection,
    node_parts,
    replay,
    run_list,
    run_options,
    sessions,
    steering,
    sweeps,
    verification,
)
from sessions.handlers.context import Answer, HandlerContext
from sessions.protocol import (
    CodesAnswer,
    CreateSession,
    Done,
    ExampleSet,
    GetCodes,
    GetExamples,
    GetStatus,
    ListSessions,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsAnswer,
    SetExamples,
    ShowSession,
    StatusAnswer,
    StepExamples,
    StopHost,
    WarmUp,
)
from sessions.rows import SessionDetail
from sessions.store import queries
from sessions.store.database import Store
from sessions.store.recorder import RecordedEntry, Recorder


async def status(host: HandlerContext, _: GetStatus) -> StatusAnswer:
    """Return the state of the host."""
    return StatusAnswer(status=host.status())


async def list_sessions(host: HandlerContext, request: ListSessions) -> SessionsAnswer:
    """List sessions."""
    found = await host.writer.read(
        lambda store: queries.recent_sessions(store, limit=request.limit, tag=request.tag, trashed=request.trashed)
    )
    return SessionsAnswer(sessions=tuple(found))


async def show_session(host: HandlerContext, request: ShowSession) -> SessionDetailAnswer:
    """Return a session with its runs and notes."""

    def show(recorder: Recorder) -> tuple[SessionDetail, list[RecordedEntry]]:
        session_id = queries.find_session(recorder.store, request.session)
        last_seq = recorder.last_seq(session_id)
        return queries.session_detail(recorder.store, session_id, last_seq=last_seq), []

    return SessionDetailAnswer(detail=await host.writer.change(show))


async def create_session(host: HandlerContext, request: CreateSession) -> SessionAnswer:
    """Create a session."""
    return SessionAnswer(session=await host.writer.change(lambda recorder: examples.create_session(recorder, request)))


async def set_examples(host: HandlerContext, request: SetExamples) -> SessionAnswer:
    """Set the session's examples."""
    return SessionAnswer(session=await host.writer.change(lambda recorder: examples.set_examples(recorder, request)))


async def get_examples(host: HandlerContext, request: GetExamples) -> ExampleSet:
    """Return the session's examples."""

    def look(store: Store) -> ExampleSet:
        session_id = queries.find_session(store, request.session)
        version, hashed = queries.current_version(store, session_id)
        return ExampleSet(
            session=queries.session_row(store, session_id),
            version=version,
            content_hash=hashed,
            examples=queries.newest_examples(store, session_id),
        )

    return await host.writer.read(look)


async def step_examples(host: HandlerContext, request: StepExamples) -> SessionAnswer:
    """Undo or redo a change of the examples."""
    return SessionAnswer(session=await host.writer.change(lambda recorder: examples.step_examples(recorder, request)))


async def queue_run(host: HandlerContext, request: QueueRun) -> RunAnswer:
    """Queue a run."""
    return RunAnswer(run=await host.runs.queue(request))


async def get_codes(host: HandlerContext, request: GetCodes) -> CodesAnswer:
    """Return one head's codes."""
    codes = await host.writer.read(
        lambda store: queries.head_codes(
            store,
            queries.find_run(store, request.run),
            layer=request.layer,
            head=request.head,
            seed=request.seed,
        )
    )
    return CodesAnswer(codes=codes)


async def warm_up(host: HandlerContext, _: WarmUp) -> Done:
    """Start the worker."""
    await host.supervisor.warm_up()
    return Done()


async def stop_host(host: HandlerContext, _: StopHost) -> Done:
    """Stop the host."""
    asyncio.get_running_loop().call_soon(host.stop)
    return Done()


ANSWERS: dict[type, Answer] = {
    GetStatus: status,
    ListSessions: list_sessions,
    ShowSession: show_session,
    CreateSession: create_session,
    SetExamples: set_examples,
    StepExamples: step_examples,
    GetExamples: get_examples,
    QueueRun: queue_run,
    GetCodes: get_codes,
    WarmUp: warm_up,
    StopHost: stop_host,
    **grading.ANSWERS,
    **head_inspection.ANSWERS,
    **node_parts.ANSWERS,
    **explanations.ANSWERS,
    **code_families.ANSWERS,
    **atlas.ANSWERS,
    **sessions.ANSWERS,
    **comparison.ANSWERS,
    **drawing.ANSWERS,
    **replay.ANSWERS,
    **run_options.ANSWERS,
    **effects.ANSWERS,
    **run_list.ANSWERS,
    **verification.ANSWERS,
    **bundles.ANSWERS,
    **steering.ANSWERS,
    **sweeps.ANSWERS,
}
SLOW: frozenset[type] = frozenset().union(
    *(
        subject.SLOW
        for subject in (
            atlas,
            bundles,
            code_families,
            drawing,
            explanations,
            grading,
            sessions,
            head_inspection,
            node_parts,
            run_options,
            steering,
            sweeps,
        )
    )
)
"""Requests that are answered concurrently with later ones on the same connection."""
