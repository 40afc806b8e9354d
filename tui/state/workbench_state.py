"""State of the screen: a session's log folded into runs, and the current view."""

import asyncio
import contextlib
import copy
from collections.abc import Iterable
from typing import Literal

import msgspec

from engine.analysis.ranking import best_head
from engine.config import LoadOptions, load_fields
from engine.errors import ConfigError, Failure
from engine.events import (
    Scored,
)
from engine.examples import Example
from engine.measures import DEFAULT_MEASURE, Measure, find_measure
from engine.nodes import NodeId
from engine.planning.preflight import Preflight
from engine.planning.run_options import RunOptions
from engine.results import Grade, ModelInfo
from sessions.events import (
    DrawingChanged,
    EffectsEnded,
    LogEntry,
    RunEnded,
    RunQueued,
    RunStarted,
    SessionCreated,
    SessionImported,
    VerificationEnded,
    VerificationProgress,
    ViewChanged,
)
from sessions.rows import HeadCodes, HostStatus
from tui.state.checked_models import CheckedModels
from tui.state.node_parts import NodeParts
from tui.state.redraw_regions import ALL_PARTS, Part, parts_of
from tui.state.run import SessionRun
from tui.state.session_state import SessionState
from tui.state.sweep_state import SweepState
from tui.state.view_state import ViewState

__all__ = ["ALL_PARTS", "LinkState", "Part", "SessionRun", "StateSnapshot", "WorkbenchState"]

LinkState = Literal["connecting", "live", "lost", "failed", "replay"]
"""failed: only the user can fix it. replay: a recording is shown and cannot be changed."""

_CODES_KEPT = 512
"""Number of heads whose codes are cached."""


class StateSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The log's part of the state at one moment; what it shares with the state is never modified."""

    last_seq: int
    saved_us: int | None
    name: str
    model: str
    task: str | None
    session: SessionState
    runs: tuple[SessionRun, ...]
    cuts: dict[str, int]
    measure: Measure
    cursor: NodeId


class WorkbenchState(ViewState):
    """State of the workbench. Widgets read it; the link and the keys change it."""

    def __init__(self, *, model: str, task: str) -> None:
        super().__init__()
        self.model = model
        self.task: str | None = task
        self.session_id: str | None = None
        self.session_name = ""
        self.session = SessionState()
        self.runs: list[SessionRun] = []
        self.last_seq = 0
        self.saved_us: int | None = None
        self.link: LinkState = "connecting"
        self.failure: Failure | None = None
        """Why the link failed, or why the newest request was refused."""
        self.link_words = ""
        self.worker: HostStatus | None = None
        """The last reported status of the host and its engine."""
        self.stopping: str | None = None
        """The run that was asked to stop."""
        self.seed_index = 0
        self.selected: int | None = None
        """The example shown in full."""
        self.codes: dict[tuple[str, int, int, int], HeadCodes | Failure] = {}
        self.parts = NodeParts()
        """What was measured inside nodes."""
        self._chosen_run: str | None = None
        self.own_options: RunOptions | None = None
        """Options chosen on this screen and not recorded yet."""
        self.preflight: Preflight | None = None
        """Estimate of the next run's memory and time, if requested."""
        self.warned: Preflight | None = None
        """The preflight result the user was warned about; running again starts the run anyway."""
        self.watched_from: int | None = None
        """Entries after this one happen while this screen watches; None: none do."""
        self.just_ended: list[SessionRun] = []
        """Runs that ended while watched, until the screen has handled them."""
        self.sweep_left: SweepState | None = None
        """The sweep from whose table a run was opened; W goes back there."""
        self.checked = CheckedModels()
        """What the last checks of models found."""
        self._waiting: set[asyncio.Future[None]] = set()
        """Callers that wait for the next entries."""

    @property
    def trouble(self) -> str:
        """Why the host has stopped recording; empty while it records."""
        return self.worker.trouble if self.worker is not None else ""

    # ---- the log

    def fold(self, entries: Iterable[LogEntry]) -> frozenset[Part]:
        """Fold entries not seen before; return the regions of the screen they change."""
        parts: frozenset[Part] = frozenset()
        for entry in entries:
            if entry.seq <= self.last_seq and entry.session_id == self.session_id:
                continue
            self.last_seq, self.saved_us = entry.seq, entry.at_us
            self._fold_one(entry)
            parts |= parts_of(entry.event)
        self._wake_waiting()
        return parts | {"header"} if parts else parts

    async def wait_for_entries(self) -> None:
        """Return when the next entries were folded, or the state was reset."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            self._waiting.discard(waiting)

    def _wake_waiting(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def forget(self) -> None:
        """Reset before another session, or the same one from its start, is folded."""
        self.runs.clear()
        self._chosen_run = None
        self.codes.clear()
        self.parts.forget()
        self._cuts.clear()
        self._own_looks.clear()
        self.own_drawings.clear()
        self.subtraction.end()
        self.marks.clear()
        self.own_options, self.preflight = None, None
        self.session = SessionState()
        self.last_seq, self.saved_us, self._view = 0, None, None
        self._wake_waiting()

    def freeze(self) -> StateSnapshot:
        """Return the log's part of the state, to rewind to later. The cost grows with the number of runs."""
        return StateSnapshot(
            last_seq=self.last_seq,
            saved_us=self.saved_us,
            name=self.session_name,
            model=self.model,
            task=self.task,
            session=self.session.copy(),
            runs=tuple(map(copy.copy, self.runs)),
            cuts=self._cuts.copy(),
            measure=self.measure,
            cursor=self.cursor,
        )

    def rewind(self, frame: StateSnapshot, entries: Iterable[LogEntry] = ()) -> frozenset[Part]:
        """Restore the state at the snapshot and fold these entries.

        The viewer's run, cursor, seed, measure and cut are kept as long as they exist.
        """
        run, chosen = self.shown.run_id if self.shown is not None else None, self._chosen_run
        cursor = self.cursor if self.cursor_moved else None
        seed, own_looks, cuts = self.seed_index, self._own_looks, self._cuts
        self._own_looks, self._chosen_run = {}, None
        self.last_seq, self.saved_us, self._view = frame.last_seq, frame.saved_us, None
        self.session_name, self.model, self.task = frame.name, frame.model, frame.task
        self.session, self.runs = frame.session.copy(), [copy.copy(each) for each in frame.runs]
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
        if self.session.fold(entry):
            if self.session.options == self.own_options:
                self.own_options = None
            self.session_name = self.session.name or self.session_name
            if isinstance(event, SessionCreated):
                self.model, self.task = event.model, event.task
            elif isinstance(event, SessionImported):
                for each in self.runs:
                    each.recorded = each.recorded or event
            return
        match event:
            case RunQueued() if entry.run_id is not None:
                self.runs.append(
                    SessionRun(
                        run_id=entry.run_id,
                        number=len(self.runs) + 1,
                        config=event.config,
                        model=event.model,
                        queued_us=entry.at_us,
                        loading=LoadOptions(**load_fields(event, trusted=False)),
                        again=event.again,
                    )
                )
                self.own_options = None
                if self.active is self.runs[-1]:
                    # A run that waits behind another is not shown before its turn.
                    self._reset_look()
            case _:
                run = self._run(entry.run_id)
                if run is not None:
                    self._fold_run(run, entry)

    def _fold_run(self, run: SessionRun, entry: LogEntry) -> None:
        run.fold(entry)
        if isinstance(entry.event, RunEnded | EffectsEnded | VerificationEnded) and self.stopping == run.run_id:
            self.stopping = None
        if isinstance(entry.event, RunEnded) and self.watched_from is not None and entry.seq > self.watched_from:
            self.just_ended.append(run)
        if isinstance(entry.event, RunStarted) and run is self.shown:
            self._reset_look()
        if isinstance(entry.event, DrawingChanged) and self.own_drawings.get(run.run_id) == entry.event:
            del self.own_drawings[run.run_id]
        if isinstance(entry.event, ViewChanged):
            self._fold_look_changed(run, entry.event)
        elif isinstance(entry.event, Scored | RunEnded):
            self._settle_cursor(run)
        elif isinstance(entry.event, EffectsEnded) and entry.event.failure is None:
            self._show_expected_effects(run)
            self._settle_cursor(run)

    def _reset_look(self) -> None:
        """Reset the view for another run."""
        self.cursor_moved, self.seed_index, self._chosen_run = False, 0, None
        if self.measure.cause:
            # A run that has just begun has no effects: the grid would be empty.
            self.measure = DEFAULT_MEASURE

    def _fold_look_changed(self, run: SessionRun, look: ViewChanged) -> None:
        """Apply the view recorded on another screen or earlier, unless the user changed it here."""
        if run.run_id in self._own_looks:
            return
        self._cuts[run.run_id] = look.cut
        if run is self.shown:
            # A measure of a later version, or of a foreign bundle, is ignored.
            with contextlib.suppress(ConfigError):
                self.measure = find_measure(look.measure)
        self._settle_cursor(run)

    def _run(self, run_id: str | None) -> SessionRun | None:
        return next((run for run in reversed(self.runs) if run.run_id == run_id), None)

    def _settle_cursor(self, run: SessionRun) -> None:
        if self.cursor_moved or run is not self.shown:
            return
        # Only the best head: a whole view ranks all heads, and a replay passes a hundred scores in a moment.
        self.cursor = best_head(run.picture.nodes, self.measure) or self.cursor

    # ---- what is shown

    @property
    def shown(self) -> SessionRun | None:
        """The chosen run, else the active or next one, else the newest that was started."""
        chosen = None if self._chosen_run is None else self._run(self._chosen_run)
        return chosen or self.active or self._newest

    @property
    def active(self) -> SessionRun | None:
        """The oldest run that is queued or running, shown or not."""
        return next((run for run in self.runs if run.active), None)

    @property
    def _newest(self) -> SessionRun | None:
        begun = (run for run in reversed(self.runs) if run.started_us is not None)
        return next(begun, self.runs[-1] if self.runs else None)

    @property
    def waiting(self) -> tuple[SessionRun, ...]:
        """Queued runs behind the running one, next first."""
        return tuple(run for run in self.runs if run.state == "queued")

    @property
    def options(self) -> RunOptions:
        """Options of the next run: those chosen last, here or elsewhere, else those of the last run."""
        return self.own_options or self.session.options or RunOptions(model=self.model)

    @property
    def measured(self) -> SessionRun | None:
        """The oldest run whose effects are being measured after it finished."""
        return next((run for run in self.runs if run.cause is not None), None)

    @property
    def verified(self) -> SessionRun | None:
        """The oldest run that is being verified."""
        return next((run for run in self.runs if run.verifying is not None), None)

    @property
    def verifying(self) -> str:
        """Progress of a verification as text; empty if there is none."""
        run = self.verified
        if run is None:
            return ""
        at = run.verifying
        if isinstance(at, VerificationProgress):
            stage = f"{at.stage} {at.done} of {at.total}" if at.total > 1 else at.stage
        else:
            stage = "waiting"
        return f"Verifying run {run.number}: {stage}; {self.key('stop')} stops it."

    def show_run(self, run_id: str | None) -> None:
        """Choose the run to show; None: the newest one, and later ones."""
        if run_id != (None if self.shown is None else self.shown.run_id):
            self._chosen_run, self.cursor_moved, self.seed_index, self.selected = run_id, False, 0, None
            if self.measure not in self.measures():
                self.measure = DEFAULT_MEASURE
            if self.shown is not None:
                self._settle_cursor(self.shown)

    @property
    def can_retry(self) -> bool:
        """Whether the newest run failed and repeating it on the same examples could succeed."""
        run = self.shown
        if run is None or run is not self._newest or run.state not in ("failed", "interrupted"):
            return False
        if self.own_options is not None or self.session.options_are_new:
            return False
        now = tuple(example for example in self.session.examples.current if example.enabled)
        return not now or not run.picture.examples or now == run.picture.examples

    @property
    def examples(self) -> tuple[Example, ...]:
        run = self.shown
        return run.picture.examples if run is not None and run.picture.examples else self.session.examples.current

    @property
    def grades(self) -> tuple[Grade, ...]:
        run = self.shown
        return run.picture.grades if run is not None and run.picture.examples else ()

    @property
    def model_info(self) -> ModelInfo | None:
        """Model of the shown run, else of the newest run that loaded one."""
        return next((run.picture.model for run in reversed(self.runs) if run.picture.model is not None), None)

    def head_codes(self) -> HeadCodes | Failure | None:
        """Return the codes of the current head, if loaded."""
        key = self.codes_key()
        return self.codes.get(key) if key is not None else None

    def keep_codes(self, key: tuple[str, int, int, int], found: HeadCodes | Failure) -> None:
        """Cache loaded codes, dropping the oldest."""
        while len(self.codes) >= _CODES_KEPT:
            del self.codes[next(iter(self.codes))]
        self.codes[key] = found

    def codes_key(self) -> tuple[str, int, int, int] | None:
        """Return the key of the codes to show: run, layer, head, seed. None while the run has none."""
        run = self.shown
        if run is None or not run.has_codes:
            return None
        return run.run_id, *self.cursor, self.seed

    @property
    def seed(self) -> int:
        run = self.shown
        return run.config.seeds[self.seed_index % len(run.config.seeds)] if run is not None else 0
