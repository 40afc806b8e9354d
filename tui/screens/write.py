"""The write screen: list of examples, line editor, grade of the line, readiness of the set."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, cast

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer

from engine.authoring.drafts import text_of
from engine.examples import Example
from engine.planning.run_options import with_value
from tui.actions import with_own_keys
from tui.connection.session_link import SessionLink
from tui.editor.graded_examples import GradedExamples
from tui.screens import example_actions, example_sources
from tui.screens.edited_line import EditedLine
from tui.screens.memory_guard import warn_of_memory
from tui.screens.outside_editor import edit_outside
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.write_keys import ACTIONS, EDITING
from tui.state.workbench_state import WorkbenchState
from tui.widgets.example_rows import ExampleRows
from tui.widgets.latest_worker import run_latest
from tui.widgets.line_edit import LineEdit
from tui.widgets.prompt_preview import PromptPreview, format_grader
from tui.widgets.set_summary import SetSummary
from tui.widgets.top_line import TopLine

_GRADE_AFTER_S = 0.2
"""Seconds without typing before the line is graded."""
_RECORD_AFTER_S = 0.8
"""Seconds without typing before the line is recorded as one undo step."""


class WriteScreen(SubScreen):
    """The screen. Keys go to the list, or to the line while it is edited.

    Every change applies at once, is recorded in the background, and can be undone.
    """

    CSS_PATH = "write.tcss"
    actions = ACTIONS
    AUTO_FOCUS = "#rows"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, state: WorkbenchState, link: SessionLink) -> None:
        super().__init__(state)
        self.link = link
        self.graded = GradedExamples(state, link, uuid.uuid4().hex)
        self.top = TopLine(state)
        self.rows = ExampleRows(self.graded, id="rows")
        self.edit = LineEdit(state, id="edit")
        self.edit.table = EDITING
        self.proof = PromptPreview(self.graded, id="proof")
        self.summary = SetSummary(self.graded, id="summary")
        self.keys = SubScreenKeys(state, ACTIONS)
        self.line = EditedLine(self.graded, self.edit)
        self._counts: tuple[tuple[Example, ...], str] | None = None
        self._waits: dict[str, Timer] = {}

    def compose(self) -> ComposeResult:
        yield self.top
        yield self.rows
        yield self.edit
        yield self.proof
        yield self.summary
        yield self.keys

    def on_mount(self) -> None:
        self.edit.hint = (
            f"{self.state.key('write:add')} writes a line, {self.state.key('write:edit')} edits the selected one"
        )
        if self.state.selected is not None:
            self.graded.at = self.state.selected
        self.call_after_refresh(self.rows.choose, self.graded.at)
        self.grade()

    # ---- drawing

    def paint(self) -> None:
        """Redraw after the workbench state or the examples changed."""
        if not self.is_mounted:
            return
        _ = self.graded.chosen
        self.top.paint()
        self.rows.paint()
        self._show_line()
        self.summary.set_class(bool(self.graded.worth().missing), "-missing")
        self.summary.paint()
        self.keys.show(ACTIONS if self.line.place is None else EDITING)
        if self.graded.is_stale:
            # Options were changed elsewhere, for example in another window.
            self.grade()
        if self.graded.worth_is_old:
            self._after("worth", 2 * _GRADE_AFTER_S, self.paint)
        title = f"Write: {self._counted()} · graded by {format_grader(self.state).rstrip(',')}"
        if self.rows.border_title != title:
            self.rows.border_title = Content(title)

    def _counted(self) -> str:
        """Format the number of examples per side; counted when they change."""
        examples = self.graded.examples
        if self._counts is None or self._counts[0] is not examples:
            self._counts = (examples, _counts(self.graded))
        return self._counts[1]

    def _show_line(self) -> None:
        """Show the selected line below the list, unless one is being edited."""
        chosen = self.graded.chosen
        self.proof.key = next((each.key for each in self.bound_actions if each.id == "position"), "")
        if self.line.place is None:
            text = text_of(chosen) if chosen is not None else ""
            if self.edit.text != text:
                self.edit.put(text, at=0)
            self.proof.example, self.proof.line_text = chosen, text
            self.graded.typed = ""
        else:
            self.proof.line_text = self.graded.typed = self.edit.text
            self.proof.example = self.line.draft
        self.proof.paint()

    def say(self, words: str) -> None:
        self.summary.status = words
        self.paint()

    def on_screen_resume(self) -> None:
        """Grade again after another screen was closed, where the position may have changed."""
        self.grade()
        self.paint()

    # ---- the host

    def changed(self, words: str = "") -> None:
        """Redraw at once after the examples changed; record and grade in the background."""
        self.rows.show_lines(self.graded.at, self.graded.at)
        self.say(words)
        self.work("push", self._push)
        self.grade()

    async def _push(self) -> None:
        await self.graded.push()
        self.paint()

    def grade(self) -> None:
        run_latest(self, "grade", self._grade_all)

    async def _grade_all(self) -> None:
        """Grade until nothing is left; a newer call cancels this one."""
        while await self.graded.grade(self.line.draft):
            self.paint()
        self.paint()

    def work(self, group: str, work: Callable[[], Awaitable[None]]) -> None:
        # Pass a function: a coroutine that never starts would warn that it was never awaited.
        self.run_worker(cast(Any, work), group=group, exit_on_error=True)

    def _after(self, name: str, seconds: float, what: Callable[[], None]) -> None:
        if name in self._waits:
            self._waits[name].stop()
        self._waits[name] = self.set_timer(seconds, what)

    # ---- editing a line

    def begin(self, text: str, place: int) -> None:
        """Edit a line of the examples."""
        self.line.begin(text, place, fresh=False)
        self.summary.status = ""
        self.paint()

    def _add_below(self, place: int) -> None:
        self.line.begin_below(place)
        self.summary.status = ""
        self.paint()

    def _take_line(self) -> None:
        """Store the text of the editor as the example."""
        for timer in self._waits.values():
            timer.stop()
        if self.line.store():
            self.changed()

    def end_line(self) -> None:
        """Store the line that is edited and go back to the list."""
        self._take_line()
        self.line.place = None
        self.rows.focus()
        self.rows.choose(self.graded.at)
        self.paint()

    @on(LineEdit.Changed)
    def _typed(self) -> None:
        self.line.drop_offered_sign()
        self._show_line()
        self._after("grade", _GRADE_AFTER_S, self.grade)
        self._after("record", _RECORD_AFTER_S, self._take_line)

    @on(LineEdit.Done)
    def _done(self, message: LineEdit.Done) -> None:
        was_new = self.line.fresh or self.line.adding
        place = self.line.place
        self.end_line()
        if message.again and was_new and place is not None and not self.line.fresh and self.graded.examples:
            self._add_below(place)

    @on(LineEdit.Left)
    def _leave_line(self, message: LineEdit.Left) -> None:
        if self.line.place is None or self.line.fresh:
            return
        place = self.line.place + message.by
        if 0 <= place < len(self.graded.examples):
            self._take_line()
            self.graded.at = place
            self.rows.show_lines(place, place)
            self.begin(text_of(self.graded.examples[place]), place)

    @on(LineEdit.Pasted)
    @on(ExampleRows.Pasted)
    def _pasted(self, message: LineEdit.Pasted | ExampleRows.Pasted) -> None:
        if self.line.place is not None:
            self.end_line()
        example_sources.add_text(self, message.text)

    # ---- actions, one per id of the table

    action_step = example_actions.step
    action_include = example_actions.toggle
    action_flip = example_actions.flip
    action_remove = example_actions.remove
    action_copy = example_actions.copy
    action_pair = example_actions.pair
    action_unfold = example_actions.unfold
    action_trim = example_actions.trim
    action_mend = example_actions.go_to_fix
    action_choose = example_actions.choose
    action_move = example_actions.move
    action_negatives = example_sources.propose_negatives
    action_more = example_sources.make_more
    action_take = example_sources.choose_task
    action_read = example_sources.choose_file
    action_store = example_sources.choose_target
    action_outside = edit_outside

    def action_edit(self) -> None:
        chosen = self.graded.chosen
        self.line.adding = False
        if chosen is None:
            self.action_add()
        else:
            self.begin(text_of(chosen), self.graded.at)

    def action_add(self) -> None:
        self._add_below(self.graded.at)

    def action_palette(self) -> None:
        self.app.action_command_palette()

    def action_help(self) -> None:
        from tui.screens.help import HelpSheet

        self.app.push_screen(HelpSheet((*self.bound_actions, *with_own_keys(self.app, EDITING))))

    def action_position(self) -> None:
        from tui.screens.text_prompt import TextPromptSheet
        from tui.state.parsing import position_trouble

        hint = "mean: mean of all tokens · last · at:N, 0 is the first, -1 the last · token:TEXT, its last occurrence"
        ask = TextPromptSheet(
            "Which tokens the next run reads", hint, text=self.graded.position, judge=position_trouble
        )
        self.app.push_screen(ask, self._read_at)

    def _read_at(self, policy: str | None) -> None:
        if policy and policy.strip():
            self.link.choose_options(with_value(self.state.options, "position", policy.strip()))
            self.grade()
            self.paint()

    def action_options(self) -> None:
        from tui.screens.options import OptionsScreen

        self.app.push_screen(OptionsScreen(self.state, self.link))

    def action_run(self) -> None:
        self.work("run", self._run)

    async def _run(self) -> None:
        await self.graded.push()
        if not self.graded.saved or self.state.link != "live":
            run = self.state.key("write:run")
            self.say(f"Not everything is saved yet, so no run was started; {run} tries again.")
        elif not warn_of_memory(self, self.state, "write:run"):
            await self.link.queue_run()
            if self.state.failure is None:
                self.dismiss()
            else:
                self.paint()

    def action_close(self) -> None:
        self.work("run", self._close)

    async def _close(self) -> None:
        if self.line.place is not None:
            self.end_line()
        if self.state.link == "live":
            await self.graded.push()
        if self.graded.saved:
            self.dismiss()
        else:
            self.say(f"Not everything is saved yet; {self.state.key('write:close')} again leaves anyway.")
            if self._leaving:
                self.dismiss()
            self._leaving = True

    _leaving = False

    # ---- events

    @on(ExampleRows.Chosen)
    def _chosen(self) -> None:
        self.paint()
        self._after("grade", _GRADE_AFTER_S, self.grade)

    @on(ExampleRows.Opened)
    def _opened(self) -> None:
        self.action_edit()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if event.widget is self.edit and self.line.place is None:
            self.action_edit()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        if event.widget is self.edit and self.line.place is not None and self.focused is not self.edit:
            self._take_line()
            self.line.place = None


def _counts(graded: GradedExamples) -> str:
    use = [each for each in graded.examples if each.enabled]
    positive = sum(each.positive for each in use)
    out = len(graded.examples) - len(use)
    return f"{positive} + {len(use) - positive}" + (f", {out} left out" if out else "")
