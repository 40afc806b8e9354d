"""The workbench: the panes of a live session and all its actions."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from engine.nodes import format_count
from sessions.protocol import (
    CircuitAnswer,
    CombineCircuits,
    ComparisonChoices,
    DeleteCircuit,
    Done,
    ListComparable,
    SetOperation,
)
from tui.screens.memory_guard import warn_of_memory
from tui.screens.node_screen import NodeScreen
from tui.screens.panes import PanesScreen
from tui.screens.parts_loader import FetchPart
from tui.screens.sub_screen import SubScreen
from tui.state import notes
from tui.state.disabled_reasons import disabled_reason
from tui.state.node_words import members_of
from tui.state.workbench_state import Part, WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.themes import Depth
from tui.widgets.latest_worker import run_latest

if TYPE_CHECKING:
    from tui.screens.new_session import Begin

_GRID: frozenset[Part] = frozenset({"grid", "head", "progress"})


class WorkbenchScreen(PanesScreen):
    """The panes of a live session, with the actions that start runs, compare and keep results."""

    def _allows(self, action: str) -> bool:
        return not disabled_reason(self.state, action)

    def _ask(self, work: Awaitable[object]) -> None:
        """Send a request to the host in the background."""
        self.run_worker(work, group="ask", exit_on_error=True)

    # ---- actions, one per id of the tables: runs

    def action_run(self) -> None:
        """Start a run with the current options; queue it behind a running one."""
        if self.state.link == "live" and not warn_of_memory(self, self.state, "run"):
            self._ask(self.link.queue_run())

    def action_options(self) -> None:
        from tui.screens.options import OptionsScreen

        if self.state.link == "live":
            self.app.push_screen(OptionsScreen(self.state, self.link), self._back)

    def action_progress(self) -> None:
        from tui.screens.progress import ProgressScreen

        if self.state.shown is not None:
            self.app.push_screen(ProgressScreen(self.state, self.link, self.progress.clock), self._back)

    def action_stop(self) -> None:
        self._ask(self.link.stop_run())

    def action_replay(self) -> None:
        from tui.screens.replay import ReplayScreen

        state = self.state
        if state.session_id is not None and state.last_seq:
            depth = self.grid.heatmap.depth
            session, size = state.session_id, self.app.size
            # It begins with what was on the screen; from there one looks back, or plays from the start.
            replay = ReplayScreen(self.link.connect, depth, session=session, size=size, playing=False, start="100%")
            self.app.push_screen(replay, self._back)

    def action_cause(self) -> None:
        if self._allows("cause"):
            self.state.expect_effects()
            self._ask(self.link.request_effects())

    def action_backups(self) -> None:
        if self._allows("backups"):
            self.state.expect_effects()
            self._ask(self.link.request_backups())

    def action_verify(self) -> None:
        if self._allows("verify"):
            run_latest(self, "verify", self.link.verify_run)

    # ---- differences, overlays and saved circuits

    def action_difference(self) -> None:
        """Open the choice of what to subtract, or end the current difference."""
        if self.state.subtraction.end():
            self.drawing.now(_GRID)
        elif self._allows("difference"):
            run_latest(self, "difference", self._choose_difference)

    def action_end_difference(self) -> None:
        """End the difference; if there is none, clear the marks."""
        if self.state.subtraction.end() or self.state.marks.clear():
            self.drawing.now(_GRID)

    async def _choose_difference(self) -> None:
        from tui.screens.choice import ChoiceItem, ChoiceSheet

        run = self.state.shown
        if run is None:
            return
        found = await self.link.try_ask(ListComparable(run=run.run_id), ComparisonChoices)
        if found is None:
            return
        entries = [
            ChoiceItem(id=each.reference, group=each.group, title=each.title, detail=each.detail)
            for each in found.choices
        ]
        empty = "Nothing to subtract yet: no other run of this shape, no circuit, one seed."
        sheet = ChoiceSheet(f"Subtract from run {run.number}", entries, empty=empty)
        self.app.push_screen(sheet, lambda chosen: self.subtract(chosen) if chosen is not None else None)

    def subtract(self, reference: str) -> None:
        run_latest(self, "difference", partial(self._subtract, reference))

    async def _subtract(self, reference: str) -> None:
        await self.link.subtract(reference)
        self.drawing.now()

    def action_overlay(self) -> None:
        run = self.state.shown
        if run is not None and self._allows("overlay"):
            self.state.overlay.cycle(run.picture, self.state.session.circuits)
            self.drawing.now(_GRID)

    def action_keep(self) -> None:
        from tui.screens.text_prompt import TextPromptSheet

        run, view = self.state.shown, self.state.view()
        if run is None or view is None or not self._allows("keep"):
            return
        names = ", ".join(self.state.session.circuits) or "none yet"
        marked = self.state.marked
        kept = members_of(marked or view.circuit)
        words = f"these {format_count(kept)}"
        ask = TextPromptSheet(
            f"Keep {words} as a circuit",
            f"A name; an existing one is replaced. Kept: {names}",
            text=f"run {run.number} {'marked' if marked else view.measure.title}",
        )
        self.app.push_screen(ask, lambda name: self._ask(self.link.save_circuit(name)) if name else None)

    def action_circuits(self) -> None:
        from tui.screens.circuits import CircuitsScreen

        if self._allows("circuits"):
            self.app.push_screen(CircuitsScreen(self.state, self), self._back)

    def combine(self, operation: SetOperation, names: tuple[str, ...], name: str) -> None:
        """Keep the result of a set operation on saved circuits."""
        if self.state.session_id is not None:
            request = CombineCircuits(session=self.state.session_id, operation=operation, of=names, name=name)
            self._ask(self.link.try_ask(request, CircuitAnswer))

    def drop(self, name: str) -> None:
        if self.state.session_id is not None:
            self._ask(self.link.try_ask(DeleteCircuit(session=self.state.session_id, name=name), Done))

    # ---- other screens

    def action_write(self) -> None:
        from tui.screens.write import WriteScreen

        if self.state.session_id is not None:
            self.app.push_screen(WriteScreen(self.state, self.link), self._back)

    def action_close_up(self) -> None:
        """Open the page of the node at the cursor: a head, an MLP or the embedding."""
        from tui.screens.embedding_page import EmbeddingScreen
        from tui.screens.head_inspector import HeadInspectorScreen
        from tui.screens.mlp_inspector import MlpScreen

        state, depth, fetch = self.state, self.grid.heatmap.depth, self.link.ask_or_failure
        if state.view() is None or not state.examples:
            return
        state.cursor_moved = True  # the user chose this node: provisional scores no longer move the cursor
        page: NodeScreen
        if state.cursor.is_head:
            look, more = self.link.look_at_head, (fetch, self.drawing.want_codes, self.action_close_up)
            page = HeadInspectorScreen(state, depth, look, *more)
        else:
            kind = MlpScreen if state.cursor.kind == "mlp" else EmbeddingScreen
            page = kind(state, depth, fetch, self.drawing.want_codes, self.action_close_up)
        self.app.push_screen(page, self._back)

    def action_stream_grid(self) -> None:
        from tui.screens.stream_grid import StreamGridScreen

        if self._allows("stream_grid"):
            self._open_measured(StreamGridScreen)

    def action_side_by_side(self) -> None:
        from tui.screens.side_by_side import SideBySideScreen

        if self._allows("side_by_side"):
            self._open_measured(SideBySideScreen)

    def action_switch_off(self) -> None:
        from tui.screens.switch_off import SwitchOffScreen

        if self._allows("switch_off"):
            self._open_measured(SwitchOffScreen)

    def action_atlas(self) -> None:
        from tui.screens.atlas import AtlasScreen

        if self._allows("atlas"):
            self._open_measured(partial(AtlasScreen, want_codes=self.drawing.want_codes))

    def action_table(self) -> None:
        from tui.screens.head_table import HeadTableScreen

        if self.state.view() is not None:
            self.app.push_screen(HeadTableScreen(self.state, fetch=self.link.ask_or_failure), self._back)

    def action_scatter(self) -> None:
        from tui.screens.scatter import ScatterScreen

        if self._allows("scatter"):
            self._open_measured(partial(ScatterScreen, want_codes=self.drawing.want_codes))

    def _open_measured(self, screen: Callable[[WorkbenchState, Depth, FetchPart], SubScreen]) -> None:
        """Open a screen that asks the model."""
        self.app.push_screen(screen(self.state, self.grid.heatmap.depth, self.link.ask_or_failure), self._back)

    def action_sweeps(self) -> None:
        """Open the list of sweeps, or the table from which a run was opened."""
        from tui.screens.sweep import SweepScreen
        from tui.screens.sweeps import SweepsScreen

        if not self._allows("sweeps"):
            return
        depth, left = self.grid.heatmap.depth, self.state.sweep_left
        self.app.push_screen(SweepsScreen(self.state, self.link, depth), self._back)
        if left is not None:
            self.app.push_screen(SweepScreen(self.state, self.link, depth, left))

    def action_sessions(self) -> None:
        from tui.screens.sessions import SessionsScreen

        if self.state.link == "live":
            self.app.push_screen(SessionsScreen(self.state, self.link, self.write_in), self._back)

    def write_in(self, session_id: str, begin: "Begin") -> None:
        """Open the write screen on a session that is being opened, then begin there."""
        self._ask(self._write_in(session_id, begin))

    async def _write_in(self, session_id: str, begin: "Begin") -> None:
        from tui.screens.write import WriteScreen

        while self.state.session_id != session_id or not self.state.last_seq:
            await self.state.wait_for_entries()
        screen = WriteScreen(self.state, self.link)

        def left(_: None) -> None:
            empty = not screen.graded.examples
            self.link.leave_new(keep=not empty)
            if empty:
                self.notify("No example was written: the new session was not kept.", markup=False)
            self._back(None)

        await self.app.push_screen(screen, left)
        begin(screen)

    def action_note(self, wanted: notes.Place) -> None:
        from tui.screens.text_prompt import TextPromptSheet

        if self.state.link != "live":
            return
        place = notes.resolve_place(self.state, wanted)
        # A note of several lines, written on the command line, is kept; this one is added.
        old = next((note for note in notes.list_notes_at(self.state, place) if "\n" not in note.text), None)
        write = self.link.note_writer(place, old)
        found = f"{self.state.key('sessions')} {self.state.key('sessions:find')}"
        ask = TextPromptSheet(
            f"Note on {notes.format_place(self.state, place)}",
            "An empty line removes it." if old is not None else f"Saved at once; {found} searches notes.",
            text=clean(old.text) if old is not None else "",
        )

        def answered(text: str | None) -> None:
            if text is not None:
                self._ask(write(text.strip()))

        self.app.push_screen(ask, answered)

    def action_copy(self) -> None:
        from tui.screens.copy_grid import CopySheet

        if self.state.view() is not None:
            self.app.push_screen(CopySheet(self.state, self.link))
