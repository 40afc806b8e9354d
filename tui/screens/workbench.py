"""The one screen: what a session's panes show, and everything that can be done with it."""

from tui.actions import Action
from tui.screens.comparison_actions import ComparisonActions
from tui.screens.memory_guard import holds_back
from tui.screens.panes import PanesScreen
from tui.state import notes
from tui.terminal.sanitize import clean


class WorkbenchScreen(ComparisonActions, PanesScreen):
    """The panes of a live session: runs are begun from here, and what is found is kept."""

    def possible(self, action: Action) -> bool:
        bench = self.bench
        run = bench.shown
        if action.id == "run":
            return bench.link in ("live", "failed")
        if action.id == "options":
            return bench.link == "live" and bench.session_id is not None
        if action.id == "progress":
            return run is not None
        if action.id == "stop":
            busy = bench.active is not None or bench.measured is not None
            return bench.link == "live" and (busy or bool(bench.verifying))
        if action.group == "Compare":
            return self.holds(action.id)
        if action.id in ("cause", "backups"):
            return bench.link == "live" and run is not None and run.state == "done" and run.cause is None
        if action.id == "write":
            return bench.session_id is not None
        if action.id == "replay":
            return bench.link == "live" and bench.last_seq > 0
        if action.id == "sessions" or action.id.startswith("note"):
            return bench.link == "live"
        if action.id == "copy":
            return run is not None and bool(run.picture.nodes)
        return super().possible(action)

    # ---- actions, one for each id of the table

    def action_run(self) -> None:
        """Beside a run that is under way it queues another, with the options as they are now."""
        if self.bench.link == "live" and not holds_back(self, self.bench, "run"):
            self.run_worker(self.link.queue_run(), group="ask", exit_on_error=True)

    def action_options(self) -> None:
        from tui.screens.options import OptionsScreen

        if self.bench.link == "live":
            self.app.push_screen(OptionsScreen(self.bench, self.link), self._back)

    def action_progress(self) -> None:
        from tui.screens.progress import ProgressScreen

        if self.bench.shown is not None:
            self.app.push_screen(ProgressScreen(self.bench, self.link, self.progress.clock), self._back)

    def action_stop(self) -> None:
        self.run_worker(self.link.stop_run(), group="ask", exit_on_error=True)

    def action_replay(self) -> None:
        from tui.screens.replay import ReplayScreen

        bench = self.bench
        if bench.session_id is not None and bench.last_seq:
            depth = self.grid.heatmap.depth
            replay = ReplayScreen(self.link.connect, depth, session=bench.session_id, size=self.app.size)
            self.app.push_screen(replay, self._back)

    def action_cause(self) -> None:
        run = self.bench.shown
        if self.bench.link == "live" and run is not None and run.state == "done" and run.cause is None:
            self.bench.await_cause()
            self.run_worker(self.link.ask_cause(), group="ask", exit_on_error=True)

    def action_backups(self) -> None:
        run = self.bench.shown
        if self.bench.link == "live" and run is not None and run.state == "done" and run.cause is None:
            self.bench.await_cause()
            self.run_worker(self.link.ask_backups(), group="ask", exit_on_error=True)

    def action_write(self) -> None:
        from tui.screens.write import WriteScreen

        if self.bench.session_id is not None:
            self.app.push_screen(WriteScreen(self.bench, self.link), self._back)

    def action_close_up(self) -> None:
        from tui.screens.head_inspector import HeadInspectorScreen

        if self.bench.view() is not None and self.bench.examples:
            depth = self.grid.heatmap.depth
            self.bench.cursor_moved = True  # this head was chosen: provisional scores do not move the cursor any more
            self.app.push_screen(
                HeadInspectorScreen(self.bench, depth, self.link.look_at_head, self._want_codes), self._back
            )

    def action_sessions(self) -> None:
        from tui.screens.sessions import SessionsScreen

        if self.bench.link == "live":
            self.app.push_screen(SessionsScreen(self.bench, self.link), self._back)

    def action_note(self, wanted: notes.Place) -> None:
        from tui.screens.text_prompt import TextPromptSheet

        if self.bench.link != "live":
            return
        place = notes.place_at_hand(self.bench, wanted)
        # A note of several lines, from the command line, is left as it is: this one stands beside it.
        old = next((note for note in notes.notes_at(self.bench, place) if "\n" not in note.text), None)
        write = self.link.note_writer(place, old)
        found = f"{self.bench.key('sessions')} {self.bench.key('sessions:find')}"
        ask = TextPromptSheet(
            f"Note on {notes.place_words(self.bench, place)}",
            "An empty line removes it." if old is not None else f"It is kept at once and searched with {found}.",
            text=clean(old.text) if old is not None else "",
        )

        def answered(text: str | None) -> None:
            if text is not None:
                self.run_worker(write(text.strip()), group="ask", exit_on_error=True)

        self.app.push_screen(ask, answered)

    def action_copy(self) -> None:
        from tui.screens.copy_grid import CopySheet

        if self.bench.view() is not None:
            self.app.push_screen(CopySheet(self.bench))
