"""The event log: everything a person did and everything the engine reported, in one order per session."""

from typing import Literal

import msgspec

from engine.config import EffectsConfig, ProbeConfig
from engine.errors import Failure
from engine.events import EngineEvent, Event
from engine.examples import Example
from engine.planning.run_options import RunOptions

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


class ExamplesStepped(Event, tag="examples_stepped", frozen=True, kw_only=True):
    """Undo (-1) or redo (1): another version of the examples is the current one again.

    Versions are those of ExamplesSet, counted from 1 in the order of the log. A new ExamplesSet after an undo drops
    the versions that could have been redone; they stay in the log.
    """

    by: Literal[-1, 1]
    version: int
    content_hash: str


class SessionRenamed(Event, tag="session_renamed", frozen=True, kw_only=True):
    name: str


class TagsSet(Event, tag="tags_set", frozen=True, kw_only=True):
    """All tags the session has from now on, sorted."""

    tags: tuple[str, ...]


class NoteWritten(Event, tag="note_written", frozen=True, kw_only=True):
    """A note on the session, or on the entry's run; the same note_id again changes it."""

    note_id: str
    text: str
    head: tuple[int, int] | None = None
    """Layer and head it speaks of."""


class NoteRemoved(Event, tag="note_removed", frozen=True, kw_only=True):
    note_id: str


class SessionTrashed(Event, tag="session_trashed", frozen=True, kw_only=True):
    """Out of sight; gone for good when the trash is emptied."""


class SessionRestored(Event, tag="session_restored", frozen=True, kw_only=True):
    pass


class ViewChanged(Event, tag="look_changed", frozen=True, kw_only=True):
    """How the entry's run is looked at from now on: by which measure, with how many heads in the circuit."""

    measure: str
    cut: int


class CircuitSaved(Event, tag="circuit_kept", frozen=True, kw_only=True):
    """Heads kept under a name; the same name again replaces them."""

    name: str
    heads: tuple[tuple[int, int], ...]
    source: str
    """How it was made, in words: a run's cut, a union, an import."""


class CircuitDeleted(Event, tag="circuit_dropped", frozen=True, kw_only=True):
    name: str


class EffectsRequested(Event, tag="cause_asked", frozen=True, kw_only=True):
    """What the heads of the entry's run do to the answer is to be measured; the run itself is over."""

    config: EffectsConfig
    heads: tuple[tuple[int, int], ...] = ()
    """Only these, for exact patching; none: all."""
    after: tuple[tuple[int, int], ...] = ()
    """With these replaced, too: backups."""
    after_name: str = ""


class EffectsEnded(Event, tag="cause_ended", frozen=True, kw_only=True):
    """The measurement last asked for on the entry's run is over. What it reported stays."""

    state: RunState
    failure: Failure | None = None


class RunVerified(Event, tag="run_verified", frozen=True, kw_only=True):
    """The entry's run was done again from what is stored."""

    verdict: Literal["same", "rounding", "differs", "impossible"]
    """same: bit for bit."""
    words: str
    """What was found, for a person."""
    stage: str = ""
    """The first stage that differs."""
    largest: float = 0.0
    """By how much at most, in that stage's own unit."""


class SessionImported(Event, tag="session_imported", frozen=True, kw_only=True):
    """The entries before this one came from a bundle."""

    bundle_sha256: str
    from_session: str
    headcode: str
    """The version that wrote the bundle."""
    name: str | None = None
    """What the session is called here, where its own name was taken or another was asked for."""


class OptionsChosen(Event, tag="options_chosen", frozen=True, kw_only=True):
    """How the session's next run is to be done; a run that is asked for later says it anew."""

    options: RunOptions
    """Trust in a model's own code is no part of it: that is given anew each time."""


class RunQueued(Event, tag="run_queued", frozen=True, kw_only=True):
    """A run was asked for. Its examples follow as ExamplesMade, once they are known to fit the model."""

    config: ProbeConfig
    model: str
    task: str | None = None
    device: str = "auto"
    trust_remote_code: bool = False
    again: str | None = None
    """The run whose examples and settings these are."""
    known: str | None = None
    """The task whose known circuit a person chose to hold their own examples against."""


class RunStarted(Event, tag="run_started", frozen=True, kw_only=True):
    pass


class ArrayStored(Event, tag="array_kept", frozen=True, kw_only=True):
    """An array of the run was put beside the store for good, named by its content."""

    name: str
    sha256: str
    n_bytes: int


class RunEnded(Event, tag="run_ended", frozen=True, kw_only=True):
    state: RunState
    failure: Failure | None = None


SessionEvent = (
    SessionCreated
    | ExamplesSet
    | ExamplesStepped
    | SessionRenamed
    | TagsSet
    | NoteWritten
    | NoteRemoved
    | SessionTrashed
    | SessionRestored
    | ViewChanged
    | CircuitSaved
    | CircuitDeleted
    | EffectsRequested
    | EffectsEnded
    | RunVerified
    | SessionImported
    | OptionsChosen
    | RunQueued
    | RunStarted
    | ArrayStored
    | RunEnded
)
AnyEvent = EngineEvent | SessionEvent


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
