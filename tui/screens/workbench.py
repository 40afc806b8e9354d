"""The workbench: the panes of a live session and all its actions."""

from tui.screens.comparison_actions import ComparisonActions
from tui.screens.memory_guard import warn_of_memory
from tui.screens.panes import PanesScreen
from tui.state import notes
from tui.state.disabled_reasons import disabled_reason
from tui.terminal.sanitize import clean


class WorkbenchScreen(ComparisonActions, PanesScreen):
    """The panes of a live session, with the actions that start runs and keep results."""

    # ---- actions, one per id of the table

    def action_run(self) -> None:
        """Start a run with the current options; queue it behind a running one."""
        if self.state.link == "live" and not warn_of_memory(self, self.state, "run"):
            self.run_worker(self.link.queue_run(), group="ask", exit_on_error=True)

    def action_options(self) -> None:
        from tui.screens.options import OptionsScreen

        if self.state.link == "live":
            self.app.push_screen(OptionsScreen(self.state, self.link), self._back)

    def action_progress(self) -> None:
        from tui.screens.progress import ProgressScreen

        if self.state.shown is not None:
            self.app.push_screen(ProgressScreen(self.state, self.link, self.progress.clock), self._back)

    def action_stop(self) -> None:
        self.run_worker(self.link.stop_run(), group="ask", exit_on_error=True)

    def action_replay(self) -> None:
        from tui.screens.replay import ReplayScreen

        state = self.state
        if state.session_id is not None and state.last_seq:
            depth = self.grid.heatmap.depth
            replay = ReplayScreen(self.link.connect, depth, session=state.session_id, size=self.app.size)
            self.app.push_screen(replay, self._back)

    def action_cause(self) -> None:
        if not disabled_reason(self.state, "cause"):
            self.state.expect_effects()
            self.run_worker(self.link.request_effects(), group="ask", exit_on_error=True)

    def action_backups(self) -> None:
        if not disabled_reason(self.state, "backups"):
            self.state.expect_effects()
            self.run_worker(self.link.request_backups(), group="ask", exit_on_error=True)

    def action_write(self) -> None:
        from tui.screens.write import WriteScreen

        if self.state.session_id is not None:
            self.app.push_screen(WriteScreen(self.state, self.link), self._back)

    def action_close_up(self) -> None:
        from tui.screens.head_inspector import HeadInspectorScreen

        if self.state.view() is not None and self.state.examples:
            depth = self.grid.heatmap.depth
            self.state.cursor_moved = True  # the user chose this head: provisional scores no longer move the cursor
            self.app.push_screen(
                HeadInspectorScreen(self.state, depth, self.link.look_at_head, self._want_codes), self._back
            )

    def action_sessions(self) -> None:
        from tui.screens.sessions import SessionsScreen

        if self.state.link == "live":
            self.app.push_screen(SessionsScreen(self.state, self.link), self._back)

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
                self.run_worker(write(text.strip()), group="ask", exit_on_error=True)

        self.app.push_screen(ask, answered)

    def action_copy(self) -> None:
        from tui.screens.copy_grid import CopySheet

        if self.state.view() is not None:
            self.app.push_screen(CopySheet(self.state))
