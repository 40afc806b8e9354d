"""One run, folded from a session's log."""

import msgspec

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.config import LoadOptions, ProbeConfig, load_fields
from engine.errors import Failure
from engine.events import EngineEvent, ProbeFinished
from engine.planning.run_options import RunOptions
from sessions.events import (
    FINAL_STATES,
    ArrayStored,
    DrawingChanged,
    EffectsEnded,
    EffectsRequested,
    LogEntry,
    RunEnded,
    RunLabelled,
    RunStarted,
    RunState,
    RunVerified,
    SessionImported,
    SteeringRecorded,
    VerificationEnded,
    VerificationProgress,
    VerificationRequested,
    ViewChanged,
)
from tui.state.stage_pace import StagePace


class SessionRun(msgspec.Struct, kw_only=True):
    """State of one run of the session, from the log so far."""

    run_id: str
    number: int
    """Counted from 1 within the session."""
    config: ProbeConfig
    model: str
    queued_us: int
    loading: LoadOptions = LoadOptions()
    """How its model was to be loaded; without trust in the model's own code."""
    state: RunState = "queued"
    pace: StagePace = StagePace()
    """Pace of the current stage."""
    picture: RunSnapshot = RunSnapshot()
    failure: Failure | None = None
    started_us: int | None = None
    ended_us: int | None = None
    has_codes: bool = False
    cause: EffectsRequested | None = None
    """The effect measurement in progress after the run finished."""
    cause_failure: Failure | None = None
    """Why the last effect measurement failed."""
    again: str | None = None
    """The run whose examples and settings this one repeats."""
    look: ViewChanged | None = None
    """The view last recorded on any screen."""
    drawing: DrawingChanged = DrawingChanged()
    """How its edges are drawn, as last recorded."""
    steerings: tuple[SteeringRecorded, ...] = ()
    """What was recorded of steering its model, the oldest first."""
    verified: RunVerified | None = None
    verifying: VerificationRequested | VerificationProgress | None = None
    """The verification in progress: requested, then how far it is."""
    verify_failure: Failure | None = None
    """Why the last verification failed."""
    recorded: SessionImported | None = None
    """The import that brought it here; None: it was computed by a host of this store."""
    name: str = ""
    """What the user calls it; empty: by its number."""
    tags: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its number, and its name if it has one."""
        return f"run {self.number} {self.name}" if self.name else f"run {self.number}"

    @property
    def options(self) -> RunOptions:
        """The options it was requested with."""
        return RunOptions(config=self.config, model=self.model, **load_fields(self.loading))

    def seconds(self, now_us: int) -> float:
        """Return how long it took, or has taken so far, from its start to its end, including the engine's start."""
        if self.started_us is None:
            return 0.0
        return max((self.ended_us if self.ended_us is not None else now_us) - self.started_us, 0) / 1e6

    @property
    def recorded_us(self) -> int:
        """The time at which it ended; if it never started, at which it was queued."""
        return self.ended_us if self.ended_us is not None else self.queued_us

    @property
    def active(self) -> bool:
        return self.state not in FINAL_STATES

    @property
    def under_way(self) -> bool:
        """Whether the engine is working on it, for its scores or for effects."""
        return self.state == "running" or self.cause is not None

    def fold(self, entry: LogEntry) -> None:
        """Fold the next log entry of this run."""
        event = entry.event
        self.pace = self.pace.fold(entry.at_us, event)
        match event:
            case RunStarted():
                self.state, self.started_us = "running", entry.at_us
            case RunEnded():
                self.state, self.failure, self.ended_us = event.state, event.failure, entry.at_us
                # The current stage has ended, however the run ended.
                self.picture = msgspec.structs.replace(self.picture, stage=None)
            case RunLabelled():
                self.name, self.tags = event.name, event.tags
            case ViewChanged():
                self.look = event
            case DrawingChanged():
                self.drawing = event
            case SteeringRecorded():
                self.steerings = (*self.steerings, event)
            case RunVerified():
                self.verified = event
            case VerificationRequested():
                self.verifying, self.verify_failure = event, None
            case VerificationProgress():
                self.verifying = event
            case VerificationEnded():
                self.verifying, self.verify_failure = None, event.failure
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
