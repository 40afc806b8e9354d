"""What a session stores beside its runs, folded from its log: example versions, name, tags, notes, circuits."""

import copy

import msgspec

from engine.config import load_fields
from engine.examples import Example
from engine.planning.run_options import RunOptions
from sessions.events import (
    CircuitDeleted,
    CircuitSaved,
    ExamplesSet,
    ExamplesStepped,
    LogEntry,
    NoteRemoved,
    NoteWritten,
    OptionsChosen,
    RunQueued,
    SessionCreated,
    SessionImported,
    SessionRenamed,
    SessionRestored,
    SessionTrashed,
    TagsSet,
)


class SessionNote(msgspec.Struct, frozen=True, kw_only=True):
    """The current text of a note."""

    note_id: str
    text: str
    at_us: int
    """When it was last written."""
    run_id: str | None = None
    """None: a note on the session."""
    head: tuple[int, int] | None = None


class SavedCircuit(msgspec.Struct, frozen=True, kw_only=True):
    """Heads saved under a name."""

    name: str
    heads: tuple[tuple[int, int], ...]
    source: str
    at_us: int
    run_id: str | None = None


class ExampleHistory:
    """All versions of the session's examples, and the current one, which undo and redo change."""

    def __init__(self) -> None:
        self.versions: list[tuple[Example, ...]] = []
        """All versions in the order of the log; version 1 first."""
        self.hashes: list[str] = []
        self.version = 0
        """The current version, counted from 1; 0 while there is none."""

    @property
    def current(self) -> tuple[Example, ...]:
        return self.versions[self.version - 1] if self.version else ()

    @property
    def content_hash(self) -> str:
        return self.hashes[self.version - 1] if self.version else ""

    def copy(self) -> "ExampleHistory":
        """Return an independent copy."""
        found = ExampleHistory()
        found.versions, found.hashes = self.versions.copy(), self.hashes.copy()
        found.version = self.version
        return found

    def set(self, examples: tuple[Example, ...], content_hash: str) -> None:
        """Append a new version, which becomes the current one."""
        # Most examples were in the version before; equal ones share one object.
        known = {example: example for example in self.current}
        self.versions.append(tuple(known.get(example, example) for example in examples))
        self.hashes.append(content_hash)
        self.version = len(self.versions)

    def step(self, version: int) -> None:
        """Make another version current. Unknown versions are ignored."""
        if 0 < version <= len(self.versions):
            self.version = version


class SessionState:
    """Everything of a session except its runs and views."""

    def __init__(self) -> None:
        self.name = ""
        self.model = ""
        self.task: str | None = None
        self.examples = ExampleHistory()
        self.tags: tuple[str, ...] = ()
        self.notes: dict[str, SessionNote] = {}
        """By id, in the order of creation."""
        self.circuits: dict[str, SavedCircuit] = {}
        """By name."""
        self.options: RunOptions | None = None
        """Options of the newest requested run, or chosen since; None: no run was requested yet."""
        self.options_are_new = False
        """Whether they were chosen after the newest run was requested."""
        self.trashed = False
        self.imported: SessionImported | None = None

    def copy(self) -> "SessionState":
        found = copy.copy(self)
        found.examples, found.notes, found.circuits = self.examples.copy(), self.notes.copy(), self.circuits.copy()
        return found

    def fold(self, entry: LogEntry) -> bool:
        """Fold an entry; return False if it concerns something else."""
        event = entry.event
        if isinstance(event, RunQueued):
            self.options = RunOptions(config=event.config, model=event.model, **load_fields(event, trusted=False))
            self.options_are_new = False
            return False
        match event:
            case SessionCreated():
                self.name, self.model, self.task = event.name, event.model, event.task
            case SessionRenamed():
                self.name = event.name
            case ExamplesSet():
                self.examples.set(event.examples, event.content_hash)
            case ExamplesStepped():
                self.examples.step(event.version)
            case TagsSet():
                self.tags = event.tags
            case NoteWritten():
                self.notes[event.note_id] = SessionNote(
                    note_id=event.note_id, text=event.text, at_us=entry.at_us, run_id=entry.run_id, head=event.head
                )
            case NoteRemoved():
                self.notes.pop(event.note_id, None)
            case CircuitSaved():
                self.circuits[event.name] = SavedCircuit(
                    name=event.name, heads=event.heads, source=event.source, at_us=entry.at_us, run_id=entry.run_id
                )
            case CircuitDeleted():
                self.circuits.pop(event.name, None)
            case OptionsChosen():
                self.options, self.options_are_new = event.options, True
            case SessionTrashed() | SessionRestored():
                self.trashed = isinstance(event, SessionTrashed)
            case SessionImported():
                # As in the tables: it may have another name here, and it leaves the trash it was exported from.
                self.imported, self.trashed, self.name = event, False, event.name or self.name
            case _:
                return False
        return True
