"""What the host answers about the runs to come: the options chosen for them, what they will take, how the engine is."""

import msgspec

from sessions.errors import NoSuchRecord
from sessions.events import OptionsChosen
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.preflight import preflight
from sessions.protocol import ChooseOptions, Done, EndWork, FollowEngine, GetPreflight, PreflightAnswer, StatusAnswer
from sessions.store import queries
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder

_FOLLOW_S = 20.0
"""An answer comes after this at the latest: numbers beside the state change, too."""


async def choose_options(host: HandlerContext, request: ChooseOptions) -> Done:
    """Records them for the session. Raises NoSuchRecord, StoreError."""

    def change(recorder: Recorder) -> tuple[None, list[RecordedEntry]]:
        session_id = queries.active_session(recorder.store, request.session)
        # Trust in somebody's code is not passed on by a log, which may come from a stranger.
        options = msgspec.structs.replace(request.options, trust_remote_code=False)
        return None, recorder.append([EventDraft(session_id=session_id, event=OptionsChosen(options=options))])

    await host.writer.change(change)
    return Done()


async def ask_preflight(host: HandlerContext, request: GetPreflight) -> PreflightAnswer:
    return PreflightAnswer(preflight=await preflight(host, request))


async def follow_engine(host: HandlerContext, request: FollowEngine) -> StatusAnswer:
    await host.supervisor.other_state((request.seen, request.job, request.silent), within_s=_FOLLOW_S)
    return StatusAnswer(status=host.status())


async def end_work(host: HandlerContext, request: EndWork) -> StatusAnswer:
    """Raises NoSuchRecord where the engine is at nothing, or at something else than was meant."""
    before = host.status()
    work = before.at_work
    if work is None:
        raise NoSuchRecord("The engine is at nothing.", hint="headcode host status says what it does.")
    if request.job not in ("", work.job) or not host.supervisor.end_work(work.job):
        raise NoSuchRecord(
            f"The engine is at {work.title}, not at {request.job or 'that'} any more.", hint="Look, and ask once more."
        )
    return StatusAnswer(status=before)


ANSWERS: dict[type, Answer] = {
    ChooseOptions: choose_options,
    GetPreflight: ask_preflight,
    FollowEngine: follow_engine,
    EndWork: end_work,
}
SLOW: frozenset[type] = frozenset({GetPreflight, FollowEngine})
"""Answered beside what is asked after them on the same connection."""
