"""Actions of the write screen that add or export examples: proposals, tasks, files, pasted text."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.authoring.csv_format import read_csv
from engine.authoring.drafts import SlotPreview, preview_slots, text_of
from engine.authoring.text_format import format_of
from engine.errors import ExampleError, HeadcodeError
from engine.examples import Example
from sessions.protocol import TaskExamplesMade
from tui.connection.session_link import SessionLink
from tui.editor.graded_examples import GradedExamples
from tui.screens.choice import ChoiceItem, ChoiceSheet
from tui.terminal.sanitize import clean
from tui.widgets.latest_worker import run_latest

if TYPE_CHECKING:
    from tui.screens.sub_screen import SubScreen

    Base = SubScreen
else:
    Base = object


class ExampleSources(Base):
    """Mixin of the write screen. New examples go below the selected line, in one undo step."""

    desk: GradedExamples
    link: SessionLink
    say: Callable[[str], None]
    changed: Callable[..., None]
    begin: Callable[..., None]
    work: Callable[..., None]

    def add_text(self, text: str) -> None:
        """Add the examples in a text; invalid lines are kept as text. Asks before filling slots."""
        slots = preview_slots(text, after=self.desk.examples)
        if slots is None:
            self._add_text(text)
            return

        def answered(chosen: str | None) -> None:
            if chosen is None:
                self.say("Nothing was added.")
            else:
                self._add_text(text, fill=chosen == "fill")

        self.app.push_screen(ChoiceSheet(f"{slots.words}: fill them?", self._ways(slots), empty=""), answered)

    def _ways(self, slots: SlotPreview) -> list[ChoiceItem]:
        lines = "the line as it is" if slots.lines == 1 else f"the {slots.lines:,} lines as they are"
        one = f"{self.desk.state.key('write:unfold')} fills a line later"
        return [
            ChoiceItem(id="fill", group="Slots", title=f"fill: {slots.examples:,} examples", detail="each prompt once"),
            ChoiceItem(id="keep", group="Slots", title=f"keep {lines}", detail=one),
        ]

    def _add_text(self, text: str, *, fill: bool = True) -> None:
        before = len(self.desk.flaws)
        try:
            n = self.desk.paste(text, fill=fill)
        except HeadcodeError as error:
            self.say(f"{error.message} {error.hint}")
        else:
            self._added(n, unread=len(self.desk.flaws) - before, doubt=_doubt(text))

    def _added(self, n: int, *, unread: int = 0, doubt: str = "") -> None:
        """Show how many examples were added and how many are invalid."""
        if not n:
            self.say("It contains no example. Expected lines: prompt => expected | foil.")
            return
        words = "1 example added" if n == 1 else f"{n:,} examples added"
        if unread > 0:
            words += f", {unread:,} not valid yet"
        self.changed(f"{words}; {self._undo} removes {'it' if n == 1 else 'them'}.{doubt}")

    @property
    def _undo(self) -> str:
        return self.desk.state.key("write:step.undo")

    def action_negatives(self) -> None:
        from tui.screens.negatives import NegativesScreen

        example, place = self.desk.chosen, self.desk.at
        if example is None or place in self.desk.flaws:
            self.say("Choose a positive first.")
            return
        if not example.positive:
            # Edits are made of the positive of the pair.
            place = next((i for i, each in enumerate(self.desk.examples) if _pairs_with(each, example)), place)
            example = self.desk.examples[place]
        if not example.positive:
            self.say("Negatives are made from a positive: choose one.")
            return
        self.app.push_screen(
            NegativesScreen(self.desk, example, self.desk.pair_for(place), partial(self._accept, place))
        )

    def _accept(self, place: int, negative: Example, edit: bool) -> None:
        """Add an accepted proposal below its positive, as its pair if it had none."""
        self.desk.accept(place, negative)
        self.changed(f"Negative added; {self._undo} removes it.")
        if edit:
            self.begin(text_of(negative), self.desk.at, fresh=False)

    def action_more(self) -> None:
        run_latest(self, "more", self._more)

    async def _more(self) -> None:
        """Add pairs made from existing ones; only those that the model can do."""
        self.say("The model grades pairs made from existing ones …")
        try:
            found = await self.desk.more()
        except HeadcodeError as error:
            self.say(f"{error.message} {error.hint}")
            return
        if found.n:
            self.changed(f"{found.words}; {self._undo} removes {'it' if found.n == 1 else 'them'}{found.rest}.")
        else:
            self.say(f"{found.words}{found.rest}.")

    def action_take(self) -> None:
        from tui.screens.task_picker import TaskPickerScreen

        self.app.push_screen(
            TaskPickerScreen(self.state, lambda task, pairs: self.work("task", partial(self._make, task, pairs)))
        )

    async def _make(self, task: str, pairs: int) -> None:
        self.say(f"The engine makes {pairs} pairs of {task} …")
        try:
            made = await self.link.ask(self.desk.order(task, pairs), TaskExamplesMade)
            self._added(self.desk.add(made.examples))
        except HeadcodeError as error:
            self.say(f"{error.message} {error.hint}")

    def action_read(self) -> None:
        from tui.screens.file_picker import FilePickerScreen

        title = "Examples from which file? Lines, JSONL or CSV."
        self.app.push_screen(FilePickerScreen(self.state, title, Path.cwd(), self._read))

    def _read(self, path: Path) -> None:
        self.work("read", partial(self._read_file, path))

    async def _read_file(self, path: Path) -> None:
        """Read a file in a thread: a hanging network file or an open pipe must not block the keys."""
        self.say(f"Reading {clean(path.name)} …")
        try:
            text = await asyncio.to_thread(_text_in, path)
            if path.suffix.lower() == ".csv":
                # Named as a table: read as lines, its cells would become prompts.
                self._added(self.desk.add(read_csv(text, source=path.name)))
            else:
                self.add_text(text)
        except HeadcodeError as error:
            self.say(f"{error.message} {error.hint}")

    def action_store(self) -> None:
        from tui.screens.file_picker import FilePickerScreen

        title = "Write the examples where? Format by suffix: .jsonl, .csv, or .txt for lines."
        self.app.push_screen(FilePickerScreen(self.state, title, Path.cwd(), self._store, write="examples.jsonl"))

    def _store(self, path: Path) -> None:
        from tui.headless.write_examples import write_examples

        try:
            write_examples(path, self.desk.examples)
        except HeadcodeError as error:
            self.say(f"{error.message} {error.hint}")
        else:
            self.say(f"{len(self.desk.examples)} examples written to {path}.")


def _pairs_with(each: Example, negative: Example) -> bool:
    return each.positive and each.pair is not None and each.pair == negative.pair


def _text_in(path: Path) -> str:
    """Return the text of a regular file. Raises ExampleError, also for pipes and devices."""
    from tui.headless.read_examples import read_text

    return read_text(str(path), plain=True)


def _doubt(text: str) -> str:
    """Return why a table was read as lines; empty if it was not."""
    if format_of(text) == "csv":
        try:
            read_csv(text, source="the table")
        except ExampleError as error:
            return f" Read as lines: {error.message}"
    return ""
