"""What the host answers about the runs to come: the options chosen for them, what they will take, how the engine is."""

import msgspec

from sessions import queries
from sessions.log import OptionsChosen
from sessions.means import Answer, Means
from sessions.preflight import preflight
from sessions.record import Draft, Recorded, Recorder
from sessions.wire import AskPreflight, ChooseOptions, Done, FollowEngine, Preflighted, Status

_FOLLOW_S = 20.0
"""An answer comes after this at the latest: numbers beside the state change, too."""


async def choose_options(host: Means, request: ChooseOptions) -> Done:
    """Records them for the session. Raises NoSuchRecord, StoreError."""

    def change(recorder: Recorder) -> tuple[None, list[Recorded]]:
        session_id = queries.living_session(recorder.store, request.session)
        # Trust in somebody's code is not passed on by a log, which may come from a stranger.
        options = msgspec.structs.replace(request.options, trust_remote_code=False)
        return None, recorder.append([Draft(session_id=session_id, event=OptionsChosen(options=options))])

    await host.ledger.change(change)
    return Done()


async def ask_preflight(host: Means, request: AskPreflight) -> Preflighted:
    return Preflighted(preflight=await preflight(host, request))


async def follow_engine(host: Means, request: FollowEngine) -> Status:
    await host.supervisor.other_state(request.seen, within_s=_FOLLOW_S)
    return Status(status=host.status())


ANSWERS: dict[type, Answer] = {ChooseOptions: choose_options, AskPreflight: ask_preflight, FollowEngine: follow_engine}
SLOW: frozenset[type] = frozenset({AskPreflight, FollowEngine})
"""Answered beside what is asked after them on the same connection."""
