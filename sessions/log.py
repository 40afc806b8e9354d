"""The event log: everything a person did and everything the engine reported, in one order per session."""

from typing import Literal

import msgspec

from engine.config import ProbeConfig
from engine.errors import Failure
from engine.events import EngineEvent, Event
from engine.examples import Example

EVENT_VERSION = 1
"""Stored beside every event; a later meaning of a kind gets a higher number and a reader of its own."""

RunState = Literal["queued", "running", "done", "stopped", "failed", "interrupted"]
"""stopped: by the person; failed: with a reason; interrupted: the host went away under it."""
FINAL_STATES: frozenset[RunState] = frozenset({"done", "stopped", "failed", "interrupted"})


class SessionCreated(Event, tag="session_created", frozen=True, kw_only=True):
    name: str
    model: str
    task: str | None = None
    pairs: int = 10
    task_seed: int = 0


class ExamplesSet(Event, tag="examples_set", frozen=True, kw_only=True):
    """A new version of the session's example set, whole."""

    examples: tuple[Example, ...]
    content_hash: str


class RunQueued(Event, tag="run_queued", frozen=True, kw_only=True):
    """A run was asked for. Its examples follow as ExamplesMade, once they are known to fit the model."""

    config: ProbeConfig
    model: str
    task: str | None = None
    device: str = "auto"
    trust_remote_code: bool = False


class RunStarted(Event, tag="run_started", frozen=True, kw_only=True):
    pass


class ArrayKept(Event, tag="array_kept", frozen=True, kw_only=True):
    """An array of the run was put beside the store for good, named by its content."""

    name: str
    sha256: str
    n_bytes: int


class RunEnded(Event, tag="run_ended", frozen=True, kw_only=True):
    state: RunState
    failure: Failure | None = None


AnyEvent = EngineEvent | SessionCreated | ExamplesSet | RunQueued | RunStarted | ArrayKept | RunEnded


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a session's log. (session_id, seq) names it for ever."""

    session_id: str
    seq: int
    """Counted from 1 within the session, without gaps."""
    at_us: int
    """UTC, microseconds since 1970."""
    run_id: str | None
    """The run it belongs to; None for what concerns the session."""
    event: AnyEvent
