"""Define the events of the log: what users did and what the engine reported, in one order per session."""

from typing import Literal

import msgspec

from engine.config import EffectsConfig, LoadOptions, ProbeConfig
from engine.errors import Failure
from engine.events import EngineEvent, Event, Stage
from engine.examples import Example
from engine.explanations import CodeExplanation
from engine.planning.run_options import RunOptions
from engine.steering import SteerPlan, SteerResult
from engine.sweeps.plan import SweepPlan

EVENT_VERSION = 1
"""Stored with every event; a kind that changes its meaning gets a higher number and its own reader."""

RunState = Literal["queued", "running", "done", "stopped", "failed", "interrupted"]
"""stopped: by the user; failed: with a reason; interrupted: the host ended during the run."""
FINAL_STATES: frozenset[RunState] = frozenset({"done", "stopped", "failed", "interrupted"})


class SessionCreated(Event, tag="session_created", frozen=True, kw_only=True):
    """The first entry of a session."""

    name: str
    model: str
    task: str | None = None
    pairs: int = 10
    task_seed: int = 0


class ExamplesSet(Event, tag="examples_set", frozen=True, kw_only=True):
    """A new version of the session's example set, complete."""

    examples: tuple[Example, ...]
    content_hash: str


class ExamplesStepped(Event, tag="examples_stepped", frozen=True, kw_only=True):
    """Undo (-1) or redo (1): another version of the examples becomes current.

    Versions are those of ExamplesSet, counted from 1 in the order of the log. A new ExamplesSet after an undo drops
    the versions that could have been redone; they stay in the log.
    """

    by: Literal[-1, 1]
    version: int
    content_hash: str


class SessionRenamed(Event, tag="session_renamed", frozen=True, kw_only=True):
    """The session has a new name."""

    name: str


class TagsSet(Event, tag="tags_set", frozen=True, kw_only=True):
    """All tags of the session from now on, sorted."""

    tags: tuple[str, ...]


class NoteWritten(Event, tag="note_written", frozen=True, kw_only=True):
    """A note on the session or on the entry's run; the same note_id again replaces its text."""

    note_id: str
    text: str
    head: tuple[int, int] | None = None
    """The layer and head that the note is about."""


class NoteRemoved(Event, tag="note_removed", frozen=True, kw_only=True):
    """A note was removed."""

    note_id: str


class SessionTrashed(Event, tag="session_trashed", frozen=True, kw_only=True):
    """The session was moved to the trash; emptying the trash deletes it."""


class SessionRestored(Event, tag="session_restored", frozen=True, kw_only=True):
    """The session was taken out of the trash."""


class RunLabelled(Event, tag="run_labelled", frozen=True, kw_only=True, omit_defaults=True):
    """The name and the tags of the entry's run from now on, complete."""

    name: str = ""
    """Empty: it is called by its number alone."""
    tags: tuple[str, ...] = ()
    """Sorted."""


class ViewChanged(Event, tag="look_changed", frozen=True, kw_only=True):
    """The measure and circuit size with which the user looks at the entry's run from now on."""

    measure: str
    cut: int


EdgeWeight = Literal["codes", "attribution", "exact"]
"""What an edge of the drawing weighs: its code pairs, or its effect, estimated or by exact patching."""
DRAWN_EDGES = 24
"""Edges drawn unless the user changes it; more are unreadable."""


class NodeGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nodes that the user calls by one name: name movers."""

    name: str
    nodes: tuple[tuple[int, int], ...]
    folded: bool = False
    """True if they are drawn as one box, their edges summed."""


class DrawingChanged(Event, tag="drawing_changed", frozen=True, kw_only=True, omit_defaults=True):
    """How the edges of the entry's run are drawn from now on, complete."""

    weight: EdgeWeight = "codes"
    most: int = DRAWN_EDGES
    """Edges drawn at most, the strongest."""
    least: float = 0.0
    """Edges below this share of the strongest are not drawn."""
    pinned: tuple[tuple[int, int], ...] = ()
    """Nodes that stay, each with its strongest edge."""
    groups: tuple[NodeGroup, ...] = ()
    """Named groups; a node is in one at most."""


class CircuitSaved(Event, tag="circuit_kept", frozen=True, kw_only=True):
    """Heads saved under a name; the same name again replaces them."""

    name: str
    heads: tuple[tuple[int, int], ...]
    source: str
    """Describes how it was made: selected from a run, a union, an import."""


class CircuitDeleted(Event, tag="circuit_dropped", frozen=True, kw_only=True):
    """A saved circuit was deleted."""

    name: str


class ExplanationRecorded(Event, tag="code_explained", frozen=True, kw_only=True):
    """A code of the entry's run was explained; a later explanation of the same code replaces it."""

    explanation: CodeExplanation


class EffectsRequested(Event, tag="cause_asked", frozen=True, kw_only=True):
    """An effect measurement on the entry's finished run was requested."""

    config: EffectsConfig
    heads: tuple[tuple[int, int], ...] = ()
    """Only these heads, for exact patching; empty: all."""
    after: tuple[tuple[int, int], ...] = ()
    """Backup heads that are replaced as well."""
    after_name: str = ""
    edges: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    """Only these edges, (source, target), by exact patching."""


class EffectsEnded(Event, tag="cause_ended", frozen=True, kw_only=True):
    """The last requested effect measurement on the entry's run ended. What it reported stays."""

    state: RunState
    failure: Failure | None = None


class SteeringRecorded(Event, tag="steered", frozen=True, kw_only=True, omit_defaults=True):
    """The entry's run was steered: what was asked for, complete, and what it did."""

    plan: SteerPlan
    result: SteerResult


class VerificationRequested(Event, tag="verify_asked", frozen=True, kw_only=True):
    """A verification of the entry's finished run was requested: the run is repeated from what is stored."""


class VerificationProgress(Event, tag="verify_progress", frozen=True, kw_only=True):
    """How far the repetition of the entry's run is. It reports nothing else: its results are only compared."""

    stage: Stage
    done: int
    total: int
    """0: unknown."""
    unit: str = ""


class VerificationEnded(Event, tag="verify_ended", frozen=True, kw_only=True):
    """The last requested verification of the entry's run ended; if it is done, RunVerified is the entry before."""

    state: RunState
    failure: Failure | None = None


class RunVerified(Event, tag="run_verified", frozen=True, kw_only=True):
    """The entry's run was repeated from what is stored."""

    verdict: Literal["same", "rounding", "differs", "impossible"]
    """same: identical in every bit."""
    words: str
    """The result in words."""
    stage: str = ""
    """The first stage that differs."""
    largest: float = 0.0
    """The largest difference in that stage, in the stage's own unit."""


class SessionImported(Event, tag="session_imported", frozen=True, kw_only=True):
    """The entries before this one were imported from a bundle."""

    bundle_sha256: str
    from_session: str
    headcode: str
    """The version that wrote the bundle."""
    name: str | None = None
    """The session's name here, if its own name was taken or another was requested."""


class OptionsChosen(Event, tag="options_chosen", frozen=True, kw_only=True):
    """The options of the session's next run; RunQueued records those that a run really used."""

    options: RunOptions
    """Does not include trust in a model's own code, which is given each time."""


class RunQueued(LoadOptions, Event, tag="run_queued", frozen=True, kw_only=True):
    """A run was queued. Its examples follow as ExamplesMade once they are known to fit the model."""

    config: ProbeConfig
    model: str
    task: str | None = None
    again: str | None = None
    """The run that this one repeats."""
    known: str | None = None
    """The task whose known circuit the user compares their own examples with."""
    unit: str | msgspec.UnsetType = msgspec.UNSET
    """Of a run of a sweep: its content key (engine.sweeps.content_key)."""


class SweepPlanned(Event, tag="sweep_planned", frozen=True, kw_only=True):
    """The session holds these units of a sweep, a new one or one that is extended.

    A unit replaces an earlier one of the same sweep and session that has its labels: other versions give another key.
    """

    sweep_id: str
    plan: SweepPlan
    """Of this session: its units, their options, and their one source, whose examples the session has."""


class RunStarted(Event, tag="run_started", frozen=True, kw_only=True):
    """The run started."""


class ArrayStored(Event, tag="array_kept", frozen=True, kw_only=True):
    """An array of the run was stored permanently in a file named by its content hash."""

    name: str
    sha256: str
    n_bytes: int


class RunEnded(Event, tag="run_ended", frozen=True, kw_only=True):
    """The run ended."""

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
    | RunLabelled
    | ViewChanged
    | DrawingChanged
    | CircuitSaved
    | CircuitDeleted
    | ExplanationRecorded
    | EffectsRequested
    | EffectsEnded
    | SteeringRecorded
    | VerificationRequested
    | VerificationProgress
    | VerificationEnded
    | RunVerified
    | SessionImported
    | OptionsChosen
    | SweepPlanned
    | RunQueued
    | RunStarted
    | ArrayStored
    | RunEnded
)
AnyEvent = EngineEvent | SessionEvent


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a session's log, identified permanently by (session_id, seq)."""

    session_id: str
    seq: int
    """Counted from 1 within the session, without gaps."""
    at_us: int
    """UTC, microseconds since 1970."""
    run_id: str | None
    """The run that the entry belongs to; None: the session."""
    event: AnyEvent
