"""Answer requests about the next run's options and estimate, and about the engine's state."""

import msgspec

from sessions.errors import NoSuchRecord
from sessions.events import OptionsChosen
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.preflight import preflight
from sessions.protocol import ChooseOptions, Done, EndWork, FollowEngine, GetPreflight, PreflightAnswer, StatusAnswer
from sessions.store import queries
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder

_FOLLOW_S = 20.0
"""Seconds after which an answer is sent without a change: numbers besides the state change, too."""


async def choose_options(host: HandlerContext, request: ChooseOptions) -> Done:
    """Record the options for the session. Raises NoSuchRecord, StoreError."""

    def change(recorder: Recorder) -> tuple[None, list[RecordedEntry]]:
        session_id = queries.active_session(recorder.store, request.session)
        # Trust in a model's own code is not recorded, since a log may come from another user.
        options = msgspec.structs.replace(request.options, trust_remote_code=False)
        return None, recorder.append([EventDraft(session_id=session_id, event=OptionsChosen(options=options))])

    await host.writer.change(change)
    return Done()


async def ask_preflight(host: HandlerContext, request: GetPreflight) -> PreflightAnswer:
    """Estimate what a run needs."""
    return PreflightAnswer(preflight=await preflight(host, request))


async def follow_engine(host: HandlerContext, request: FollowEngine) -> StatusAnswer:
    """Wait for a change of the engine's state."""
    await host.supervisor.other_state((request.seen, request.job, request.silent), within_s=_FOLLOW_S)
    return StatusAnswer(status=host.status())


async def end_work(host: HandlerContext, request: EndWork) -> StatusAnswer:
    """End the engine's job. Raises NoSuchRecord if it has none, or another than requested."""
    before = host.status()
    work = before.at_work
    if work is None:
        raise NoSuchRecord("The engine has no job.", hint="See: headcode host status")
    if request.job not in ("", work.job) or not host.supervisor.end_work(work.job):
        raise NoSuchRecord(
            f"The engine runs {work.title} now, not {request.job or 'that job'}.", hint="Check, then try again."
        )
    return StatusAnswer(status=before)


ANSWERS: dict[type, Answer] = {
    ChooseOptions: choose_options,
    GetPreflight: ask_preflight,
    FollowEngine: follow_engine,
    EndWork: end_work,
}
SLOW: frozenset[type] = frozenset({GetPreflight, FollowEngine})
"""Answered concurrently with later requests on the same connection."""
