"""What the host answers to each request. A subject has a module of its own, with a table like the one below."""

import asyncio

from sessions import (
    bundle_answers,
    causing,
    compare_answers,
    edit,
    grading,
    keep_answers,
    looking,
    queries,
    replay_answers,
    running_answers,
    verifying,
)
from sessions.means import Answer, Means
from sessions.record import Recorded, Recorder
from sessions.rows import SessionDetail
from sessions.store import Store
from sessions.wire import (
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
    return Session(session=await host.ledger.change(lambda recorder: edit.create_session(recorder, request)))


async def set_examples(host: Means, request: SetExamples) -> Session:
    return Session(session=await host.ledger.change(lambda recorder: edit.set_examples(recorder, request)))


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
    return Session(session=await host.ledger.change(lambda recorder: edit.step_examples(recorder, request)))


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
    **looking.ANSWERS,
    **keep_answers.ANSWERS,
    **compare_answers.ANSWERS,
    **replay_answers.ANSWERS,
    **running_answers.ANSWERS,
    **causing.ANSWERS,
    **verifying.ANSWERS,
    **bundle_answers.ANSWERS,
}
SLOW: frozenset[type] = frozenset().union(
    *(subject.SLOW for subject in (bundle_answers, grading, keep_answers, looking, running_answers, verifying))
)
"""Requests that are answered beside what is asked after them on the same connection."""
