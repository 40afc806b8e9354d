"""Writing examples: a list, the line at hand, what the model makes of it, and whether the set is worth running."""

import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Size
from textual.strip import Strip
from textual.timer import Timer

from engine.drafts import draft, text_of
from engine.errors import HeadcodeError
from engine.examples import Example
from sessions.wire import Made, MakeExamples
from tui.actions import sheet_actions
from tui.desk import Desk
from tui.link import Link
from tui.model import Bench
from tui.screens.sheet import Sheet, SheetKeys, bindings_of
from tui.text import clean
from tui.widgets.ink import fit
from tui.widgets.lineedit import LineEdit
from tui.widgets.painted import Painted
from tui.widgets.proof import Proof
from tui.widgets.rows import Rows
from tui.widgets.topline import TopLine

_GRADE_AFTER_S = 0.2
"""How long typing must rest before the line is graded."""
_RECORD_AFTER_S = 0.8
"""And before it is recorded: what is typed in one go is one step of undo."""
_PAGE = 10
ACTIONS = sheet_actions(
    "Write",
    ("edit", "", "enter,e", "Edit the line", "Change the line at hand; enter or esc ends it, all is kept", "edit"),
    ("add", "", "a", "Add a line", "Write a new line below the one at hand", "add"),
    ("negatives", "", "n", "Propose negatives", "Minimal edits of a positive, each graded by the model", "negatives"),
    ("step.undo", "-1", "u", "Undo", "Take the last change back, also after a restart", "undo"),
    ("mend", "", "m", "Go to what to mend", "Choose the line that should be looked at first", "mend"),
    ("run", "", "r", "Run the probe", "Run the set as it stands, back on the workbench", "run"),
    ("close", "", "escape,w,q", "Back", "Back to the workbench; everything is recorded", "back"),
    ("help", "", "question_mark", "Keys", "All keys of this screen", "keys"),
    ("palette", "", "ctrl+p,colon", "Command palette", "Find any of these by name", ""),
    ("remove", "", "d,delete", "Delete the line", "Take the line away; u brings it back", "delete"),
    ("include", "", "space", "Leave out or take in", "A line that is left out takes no part in runs", "leave out"),
    ("pair", "", "p", "Pair or part", "Make a pair with the neighbour on the other side, or take a pair apart", "pair"),
    ("copy", "", "c", "Duplicate the line", "The same line once more, below", "copy"),
    ("flip", "", "s", "Other side", "Make a negative of a positive, or the other way round", "side"),
    ("unfold", "", "x", "Expand slots", "Fill {name=Mary,John} in every way", "slots"),
    ("take", "", "t", "Take a task", "Add the examples of a ready-made task", "task"),
    ("read", "", "i", "Import a file", "Add the examples of a file: lines, JSONL or CSV", "import"),
    ("store", "", "o", "Export to a file", "Write the examples as .jsonl, .csv or lines", "export"),
    ("step.redo", "1", "ctrl+r,U,shift+u", "Redo", "Make the change again that was taken back", "redo"),
    ("choose.down", "1", "down,j", "Line below", "Choose the next line", ""),
    ("choose.up", "-1", "up,k", "Line above", "Choose the line before", ""),
    ("choose.page_down", str(_PAGE), "pagedown", "Ten lines down", "Choose a line further down", ""),
    ("choose.page_up", str(-_PAGE), "pageup", "Ten lines up", "Choose a line further up", ""),
    ("choose.first", "-1000000", "home,g", "First line", "Choose the first line", ""),
    ("choose.last", "1000000", "end,G,shift+g", "Last line", "Choose the last line", ""),
    ("move.down", "1", "J,shift+j,shift+down", "Move the line down", "Change places with the line below", ""),
    ("move.up", "-1", "K,shift+k,shift+up", "Move the line up", "Change places with the line above", ""),
)


class Summary(Painted):
    """Whether the set is worth running, and what to mend first; or something that has just to be said."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(desk.bench, id=id)
        self.desk = desk
        self.said = ""

    def lines(self, size: Size, /) -> list[Strip]:
        found = self.desk.worth()
        right = "recorded " if self.desk.saved else "recording … "
        first = (
            self.line().add(" ").add(fit(found.words, size.width - len(right) - 3), "good" if found.ready else "second")
        )
        first.to(size.width - len(right), " ").add(right, "faint")
        failure = self.desk.failure or self.bench.failure
        if self.bench.link == "lost":
            words, ink = self.bench.link_words, "second"
        elif failure is not None:
            words, ink = f"{failure.message} {failure.hint}", "bad"
        else:
            words, ink = self.said or found.todo, "dim"
        return [first.strip(), self.line().add(" ").add(fit(clean(words), size.width - 2), ink).strip()]


class Write(Sheet):
    """The list has the keys until a line is edited; then the line has them."""

    CSS_PATH = "write.tcss"
    table = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ACTIONS)
    AUTO_FOCUS = "#rows"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, bench: Bench, link: Link) -> None:
        super().__init__(bench)
        self.link = link
        self.desk = Desk(bench, link, uuid.uuid4().hex)
        self.top = TopLine(bench)
        self.rows = Rows(self.desk, id="rows")
        self.edit = LineEdit(bench, id="edit")
        self.proof = Proof(self.desk, id="proof")
        self.summary = Summary(self.desk, id="summary")
        self._open: int | None = None
        """The place of the line that is being edited."""
        self._fresh = False
        """It is a new line, which leaves no trace while it is empty."""
        self._counts: tuple[tuple[Example, ...], str] | None = None
        self._waits: dict[str, Timer] = {}

    def compose(self) -> ComposeResult:
        yield self.top
        yield self.rows
        yield self.edit
        yield self.proof
        yield self.summary
        yield SheetKeys(self.bench, ACTIONS)

    def on_mount(self) -> None:
        self.edit.hint = "a writes a line, enter changes the one at hand"
        if self.bench.selected is not None:
            self.desk.at = self.bench.selected
        self.call_after_refresh(self.rows.choose, self.desk.at)
        self._grade()

    # ---- drawing

    def paint(self) -> None:
        """The bench or the desk has changed."""
        if not self.is_mounted:
            return
        _ = self.desk.chosen
        self.top.paint()
        self.rows.paint()
        self._show_line()
        self.summary.paint()
        if self.desk.worth_is_old:
            self._after("worth", 2 * _GRADE_AFTER_S, self.paint)
        title = f"Write: {self._counted()}"
        if self.rows.border_title != title:
            self.rows.border_title = title

    def _counted(self) -> str:
        """How many there are of each side; counted when they change."""
        examples = self.desk.examples
        if self._counts is None or self._counts[0] is not examples:
            self._counts = (examples, _counts(self.desk))
        return self._counts[1]

    def _show_line(self) -> None:
        """The line below the list: the chosen one, unless one is being edited."""
        chosen = self.desk.chosen
        if self._open is None:
            text = text_of(chosen) if chosen is not None else ""
            if self.edit.text != text:
                self.edit.put(text, at=0)
            self.proof.example, self.proof.line_text = chosen, text
        else:
            self.proof.line_text = self.edit.text
            self.proof.example = draft(self.edit.text) if self.edit.text.strip(" +-") else None
        self.proof.paint()

    def _say(self, words: str) -> None:
        self.summary.said = words
        self.paint()

    def on_screen_resume(self) -> None:
        self.paint()

    # ---- the host

    def _changed(self, words: str = "") -> None:
        """The desk holds another set: drawn at once, recorded and graded meanwhile."""
        self.rows.show_lines(self.desk.at, self.desk.at)
        self._say(words)
        self._work("push", self._push)
        self._grade()

    async def _push(self) -> None:
        await self.desk.push()
        self.paint()

    def _grade(self) -> None:
        self._work("grade", self._grade_all, exclusive=True)

    async def _grade_all(self) -> None:
        """Until nothing is left to grade; a newer wish takes this one's place."""
        while await self.desk.grade(self._line()):
            self.paint()
        self.paint()

    def _work(self, group: str, work: Callable[[], Awaitable[None]], *, exclusive: bool = False) -> None:
        # As a function: a coroutine whose turn never comes would complain.
        self.run_worker(cast(Any, work), group=group, exclusive=exclusive, exit_on_error=True)

    def _line(self) -> Example | None:
        return draft(self.edit.text) if self._open is not None and self.edit.text.strip(" +-") else None

    def _after(self, name: str, seconds: float, what: Callable[[], None]) -> None:
        if name in self._waits:
            self._waits[name].stop()
        self._waits[name] = self.set_timer(seconds, what)

    # ---- a line is edited

    def _begin(self, text: str, place: int, *, fresh: bool) -> None:
        self._open, self._fresh = place, fresh
        self.summary.said = ""
        self.edit.put(text)
        self.edit.focus()
        self.paint()

    def _take_line(self) -> None:
        """What stands in the editor becomes the example."""
        for timer in self._waits.values():
            timer.stop()
        if self._open is None:
            return
        text, place = self.edit.text, min(self._open, len(self.desk.examples))
        empty = not text.strip(" +-0123456789\t")
        if self._fresh:
            if not empty:
                self.desk.insert(place, [draft(text)])
                self._fresh = False
        elif place < len(self.desk.examples):
            old = self.desk.examples[place]
            new = old if text == text_of(old) else draft(text, like=old)
            if new == old:
                return
            if empty:
                self.desk.remove(place)
                self._fresh = True
            else:
                self.desk.replace(place, new)
        self.desk.at = place
        self._changed()

    def _end_line(self) -> None:
        self._take_line()
        self._open = None
        self.rows.focus()
        self.rows.choose(self.desk.at)
        self.paint()

    @on(LineEdit.Changed)
    def _typed(self) -> None:
        self._show_line()
        self._after("grade", _GRADE_AFTER_S, self._grade)
        self._after("record", _RECORD_AFTER_S, self._take_line)

    @on(LineEdit.Done)
    def _done(self, message: LineEdit.Done) -> None:
        was_new = self._fresh or self._adding
        place = self._open
        self._end_line()
        if message.again and was_new and place is not None and not self._fresh and self.desk.examples:
            self._add_below(place)

    @on(LineEdit.Left)
    def _leave_line(self, message: LineEdit.Left) -> None:
        if self._open is None or self._fresh:
            return
        place = self._open + message.by
        if 0 <= place < len(self.desk.examples):
            self._take_line()
            self.desk.at = place
            self.rows.show_lines(place, place)
            self._begin(text_of(self.desk.examples[place]), place, fresh=False)

    @on(LineEdit.Pasted)
    @on(Rows.Pasted)
    def _pasted(self, message: LineEdit.Pasted | Rows.Pasted) -> None:
        if self._open is not None:
            self._end_line()
        self.add_text(message.text)

    def add_text(self, text: str) -> None:
        """Adds the examples a text holds; what cannot be read stands as text."""
        before = len(self.desk.flaws)
        try:
            n = self.desk.paste(text)
        except HeadcodeError as error:
            self._say(f"{error.message} {error.hint}")
            return
        unread = len(self.desk.flaws) - before
        if n:
            words = f"{n} examples are here" if n > 1 else "1 example is here"
            self._changed(
                words + (f", {unread} of them cannot be read yet" if unread > 0 else "") + "; u takes them back"
            )

    # ---- actions, one for each id of the table

    _adding = False

    def action_edit(self) -> None:
        chosen = self.desk.chosen
        self._adding = False
        if chosen is None:
            self.action_add()
        else:
            self._begin(text_of(chosen), self.desk.at, fresh=False)

    def action_add(self) -> None:
        self._add_below(self.desk.at)

    def _add_below(self, place: int) -> None:
        """Lines are written one after another, until one is left empty."""
        examples = self.desk.examples
        sign = "+ " if not examples or examples[min(place, len(examples) - 1)].positive else "- "
        self._adding = True
        self._begin(sign, self.desk.below(min(place, max(len(examples) - 1, 0))), fresh=True)

    def action_step(self, by: int) -> None:
        self._work("step", partial(self._step, by))

    async def _step(self, by: int) -> None:
        before = self.desk.examples
        done = await self.desk.step(by)
        word = "undone" if by < 0 else "made again"
        if done:
            self.desk.at = _first_difference(before, self.desk.examples)
            self.rows.show_lines(self.desk.at, self.desk.at)
        failure, self.desk.failure = self.desk.failure, None
        self._say(f"The change is {word}." if done or failure is None else failure.message)
        self._grade()

    def action_include(self) -> None:
        if self.desk.chosen is not None:
            done = self.desk.toggle(self.desk.at)
            self._changed("" if done else "Mend the line first: enter")

    def action_remove(self) -> None:
        if self.desk.chosen is not None:
            self.desk.remove(self.desk.at)
            self._changed("Deleted; u brings it back.")

    def action_copy(self) -> None:
        if self.desk.chosen is not None:
            self.desk.copy(self.desk.at)
            self._changed()

    def action_pair(self) -> None:
        if self.desk.chosen is not None:
            self._changed(self.desk.pair(self.desk.at))

    def action_flip(self) -> None:
        if self.desk.chosen is not None:
            done = self.desk.flip(self.desk.at)
            self._changed("" if done else "Mend the line first: enter")

    def action_unfold(self) -> None:
        if self.desk.chosen is None:
            return
        try:
            n = self.desk.unfold(self.desk.at)
        except HeadcodeError as error:
            self._say(f"{error.message} {error.hint}")
            return
        self._changed(f"{n} examples; u takes them back" if n else "No slots here: write {name=Mary,John} in a line.")

    def action_mend(self) -> None:
        found = self.desk.worth()
        if found.mend is not None:
            self.rows.choose(found.mend)
        else:
            self._say("Nothing to mend.")

    def action_choose(self, by: int) -> None:
        self.rows.choose(self.desk.at + by)

    def action_move(self, by: int) -> None:
        if self.desk.chosen is not None and self.desk.move(self.desk.at, by):
            self._changed()

    def action_negatives(self) -> None:
        from tui.screens.negatives import Negatives

        example, place = self.desk.chosen, self.desk.at
        if example is None or place in self.desk.flaws:
            self._say("Choose a positive first.")
            return
        if not example.positive:
            # The positive of the pair is what such edits are made of.
            place = next((i for i, each in enumerate(self.desk.examples) if _pairs_with(each, example)), place)
            example = self.desk.examples[place]
        if not example.positive:
            self._say("Negatives are made of a positive: choose one.")
            return
        self.app.push_screen(Negatives(self.desk, example, self.desk.pair_for(place), partial(self._accept, place)))

    def _accept(self, place: int, negative: Example, edit: bool) -> None:
        """A proposal was taken: it stands below its positive, and is its pair where that had none."""
        self.desk.accept(place, negative)
        self._changed("A negative is added; u takes it back.")
        if edit:
            self._begin(text_of(negative), self.desk.at, fresh=False)

    def action_palette(self) -> None:
        self.app.action_command_palette()

    def action_help(self) -> None:
        from tui.screens.keys import Keys

        self.app.push_screen(Keys(ACTIONS))

    def action_take(self) -> None:
        from tui.screens.starts import Starts

        self.app.push_screen(
            Starts(self.bench, lambda task, pairs: self._work("task", partial(self._make, task, pairs)))
        )

    async def _make(self, task: str, pairs: int) -> None:
        self._say(f"The engine makes {pairs} pairs of {task} …")
        try:
            request = MakeExamples(session=self.bench.session_id or "", task=task, pairs=pairs)
            made = await self.link.ask(request, Made)
        except HeadcodeError as error:
            self._say(f"{error.message} {error.hint}")
            return
        self.desk.add(made.examples)
        self._changed(f"{len(made.examples)} examples are here; u takes them back.")

    def action_read(self) -> None:
        from tui.screens.files import Files

        title = "Examples from which file? Lines, JSONL or CSV."
        self.app.push_screen(Files(self.bench, title, Path.cwd(), self._read))

    def _read(self, path: Path) -> None:
        from tui.commands.reading import read_text

        try:
            self.add_text(read_text(str(path)))
        except HeadcodeError as error:
            self._say(f"{error.message} {error.hint}")

    def action_store(self) -> None:
        from tui.screens.files import Files

        title = "Write the examples where? The ending says how: .jsonl, .csv, or .txt for lines."
        self.app.push_screen(Files(self.bench, title, Path.cwd(), self._store, write="examples.jsonl"))

    def _store(self, path: Path) -> None:
        from tui.commands.examples import write_file, written

        kind = {".csv": "csv", ".txt": "lines"}.get(path.suffix.lower(), "jsonl")
        try:
            write_file(path, written(self.desk.examples, kind))
        except HeadcodeError as error:
            self._say(f"{error.message} {error.hint}")
        else:
            self._say(f"{len(self.desk.examples)} examples are in {path}.")

    def action_run(self) -> None:
        self._work("run", self._run)

    async def _run(self) -> None:
        await self.desk.push()
        run = self.bench.shown
        if not self.desk.saved or self.bench.link != "live":
            self._say("Not everything is recorded yet.")
        elif run is not None and run.active:
            self._say("A run is on: x on the workbench stops it.")
        else:
            await self.link.queue_run()
            if self.bench.failure is None:
                self.dismiss()
            else:
                self.paint()

    def action_close(self) -> None:
        self._work("run", self._close)

    async def _close(self) -> None:
        if self._open is not None:
            self._end_line()
        if self.bench.link == "live":
            await self.desk.push()
        if self.desk.saved:
            self.dismiss()
        else:
            self._say("Not everything is recorded yet; esc again leaves all the same.")
            if self._leaving:
                self.dismiss()
            self._leaving = True

    _leaving = False

    # ---- happenings

    @on(Rows.Chosen)
    def _chosen(self) -> None:
        self.paint()
        self._after("grade", _GRADE_AFTER_S, self._grade)

    @on(Rows.Opened)
    def _opened(self) -> None:
        self.action_edit()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if event.widget is self.edit and self._open is None:
            self.action_edit()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        if event.widget is self.edit and self._open is not None and self.focused is not self.edit:
            self._take_line()
            self._open = None


def _pairs_with(each: Example, negative: Example) -> bool:
    return each.positive and each.pair is not None and each.pair == negative.pair


def _counts(desk: Desk) -> str:
    use = [each for each in desk.examples if each.enabled]
    positive = sum(each.positive for each in use)
    out = len(desk.examples) - len(use)
    return f"{positive} + {len(use) - positive}" + (f", {out} left out" if out else "")


def _first_difference(before: tuple[Example, ...], after: tuple[Example, ...]) -> int:
    for place, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return place
    return max(min(len(before), len(after)) - (len(after) <= len(before)), 0)
