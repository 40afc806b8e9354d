"""Regions of the screen that a log entry changes."""

from typing import Literal

from engine.events import (
    CircuitChecked,
    EdgesScored,
    EffectsMeasured,
    ExamplesMade,
    Graded,
    ModelReady,
    ProbeFinished,
    ReferenceKnown,
    Scored,
)
from sessions.events import (
    ArrayStored,
    CircuitDeleted,
    CircuitSaved,
    DrawingChanged,
    EffectsEnded,
    EffectsRequested,
    ExamplesSet,
    ExamplesStepped,
    NoteRemoved,
    NoteWritten,
    RunEnded,
    RunLabelled,
    RunQueued,
    RunStarted,
    RunVerified,
    SessionCreated,
    SessionRenamed,
    SessionRestored,
    SessionTrashed,
    SteeringRecorded,
    TagsSet,
    VerificationEnded,
    VerificationProgress,
    VerificationRequested,
    ViewChanged,
)

Part = Literal["header", "examples", "grid", "head", "progress", "time"]
"""Regions of the screen that are redrawn separately."""
ALL_PARTS: frozenset[Part] = frozenset({"header", "examples", "grid", "head", "progress"})

_SHOWN_IN: dict[type, frozenset[Part]] = {
    ModelReady: frozenset({"header", "grid", "head", "progress"}),
    ExamplesMade: frozenset({"header", "examples", "head"}),
    Graded: frozenset({"examples"}),
    ReferenceKnown: frozenset({"grid", "head"}),
    Scored: frozenset({"grid", "head", "examples", "progress"}),
    EdgesScored: frozenset(),
    ArrayStored: frozenset({"examples", "head"}),
    SessionCreated: frozenset({"header", "examples"}),
    SessionRenamed: frozenset({"header"}),
    TagsSet: frozenset({"header"}),
    SessionTrashed: frozenset({"header"}),
    SessionRestored: frozenset({"header"}),
    ExamplesSet: frozenset({"examples"}),
    ExamplesStepped: frozenset({"examples"}),
    NoteWritten: frozenset({"head", "progress"}),
    NoteRemoved: frozenset({"head", "progress"}),
    RunLabelled: frozenset({"header", "grid", "progress"}),
    ViewChanged: frozenset({"grid", "head"}),
    DrawingChanged: frozenset({"grid"}),
    CircuitSaved: frozenset({"grid", "head"}),
    CircuitDeleted: frozenset({"grid", "head"}),
    RunVerified: frozenset({"progress"}),
    SteeringRecorded: frozenset({"head", "progress"}),
    VerificationRequested: frozenset({"progress"}),
    VerificationProgress: frozenset({"progress"}),
    VerificationEnded: frozenset({"progress"}),
    EffectsRequested: frozenset({"header", "progress"}),
    EffectsEnded: frozenset({"grid", "head", "progress"}),
    EffectsMeasured: frozenset({"grid", "head", "progress"}),
    CircuitChecked: frozenset({"head", "progress"}),
    RunQueued: ALL_PARTS,
    RunStarted: ALL_PARTS,
    RunEnded: ALL_PARTS,
    ProbeFinished: ALL_PARTS,
}


def parts_of(event: object) -> frozenset[Part]:
    """Return the regions that show this event; all other events are shown in the progress strip."""
    return _SHOWN_IN.get(type(event), frozenset({"progress"}))
