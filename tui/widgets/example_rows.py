"""The examples on the write screen, one line each; only visible lines are drawn."""

from rich.cells import cell_len
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from engine.examples import Example
from engine.results import Grade
from tui.editor.graded_examples import GradedExamples
from tui.state.number_text import format_number
from tui.terminal.sanitize import clean
from tui.widgets.example_list import TEMPLATE, VERDICTS, format_answer
from tui.widgets.line_widget import VirtualLineWidget
from tui.widgets.styled_line import fit, fit_end, one_line

_VERDICT = 15
_WIDEST = 132
"""Maximum columns before a verdict, so that the eye can follow the line."""
_REASON = 24
"""Minimum columns for the reason of a grade."""
_PAIR = 4


class ExampleRows(VirtualLineWidget):
    """The list of examples. The screen's keys edit it; a click or the arrows select a line."""

    can_focus = True

    class Chosen(Message):
        """Another line was selected."""

    class Opened(Message):
        """A line was clicked twice."""

    class Pasted(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, graded: GradedExamples, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(graded.state, id=id)
        self.graded = graded
        self.open: int | None = None
        """The line that is being edited, drawn with the text of the editor below."""

    def count(self) -> int:
        return max(len(self.graded.examples), 1)

    def row(self, y: int, size: Size, /) -> Strip:
        examples = self.graded.examples
        if not examples:
            add, read, take = (self.state.key(f"write:{name}") for name in ("add", "read", "take"))
            words = f"  No examples yet: {add} adds a line, {read} reads a file, {take} adds a task; or paste lines."
            return self.line().add(fit(words, size.width), "dim").strip()
        example, chosen = examples[y], y == self.graded.at
        line = self.line().add("▸" if chosen else " ", "accent").add(f"{y + 1:>4} ", "faint")
        line.add(f"{self._pair(y, example):<{_PAIR}}", "second" if chosen else "faint")
        wrong = self.graded.flaws.get(y)
        if wrong is not None:
            room = max(size.width - line.width - 3, 0)
            reason = fit(clean(wrong), room // 2)
            line.add(fit(clean(example.prompt[: size.width]), room - cell_len(reason)), "text").add(
                f"  ✗ {reason}", "bad"
            )
            return line.strip()
        ink = ("strong" if chosen else "text") if example.enabled else "faint"
        sign = ("+", "positive") if example.positive else ("-", "negative")
        line.add(sign[0], sign[1] if example.enabled else "faint").add(" ")
        answer = fit(format_answer(example), max(size.width // 4, 6))
        right = min(size.width - _VERDICT, _WIDEST)
        room = right - line.width - (cell_len(answer) + 4 if answer else 1)
        line.add(fit_end(one_line(example.prompt, size.width * 2), room), ink)
        if answer:
            line.add(" → ", "faint").add(answer, "accent" if example.enabled else "faint")
        line.to(right)
        filled = self.graded.templates.get(y)
        if filled is not None and example.enabled:
            line.add(f"{TEMPLATE} ", "second")
            return line.add(f"{filled:,} examples" if filled else "being typed", "dim").strip()
        grade = self.graded.grades.get(y)
        self._verdict(line, example, grade)
        if grade is not None and grade.verdict != "ok" and example.enabled:
            # The reason, if a wide terminal has room for it beside the verdict.
            room = size.width - right - _VERDICT - 3
            line.to(right + _VERDICT + 2).add(fit(clean(grade.reason), room) if room >= _REASON else "", "dim")
        return line.strip()

    def _pair(self, y: int, example: Example) -> str:
        """Format a pair: a bracket for neighbours, its number otherwise."""
        if example.pair is None:
            return ""
        examples = self.graded.examples
        for other, bracket in ((y + 1, "╭"), (y - 1, "╰")):
            if 0 <= other < len(examples) and examples[other].pair == example.pair:
                return bracket
        return f"{example.pair}"[: _PAIR - 1]

    def _verdict(self, line: "object", example: Example, grade: Grade | None) -> None:
        from tui.widgets.styled_line import StyledLine

        assert isinstance(line, StyledLine)
        if not example.enabled:
            line.add("left out", "faint")
        elif grade is None:
            line.add("…", "faint")
        else:
            glyph, ink = VERDICTS[grade.verdict]
            line.add(f"{glyph} {grade.verdict} ", ink)
            if grade.probability is not None:
                line.add(format_number(grade.probability, 4), "dim")
            if grade.equal_length is False:
                line.add(" ≠", "second")

    # ---- choosing

    def choose(self, place: int) -> None:
        self.graded.at = min(max(place, 0), max(len(self.graded.examples) - 1, 0))
        self.show_lines(self.graded.at, self.graded.at)
        # The handler of this message paints the list, so it is painted once per key.
        self.post_message(self.Chosen())

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(self.Pasted(event.text))

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and place.y + self.scroll_offset.y < len(self.graded.examples):
            again = place.y + self.scroll_offset.y == self.graded.at and event.chain > 1
            self.choose(place.y + self.scroll_offset.y)
            if again:
                self.post_message(self.Opened())
