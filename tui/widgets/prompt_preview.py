"""Preview of the selected example: the model's grade and the prompt token by token."""

from rich.cells import cell_len
from textual.geometry import Size
from textual.strip import Strip

from engine.authoring.drafts import flaw
from engine.authoring.templates import is_open
from engine.examples import Example
from engine.results import Grade, PromptTokens
from tui.editor.graded_examples import GradedExamples
from tui.state.number_text import format_number
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.example_list import TEMPLATE, VERDICTS
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import StyledLine, fit, fit_end, wrap


class PromptPreview(LineWidget):
    """Draws `example`, set by the screen: the selected one or the line being edited."""

    def __init__(self, graded: GradedExamples, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(graded.state, id=id)
        self.graded = graded
        self.example: Example | None = None
        self.line_text = ""
        self.key = "P"
        """Key that changes which tokens are read; empty where there is none."""

    def lines(self, size: Size, /) -> list[Strip]:
        example = self.example
        if example is None:
            words = "A line is: + prompt => expected | foil, foil   (or - for a negative; +3 and -3 are one pair)"
            return [self.line().add(f" {fit(words, size.width - 2)}", "faint").strip()]
        wrong = flaw(example)
        if wrong:
            rows = wrap(f"✗ Not a valid example yet: {wrong} It is saved as typed.", size.width - 2, size.height)
            return [self.line().add(" ").add(row, "bad").strip() for row in rows]
        found: list[StyledLine] = []
        n_slots = self.graded.slots(self.line_text) if "{" in self.line_text else 0
        if n_slots or is_open(self.graded.typed):
            words = self.graded.template_words(n_slots)
            words += f"; {self.state.key('write:unfold')} fills it." if n_slots else "."
            return [self.line().add(f" {TEMPLATE} ", "second").add(fit(words, size.width - 6), "text").strip()]
        grade, tokens = self.graded.grade_of(example), self.graded.tokens(example)
        if grade is None:
            why = self.graded.failure.message if self.graded.failure is not None else self._waiting()
            ink = "bad" if self.graded.failure is not None else "dim"
            found += [self.line().add(" ").add(row, ink) for row in wrap(why, size.width - 2, 2)]
        else:
            found += self._verdict(example, grade, size.width)
        if tokens is not None:
            found += self._tokens(tokens, size.width, size.height - len(found))
        return [line.strip() for line in found[: size.height]]

    def _waiting(self) -> str:
        worker = self.state.worker
        if worker is not None and worker.worker_state not in ("warm", "busy"):
            return "The engine is starting; the first grades take some seconds …"
        model = format_grader(self.state)
        return f"{model} grades it …" if self.graded.model is not None else f"{model} is being loaded …"

    def _verdict(self, example: Example, grade: Grade, width: int) -> list[StyledLine]:
        glyph, ink = VERDICTS[grade.verdict]
        first = self.line().add(f" {glyph} {grade.verdict}", ink)
        first.add(": ", "faint").add(fit(clean(grade.reason), width - first.width - 3), "text")
        second = self.line().add("   ")
        if grade.rank:
            second.add(f"rank {grade.rank}  ", "dim")
        if grade.says:
            token = fit(clean(grade.says).strip() or repr(grade.says), 24)
            second.add(f"{format_grader(self.state, 24)} says ", "faint").add(token, "accent")
            second.add(f" p {format_number(grade.says_probability, 4)}  ")
        if grade.better_prompt:
            second.add(self.state.key("write:trim"), "key").add(" removes the space  ", "dim")
        if not example.enabled:
            second.add("left out of runs  ", "second")
        return [first, second]

    def _tokens(self, tokens: PromptTokens, width: int, most: int) -> list[StyledLine]:
        """Make the lines of tokens, separated by bars so that spaces are visible; tokens that are read are bright."""
        n, n_read = len(tokens.texts), sum(tokens.read)
        read = "all are read" if n_read == n else (f"{n_read} read" if n_read else "none is read")
        if self.graded.parts:
            read = "read where the pair differs most"
        lines = [self.line().add(f"   {n} tokens, {read} ({clean(self.graded.position)}", "dim")]
        if self.key:
            lines[0].add(", ", "dim").add(self.key, "key").add(" changes it", "dim")
        lines[0].add("): ", "dim")
        for text, is_read in zip(tokens.texts, tokens.read, strict=True):
            shown = fit(clean(text), max(width - 6, 1))
            if lines[-1].width + cell_len(shown) + 2 > width:
                if len(lines) == most:
                    lines[-1].add("…", "faint")
                    return lines
                lines.append(self.line().add("   "))
            lines[-1].add(shown, "strong" if is_read else "faint").add("│", "groove")
        return lines if most > 0 else []


def format_grader(state: WorkbenchState, room: int = 40) -> str:
    """Format the model that grades, noting if it is not the session's."""
    model = state.options.model
    name = fit_end(clean(model), room)
    return name if model == state.model else f"{name}, the model of the next run,"
