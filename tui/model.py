"""What the screen knows: a session's log folded into runs, and what the person is looking at. No widget in here."""

import contextlib
import copy
from collections.abc import Iterable
from typing import Literal

import msgspec

from engine.config import ProbeConfig
from engine.errors import ConfigError, Failure
from engine.events import (
    CauseScored,
    CircuitChecked,
    EdgesScored,
    EngineEvent,
    ExamplesMade,
    Graded,
    ModelReady,
    ProbeFinished,
    ReferenceKnown,
    Scored,
)
from engine.examples import Example
from engine.measures import DEFAULT_MEASURE, MEASURES, Measure, find_measure, value_of
from engine.ranking import best_head
from engine.results import Grade, HeadId, ModelInfo
from engine.state import RunPicture, apply
from sessions.log import (
    FINAL_STATES,
    ArrayKept,
    CauseAsked,
    CauseEnded,
    CircuitDropped,
    CircuitKept,
    ExamplesSet,
    ExamplesStepped,
    LogEntry,
    LookChanged,
    NoteRemoved,
    NoteWritten,
    RunEnded,
    RunQueued,
    RunStarted,
    RunState,
    RunVerified,
    SessionCreated,
    SessionRenamed,
    SessionRestored,
    SessionTrashed,
    TagsSet,
)
from sessions.rows import HeadCodes, HostStatus
from tui.against import Against, Subtraction
from tui.kept import Kept
from tui.overlay import Overlay
from tui.view import GridView, look

Part = Literal["header", "examples", "grid", "head", "progress", "time"]
"""The parts of the screen that are drawn again by themselves."""
ALL_PARTS: frozenset[Part] = frozenset({"header", "examples", "grid", "head", "progress"})

LinkState = Literal["connecting", "live", "lost", "failed", "replay"]
"""failed: nothing but the person can mend it. replay: what is shown was, and nothing of it can be changed."""

_CODES_KEPT = 512
"""Heads whose codes stay at hand."""

_SHOWN_IN: dict[type, frozenset[Part]] = {
    ModelReady: frozenset({"header", "grid", "head", "progress"}),
    ExamplesMade: frozenset({"header", "examples", "head"}),
    Graded: frozenset({"examples"}),
    ReferenceKnown: frozenset({"grid", "head"}),
    Scored: frozenset({"grid", "head", "examples", "progress"}),
    EdgesScored: frozenset(),
    ArrayKept: frozenset({"examples", "head"}),
    SessionCreated: frozenset({"header", "examples"}),
    SessionRenamed: frozenset({"header"}),
    TagsSet: frozenset({"header"}),
    SessionTrashed: frozenset({"header"}),
    SessionRestored: frozenset({"header"}),
    ExamplesSet: frozenset({"examples"}),
    ExamplesStepped: frozenset({"examples"}),
    NoteWritten: frozenset({"head", "progress"}),
    NoteRemoved: frozenset({"head", "progress"}),
    LookChanged: frozenset({"grid", "head"}),
    CircuitKept: frozenset({"grid", "head"}),
    CircuitDropped: frozenset({"grid", "head"}),
    RunVerified: frozenset({"progress"}),
    CauseAsked: frozenset({"header", "progress"}),
    CauseEnded: frozenset({"grid", "head", "progress"}),
    CauseScored: frozenset({"grid", "head", "progress"}),
    CircuitChecked: frozenset({"head", "progress"}),
    RunQueued: ALL_PARTS,
    RunStarted: ALL_PARTS,
    RunEnded: ALL_PARTS,
    ProbeFinished: ALL_PARTS,
}


class Run(msgspec.Struct, kw_only=True):
    """One run of the session as far as the log has told it."""

    run_id: str
    number: int
    """Counted from 1 within the session: how a person names it."""
    config: ProbeConfig
    model: str
    queued_us: int
    state: RunState = "queued"
    picture: RunPicture = RunPicture()
    failure: Failure | None = None
    started_us: int | None = None
    ended_us: int | None = None
    has_codes: bool = False
    cause: CauseAsked | None = None
    """What is being measured on it, after it was done."""
    cause_failure: Failure | None = None
    """Why the last such measurement came to nothing."""
    again: str | None = None
    """The run whose examples and settings these are."""
    look: LookChanged | None = None
    """How it was last looked at, on whatever screen."""
    verified: RunVerified | None = None

    @property
    def active(self) -> bool:
        return self.state not in FINAL_STATES

    @property
    def under_way(self) -> bool:
        """Whether the engine is at work on it, for its scores or for a cause."""
        return self.state == "running" or self.cause is not None


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What a log made of a bench at one moment; what it shares with the bench nobody changes."""

    last_seq: int
    saved_us: int | None
    name: str
    model: str
    task: str | None
    kept: Kept
    runs: tuple[Run, ...]
    cuts: dict[str, int]
    measure: Measure
    cursor: HeadId


class Bench:
    """The state of the workbench. Widgets read it, the link and the keys change it."""

    def __init__(self, *, model: str, task: str) -> None:
        self.model = model
        self.task: str | None = task
        self.session_id: str | None = None
        self.session_name = ""
        self.kept = Kept()
        self.runs: list[Run] = []
        self.last_seq = 0
        self.saved_us: int | None = None
        self.link: LinkState = "connecting"
        self.failure: Failure | None = None
        """Why the link failed, or why the newest request was refused."""
        self.link_words = ""
        self.worker: HostStatus | None = None
        self.stopping: str | None = None
        """The run that was asked to stop."""
        self.measure: Measure = DEFAULT_MEASURE
        self.cursor = HeadId(0, 0)
        self.cursor_moved = False
        """Until the person moves it, the cursor stays on the best head of the run."""
        self.seed_index = 0
        self.selected: int | None = None
        """The example that is shown whole."""
        self.codes: dict[tuple[str, int, int, int], HeadCodes | Failure] = {}
        self._cuts: dict[str, int] = {}
        self._chosen_run: str | None = None
        self._own_looks: dict[str, Measure] = {}
        """Runs whose measure or cut the person changed on this screen: there, no other screen's word counts."""
        self.looks_made = 0
        """How often the person changed measure or cut on this screen."""
        self._view: GridView | None = None
        self.overlay = Overlay()
        self.subtraction = Subtraction()
        self.verifying = ""
        """How far a run is being done again, in words; empty: none is."""

    # ---- the log

    def fold(self, entries: Iterable[LogEntry]) -> frozenset[Part]:
        """Takes in entries not seen before; says which parts of the screen they change."""
        parts: frozenset[Part] = frozenset()
        for entry in entries:
            if entry.seq <= self.last_seq and entry.session_id == self.session_id:
                continue
            self.last_seq, self.saved_us = entry.seq, entry.at_us
            self._fold_one(entry)
            parts |= _SHOWN_IN.get(type(entry.event), frozenset({"progress"}))
        return parts | {"header"} if parts else parts

    def forget(self) -> None:
        """Before another session, or the same one from its start, is folded."""
        self.runs.clear()
        self._chosen_run = None
        self.codes.clear()
        self._cuts.clear()
        self._own_looks.clear()
        self.subtraction.end()
        self.kept = Kept()
        self.last_seq, self.saved_us, self._view = 0, None, None

    def freeze(self) -> Frame:
        """The log's share of the state, to come back to. Costs as little as the runs are few."""
        return Frame(
            last_seq=self.last_seq,
            saved_us=self.saved_us,
            name=self.session_name,
            model=self.model,
            task=self.task,
            kept=self.kept.copy(),
            runs=tuple(map(copy.copy, self.runs)),
            cuts=self._cuts.copy(),
            measure=self.measure,
            cursor=self.cursor,
        )

    def rewind(self, frame: Frame, entries: Iterable[LogEntry] = ()) -> frozenset[Part]:
        """The bench as the log had it at the frame and after these entries.

        What the viewer chose stays as long as there is something it is about: run, cursor, seed, measure and cut.
        """
        run, chosen = self.shown.run_id if self.shown is not None else None, self._chosen_run
        cursor = self.cursor if self.cursor_moved else None
        seed, own_looks, cuts = self.seed_index, self._own_looks, self._cuts
        self._own_looks, self._chosen_run = {}, None
        self.last_seq, self.saved_us, self._view = frame.last_seq, frame.saved_us, None
        self.session_name, self.model, self.task = frame.name, frame.model, frame.task
        self.kept, self.runs = frame.kept.copy(), [copy.copy(each) for each in frame.runs]
        self._cuts = frame.cuts.copy()
        self.measure, self.cursor, self.cursor_moved, self.seed_index = frame.measure, frame.cursor, False, 0
        self.fold(entries)
        self._own_looks, self._chosen_run = own_looks, chosen if self._run(chosen) is not None else None
        self._cuts |= {name: cuts[name] for name in own_looks if name in cuts}
        if self.shown is not None and self.shown.run_id == run:
            self.seed_index = seed
            if cursor is not None:
                self.cursor, self.cursor_moved = cursor, True
        if self.shown is not None:
            self.measure = self._own_looks.get(self.shown.run_id, self.measure)
        return ALL_PARTS | {"time"}

    def _fold_one(self, entry: LogEntry) -> None:
        event = entry.event
        if self.kept.fold(entry):
            self.session_name = self.kept.name or self.session_name
            if isinstance(event, SessionCreated):
                self.model, self.task = event.model, event.task
            return
        match event:
            case RunQueued() if entry.run_id is not None:
                self.runs.append(
                    Run(
                        run_id=entry.run_id,
                        number=len(self.runs) + 1,
                        config=event.config,
                        model=event.model,
                        queued_us=entry.at_us,
                        again=event.again,
                    )
                )
                self.cursor_moved = False
                self.seed_index = 0
                self._chosen_run = None
            case _:
                run = self._run(entry.run_id)
                if run is not None:
                    self._fold_run(run, entry)

    def _fold_run(self, run: Run, entry: LogEntry) -> None:
        event = entry.event
        match event:
            case RunStarted():
                run.state, run.started_us = "running", entry.at_us
            case RunEnded():
                run.state, run.failure, run.ended_us = event.state, event.failure, entry.at_us
                # A stage that was under way is over, however it ended.
                run.picture = msgspec.structs.replace(run.picture, stage=None)
                self._settle_cursor(run)
            case LookChanged():
                self._fold_look(run, event)
            case RunVerified():
                run.verified = event
            case CauseAsked():
                run.cause, run.cause_failure = event, None
            case CauseEnded():
                run.cause, run.cause_failure = None, event.failure
                run.picture = msgspec.structs.replace(run.picture, stage=None)
            case ArrayKept():
                run.has_codes |= event.name == "codes"
            case _ if not isinstance(event, EngineEvent):
                pass
            case _:
                run.picture = apply(run.picture, event)
                run.has_codes |= isinstance(event, ProbeFinished)
                if isinstance(event, Scored):
                    self._settle_cursor(run)

    def _fold_look(self, run: Run, look: LookChanged) -> None:
        """How a run is looked at on another screen, or was in an earlier hour: followed until the person acts here."""
        run.look = look
        if run.run_id in self._own_looks:
            return
        self._cuts[run.run_id] = look.cut
        if run is self.shown:
            # A measure of a later version, or of a stranger's bundle, is no reason to stop.
            with contextlib.suppress(ConfigError):
                self.measure = find_measure(look.measure)
        self._settle_cursor(run)

    def _run(self, run_id: str | None) -> Run | None:
        return next((run for run in reversed(self.runs) if run.run_id == run_id), None)

    def _settle_cursor(self, run: Run) -> None:
        if self.cursor_moved or run is not self.shown:
            return
        # The best head alone: a whole view ranks all of them, and a replay passes a hundred scores in a moment.
        self.cursor = best_head(run.picture.nodes, self.measure) or self.cursor

    # ---- what is shown

    @property
    def shown(self) -> Run | None:
        """The run that was chosen, else the newest."""
        chosen = None if self._chosen_run is None else self._run(self._chosen_run)
        return chosen or (self.runs[-1] if self.runs else None)

    @property
    def active(self) -> Run | None:
        """The oldest run that is queued or under way, shown or not."""
        return next((run for run in self.runs if run.active), None)

    @property
    def measured(self) -> Run | None:
        """The oldest run whose heads are being measured after it was done."""
        return next((run for run in self.runs if run.cause is not None), None)

    def show_run(self, run_id: str | None) -> None:
        """Chooses a run to look at; None: the newest, and those that come."""
        if run_id != (None if self.shown is None else self.shown.run_id):
            self._chosen_run, self.cursor_moved, self.seed_index, self.selected = run_id, False, 0, None
            if self.shown is not None:
                self._settle_cursor(self.shown)

    @property
    def broke_off(self) -> bool:
        """Whether the newest run came to no good end and could come to one: on the same examples as before."""
        run = self.shown
        if run is None or run.state not in ("failed", "interrupted"):
            return False
        now = tuple(example for example in self.kept.examples.current if example.enabled)
        return not now or not run.picture.examples or now == run.picture.examples

    @property
    def examples(self) -> tuple[Example, ...]:
        run = self.shown
        return run.picture.examples if run is not None and run.picture.examples else self.kept.examples.current

    @property
    def grades(self) -> tuple[Grade, ...]:
        run = self.shown
        return run.picture.grades if run is not None and run.picture.examples else ()

    @property
    def model_info(self) -> ModelInfo | None:
        """Of the shown run, else of the newest that got as far as loading one."""
        return next((run.picture.model for run in reversed(self.runs) if run.picture.model is not None), None)

    def view(self) -> GridView | None:
        """The grid under the chosen measure and cut; None while nothing is scored."""
        run = self.shown
        if run is None or not run.picture.nodes:
            return None
        self._view = look(
            run.picture.nodes,
            measure=self.measure,
            cut=self.cut_of(run),
            reference=self.overlay.reference(run.picture.reference, self.kept.circuits, self.shape()),
            final=run.picture.nodes_final,
            before=self._view,
        )
        return self._view

    def against(self) -> Against | None:
        """The shown grid less what is subtracted from it; None where nothing is."""
        return self.subtraction.of(self.view()) if self.subtraction.side is not None else None

    def cut_of(self, run: Run) -> int | None:
        """How many heads the run's circuit has on this screen; None: as many as the run's shape suggests."""
        return self._cuts.get(run.run_id, run.config.circuit_size)

    def shape(self) -> tuple[int, int] | None:
        """Layers and heads of the grid; None until the model is known."""
        run = self.shown
        if run is not None and run.picture.nodes:
            last = run.picture.nodes[-1]
            return last.layer + 1, max(node.head for node in run.picture.nodes) + 1
        info = self.model_info
        return (info.n_layers, info.n_heads) if info is not None else None

    def head_codes(self) -> HeadCodes | Failure | None:
        """The codes of the head under the cursor, once they were fetched."""
        key = self.codes_key()
        return self.codes.get(key) if key is not None else None

    def keep_codes(self, key: tuple[str, int, int, int], found: HeadCodes | Failure) -> None:
        """Keeps what was fetched; the oldest make room."""
        while len(self.codes) >= _CODES_KEPT:
            del self.codes[next(iter(self.codes))]
        self.codes[key] = found

    def codes_key(self) -> tuple[str, int, int, int] | None:
        """Which codes the screen wants: run, layer, head, seed. None while the run has none."""
        run = self.shown
        if run is None or not run.has_codes:
            return None
        return run.run_id, *self.cursor, self.seed

    @property
    def seed(self) -> int:
        run = self.shown
        return run.config.seeds[self.seed_index % len(run.config.seeds)] if run is not None else 0

    # ---- what the keys change

    def move_cursor(self, layers: int, heads: int) -> bool:
        """Moves the cursor and stops at the edges; says whether it moved."""
        return self.put_cursor(self.cursor.layer + layers, self.cursor.head + heads)

    def put_cursor(self, layer: int, head: int) -> bool:
        shape = self.shape()
        if shape is None:
            return False
        place = HeadId(min(max(layer, 0), shape[0] - 1), min(max(head, 0), shape[1] - 1))
        self.cursor_moved = True
        moved = place != self.cursor
        self.cursor = place
        return moved

    def walk_ranking(self, by: int) -> bool:
        """Puts the cursor on the head that stands `by` places further down the ranking."""
        view = self.view()
        if view is None:
            return False
        listed = self.against() or view
        rank = listed.rank.get(self.cursor, 0)
        return self.put_cursor(*listed.order[min(max(rank - 1 + by, 0), len(listed.order) - 1)])

    def measures(self) -> tuple[Measure, ...]:
        """Those the shown run can have: a cause only where one was asked for."""
        nodes = self.shown.picture.nodes if self.shown is not None else ()
        return tuple(
            each for each in MEASURES if not each.cause or any(value_of(node, each) is not None for node in nodes)
        )

    def cycle_measure(self, by: int) -> None:
        offered = self.measures()
        place = offered.index(self.measure) if self.measure in offered else 0
        self.pick_measure(offered[(place + by) % len(offered)])

    def pick_measure(self, measure: Measure) -> None:
        self.measure = measure
        self._look_is_own()

    def move_cut(self, by: int) -> bool:
        """Takes more or fewer heads into the circuit; a hundredth of a large grid at a time."""
        run, view = self.shown, self.view()
        if run is None or view is None:
            return False
        size = min(max(view.cut + by * max(1, len(view.order) // 100), 1), len(view.order))
        self._cuts[run.run_id] = size
        self._look_is_own()
        return size != view.cut

    def look_now(self) -> LookChanged | None:
        """How the shown run is looked at, as an event; None while nothing is scored."""
        view = self.view()
        return LookChanged(measure=self.measure.id, cut=view.cut) if view is not None else None

    def _look_is_own(self) -> None:
        self.looks_made += 1
        if self.shown is not None:
            self._own_looks[self.shown.run_id] = self.measure
