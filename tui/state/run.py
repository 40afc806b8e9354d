"""One run as a session's log tells it. No widget in here."""

import msgspec

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.config import ProbeConfig
from engine.errors import Failure
from engine.events import EngineEvent, ProbeFinished
from engine.planning.run_options import RunOptions
from sessions.events import (
    FINAL_STATES,
    ArrayStored,
    EffectsEnded,
    EffectsRequested,
    LogEntry,
    RunEnded,
    RunStarted,
    RunState,
    RunVerified,
    ViewChanged,
)
from tui.state.stage_pace import StagePace


class SessionRun(msgspec.Struct, kw_only=True):
    """One run of the session as far as the log has told it."""

    run_id: str
    number: int
    """Counted from 1 within the session: how a person names it."""
    config: ProbeConfig
    model: str
    queued_us: int
    device: str = "auto"
    state: RunState = "queued"
    pace: StagePace = StagePace()
    """Of the stage under way."""
    picture: RunSnapshot = RunSnapshot()
    failure: Failure | None = None
    started_us: int | None = None
    ended_us: int | None = None
    has_codes: bool = False
    cause: EffectsRequested | None = None
    """What is being measured on it, after it was done."""
    cause_failure: Failure | None = None
    """Why the last such measurement came to nothing."""
    again: str | None = None
    """The run whose examples and settings these are."""
    look: ViewChanged | None = None
    """How it was last looked at, on whatever screen."""
    verified: RunVerified | None = None

    @property
    def options(self) -> RunOptions:
        """How it was asked for."""
        return RunOptions(config=self.config, model=self.model, device=self.device)

    def seconds(self, now_us: int) -> float:
        """Return how long it took, or takes so far: from its start to its end, the engine's own start included."""
        if self.started_us is None:
            return 0.0
        return max((self.ended_us if self.ended_us is not None else now_us) - self.started_us, 0) / 1e6

    @property
    def active(self) -> bool:
        return self.state not in FINAL_STATES

    @property
    def under_way(self) -> bool:
        """Whether the engine is at work on it, for its scores or for a cause."""
        return self.state == "running" or self.cause is not None

    def fold(self, entry: LogEntry) -> None:
        """Takes in what the log says about it next."""
        event = entry.event
        self.pace = self.pace.fold(entry.at_us, event)
        match event:
            case RunStarted():
                self.state, self.started_us = "running", entry.at_us
            case RunEnded():
                self.state, self.failure, self.ended_us = event.state, event.failure, entry.at_us
                # A stage that was under way is over, however it ended.
                self.picture = msgspec.structs.replace(self.picture, stage=None)
            case ViewChanged():
                self.look = event
            case RunVerified():
                self.verified = event
            case EffectsRequested():
                self.cause, self.cause_failure = event, None
            case EffectsEnded():
                self.cause, self.cause_failure = None, event.failure
                self.picture = msgspec.structs.replace(self.picture, stage=None)
            case ArrayStored():
                self.has_codes |= event.name == "codes"
            case _ if isinstance(event, EngineEvent):
                self.picture = fold_event(self.picture, event, entry.at_us)
                self.has_codes |= isinstance(event, ProbeFinished)
