"""What the host answers about the runs to come: the options chosen for them."""

import msgspec

from sessions import queries
from sessions.log import OptionsChosen
from sessions.means import Answer, Means
from sessions.record import Draft, Recorded, Recorder
from sessions.wire import ChooseOptions, Done


async def choose_options(host: Means, request: ChooseOptions) -> Done:
    """Records them for the session. Raises NoSuchRecord, StoreError."""

    def change(recorder: Recorder) -> tuple[None, list[Recorded]]:
        session_id = queries.living_session(recorder.store, request.session)
        # Trust in somebody's code is not passed on by a log, which may come from a stranger.
        options = msgspec.structs.replace(request.options, trust_remote_code=False)
        return None, recorder.append([Draft(session_id=session_id, event=OptionsChosen(options=options))])

    await host.ledger.change(change)
    return Done()


ANSWERS: dict[type, Answer] = {ChooseOptions: choose_options}
