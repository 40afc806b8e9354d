"""The line of the write screen that is being edited, and how its text becomes an example."""

import re

from engine.authoring.drafts import parse_draft, text_of
from engine.examples import Example
from tui.editor.graded_examples import GradedExamples
from tui.widgets.line_edit import LineEdit

_OWN_SIGN = re.compile(r"[+-] (?=[+-]\d{0,9} )")
"""A sign followed by another one: a whole line was typed after the sign that was offered."""


class EditedLine:
    """Takes a line of the examples into the editor and back."""

    def __init__(self, graded: GradedExamples, edit: LineEdit) -> None:
        self.graded, self.edit = graded, edit
        self.place: int | None = None
        """Index of the line; None while no line is edited."""
        self.fresh = False
        """True for a new line, which is dropped if left empty."""
        self.adding = False
        """True while another new line follows each one."""
        self._came_from = 0
        """The line selected before a new one was started."""

    @property
    def draft(self) -> Example | None:
        """The example as it is typed; None if there is none."""
        if self.place is None or not self.edit.text.strip(" +-"):
            return None
        return parse_draft(self.edit.text)

    def begin(self, text: str, place: int, *, fresh: bool) -> None:
        self.place, self.fresh = place, fresh
        self.edit.put(text)
        self.edit.focus()

    def begin_below(self, place: int) -> None:
        """Start a new line below; after it another one, until one is left empty."""
        examples = self.graded.examples
        sign = "+ " if not examples or examples[min(place, len(examples) - 1)].positive else "- "
        self.adding, self._came_from = True, self.graded.at
        self.begin(sign, self.graded.below(min(place, max(len(examples) - 1, 0))), fresh=True)

    def drop_offered_sign(self) -> None:
        """Replace the sign that was offered by the one the user typed."""
        own = _OWN_SIGN.match(self.edit.text) if self.fresh else None
        if own is not None:
            self.edit.put(self.edit.text[own.end() :], at=max(self.edit.at - own.end(), 0))

    def store(self) -> bool:
        """Store the text of the editor as the example; return True if that changes the examples."""
        if self.place is None:
            return False
        text, place = self.edit.text, min(self.place, len(self.graded.examples))
        empty = not text.strip(" +-0123456789\t")
        if self.fresh:
            if empty:
                self.graded.at = self._came_from
                return False
            self.graded.insert(place, [parse_draft(text)])
            self.fresh = False
        elif place < len(self.graded.examples):
            old = self.graded.examples[place]
            new = old if text == text_of(old) else parse_draft(text, like=old)
            if new == old:
                return False
            if empty:
                self.graded.remove(place)
                self.fresh, self._came_from = True, place
            else:
                self.graded.replace(place, new)
        self.graded.at = place
        return True
