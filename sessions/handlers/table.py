"""What the host answers to each request. A subject has a module of its own, with a table like the one below."""

import asyncio

from sessions.edits import examples
from sessions.handlers import (
    bundles,
    comparison,
    effects,
    grading,
    head_inspection,
    replay,
    run_options,
    sessions,
    verification,
)
from sessions.handlers.context import Answer, Means
from sessions.protocol import (
    Codes,
    CreateSession,
    Detail,
    Done,
    ExampleSet,
    GetCodes,
    GetExamples,
    GetStatus,
    ListSessions,
    QueueRun,
    Run,
    Session,
    Sessions,
    SetExamples,
    ShowSession,
    Status,
    StepExamples,
    StopHost,
    WarmUp,
)
from sessions.rows import SessionDetail
from sessions.store import queries
from sessions.store.database import Store
from sessions.store.recorder import Recorded, Recorder


async def status(host: Means, _: GetStatus) -> Status:
    return Status(status=host.status())


async def list_sessions(host: Means, request: ListSessions) -> Sessions:
    found = await host.ledger.read(
        lambda store: queries.recent_sessions(store, limit=request.limit, tag=request.tag, trashed=request.trashed)
    )
    return Sessions(sessions=tuple(found))


async def show_session(host: Means, request: ShowSession) -> Detail:
    def show(recorder: Recorder) -> tuple[SessionDetail, list[Recorded]]:
        session_id = queries.find_session(recorder.store, request.session)
        last_seq = recorder.last_seq(session_id)
        return queries.session_detail(recorder.store, session_id, last_seq=last_seq), []

    return Detail(detail=await host.ledger.change(show))


async def create_session(host: Means, request: CreateSession) -> Session:
    return Session(session=await host.ledger.change(lambda recorder: examples.create_session(recorder, request)))


async def set_examples(host: Means, request: SetExamples) -> Session:
    return Session(session=await host.ledger.change(lambda recorder: examples.set_examples(recorder, request)))


async def get_examples(host: Means, request: GetExamples) -> ExampleSet:
    def look(store: Store) -> ExampleSet:
        session_id = queries.find_session(store, request.session)
        version, hashed = queries.current_version(store, session_id)
        return ExampleSet(
            session=queries.session_row(store, session_id),
            version=version,
            content_hash=hashed,
            examples=queries.newest_examples(store, session_id),
        )

    return await host.ledger.read(look)


async def step_examples(host: Means, request: StepExamples) -> Session:
    return Session(session=await host.ledger.change(lambda recorder: examples.step_examples(recorder, request)))


async def queue_run(host: Means, request: QueueRun) -> Run:
    return Run(run=await host.runs.queue(request))


async def get_codes(host: Means, request: GetCodes) -> Codes:
    codes = await host.ledger.read(
        lambda store: queries.head_codes(
            store,
            queries.find_run(store, request.run),
            layer=request.layer,
            head=request.head,
            seed=request.seed,
        )
    )
    return Codes(codes=codes)


async def warm_up(host: Means, _: WarmUp) -> Done:
    await host.supervisor.warm_up()
    return Done()


async def stop_host(host: Means, _: StopHost) -> Done:
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
    **sessions.ANSWERS,
    **comparison.ANSWERS,
    **replay.ANSWERS,
    **run_options.ANSWERS,
    **effects.ANSWERS,
    **verification.ANSWERS,
    **bundles.ANSWERS,
}
SLOW: frozenset[type] = frozenset().union(
    *(subject.SLOW for subject in (bundles, grading, sessions, head_inspection, run_options, verification))
)
"""Requests that are answered beside what is asked after them on the same connection."""
