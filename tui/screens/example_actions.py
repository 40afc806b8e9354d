"""Actions of the write screen that edit existing examples."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import HeadcodeError
from engine.examples import Example
from tui.editor.graded_examples import GradedExamples
from tui.widgets.example_rows import ExampleRows

if TYPE_CHECKING:
    from tui.screens.sub_screen import SubScreen

    Base = SubScreen
else:
    Base = object


class ExampleActions(Base):
    """Mixin of the write screen. Every change applies at once, is recorded in the background, and can be undone."""

    desk: GradedExamples
    rows: ExampleRows
    say: Callable[[str], None]
    changed: Callable[..., None]
    grade: Callable[[], None]
    work: Callable[..., None]

    def action_step(self, by: int) -> None:
        self.work("step", partial(self._step, by))

    async def _step(self, by: int) -> None:
        before = self.desk.examples
        done = await self.desk.step(by)
        word = "undone" if by < 0 else "redone"
        if done:
            self.desk.at = _first_difference(before, self.desk.examples)
            self.rows.show_lines(self.desk.at, self.desk.at)
        failure, self.desk.failure = self.desk.failure, None
        self.say(f"The change is {word}." if done or failure is None else failure.message)
        self.grade()

    def _key(self, name: str) -> str:
        return self.desk.state.key(f"write:{name}")

    def action_include(self) -> None:
        if self.desk.chosen is not None:
            done = self.desk.toggle(self.desk.at)
            self.changed("" if done else f"Fix the line first: {self._key('edit')} edits it.")

    def action_remove(self) -> None:
        if self.desk.chosen is not None:
            self.desk.remove(self.desk.at)
            self.changed(f"Deleted; {self._key('step.undo')} restores it.")

    def action_copy(self) -> None:
        if self.desk.chosen is not None:
            self.desk.copy(self.desk.at)
            self.changed()

    def action_pair(self) -> None:
        if self.desk.chosen is not None:
            self.changed(self.desk.pair(self.desk.at))

    def action_flip(self) -> None:
        if self.desk.chosen is not None:
            done = self.desk.flip(self.desk.at)
            self.changed("" if done else f"Fix the line first: {self._key('edit')} edits it.")

    def action_unfold(self) -> None:
        if self.desk.chosen is None:
            return
        try:
            n = self.desk.unfold(self.desk.at)
        except HeadcodeError as error:
            self.say(f"{error.message} {error.hint}")
            return
        self.changed(
            f"{n} examples; {self._key('step.undo')} removes them."
            if n
            else "No slots here: write {name=Mary,John} in a line."
        )

    def action_trim(self) -> None:
        n = self.desk.trim()
        if n:
            self.changed(f"Removed the space at the end of {n} {'prompt' if n == 1 else 'prompts'}.")
        else:
            self.say("No graded prompt ends in a space that belongs to the answer.")

    def action_mend(self) -> None:
        found = self.desk.worth()
        if found.mend is not None:
            self.rows.choose(found.mend)
        else:
            self.say("Nothing to fix.")

    def action_choose(self, by: int) -> None:
        self.rows.choose(self.desk.at + by)

    def action_move(self, by: int) -> None:
        if self.desk.chosen is not None and self.desk.move(self.desk.at, by):
            self.changed()


def _first_difference(before: tuple[Example, ...], after: tuple[Example, ...]) -> int:
    for place, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return place
    return max(min(len(before), len(after)) - (len(after) <= len(before)), 0)
