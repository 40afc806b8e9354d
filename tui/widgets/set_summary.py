"""Summary of the examples: readiness and next step in two lines; missing pairs in a third."""

from textual.geometry import Size
from textual.strip import Strip

from engine.authoring.readiness import Readiness
from tui.actions.key_labels import KeyLabel
from tui.editor.graded_examples import GradedExamples
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import fit

_WITH_MISSING = 3
"""Rows needed to show how many pairs are missing."""


class SetSummary(LineWidget):
    """Readiness of the examples and what to fix first, or the last message."""

    def __init__(self, graded: GradedExamples, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(graded.state, id=id)
        self.graded = graded
        self.status = ""

    def lines(self, size: Size, /) -> list[Strip]:
        found = self.graded.worth()
        right = "recorded " if self.graded.saved else "recording … "
        first = (
            self.line().add(" ").add(fit(found.words, size.width - len(right) - 3), "good" if found.ready else "second")
        )
        first.to(size.width - len(right), " ").add(right, "faint")
        failure = self.graded.failure or self.state.failure
        if self.state.link == "lost":
            words, ink = self.state.link_words, "second"
        elif failure is not None:
            words, ink = f"{failure.message} {failure.hint}", "bad"
        else:
            words, ink = self.status or format_todo(found, self.state.key), "dim"
        second = self.line().add(" ").add(fit(clean(words), size.width - 2), ink)
        if not found.missing or size.height < _WITH_MISSING:
            return [first.strip(), second.strip()]
        more = self.state.key("write:more")
        missing = self.line().add(" ").add(fit(found.missing, size.width - len(more) - 5), "second")
        return [first.strip(), missing.add(" (", "dim").add(more, "key").add(")", "dim").strip(), second.strip()]


def format_todo(found: Readiness, key: KeyLabel) -> str:
    """Format the next step with its key."""
    return f"{key(f'write:{found.action}')} {found.todo}" if found.action else found.todo
