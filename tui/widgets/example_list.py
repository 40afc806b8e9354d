"""The examples, two lines each: the end of the prompt, the expected answer and the model's grade."""

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.geometry import Offset, Size
from textual.strip import Strip

from engine.authoring.readiness import n_distinct
from engine.errors import Failure
from engine.examples import Example
from engine.results import NO_CODE, Grade
from tui.actions import screen_actions
from tui.state.number_text import format_number
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.action_keys import ActionKeys
from tui.widgets.line_widget import VirtualLineWidget
from tui.widgets.styled_line import StyledLine, fit, fit_end, one_line, wrap
from tui.widgets.titled_pane import TitledPane
from tui.widgets.tooltips import tip

VERDICTS = {"ok": ("✓", "good"), "weak": ("~", "second"), "broken": ("✗", "bad"), "ungraded": ("·", "faint")}
TEMPLATE = "{…}"
"""Shown instead of a verdict for a template whose slots are not filled yet."""
_MOST_LINES = 8
"""Maximum lines of a prompt that is shown in full."""


ACTIONS = screen_actions(
    "Examples",
    ("choose.up", "-1", "up", "Example above", "Open the example above", ""),
    ("choose.down", "1", "down", "Example below", "Open the example below", ""),
    ("choose.page_up", "-8", "pageup", "Eight examples up", "Open an example further up", ""),
    ("choose.page_down", "8", "pagedown", "Eight examples down", "Open an example further down", ""),
    ("choose.first", "-1000000", "home", "First example", "Open the first example", ""),
    ("choose.last", "1000000", "end", "Last example", "Open the last example", ""),
    ("choose.same", "0", "enter", "Open or close", "Open or close the selected example", ""),
    ("close", "", "escape", "Close the example", "Show the list alone", ""),
)


class ExampleList(VirtualLineWidget, TitledPane, ActionKeys):
    """The examples of the shown run; the selected one shows its full prompt and grade.

    If the session's examples were edited since that run, the first line says so.
    """

    actions = ACTIONS

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self._grades: dict[int, Grade] = {}
        self._numbers: tuple[int, ...] = ()
        self._only: frozenset[int] = frozenset()
        self._open: list[Strip] = []
        """Lines of the selected example."""
        self._banner = ""
        self._distinct: tuple[tuple[Example, ...], int] = ((), 0)
        self._source: tuple[object, ...] = ()

    def distinct(self) -> int:
        """Return the number of distinct examples; counted again only when they change."""
        if self._distinct[0] is not self.state.examples:
            self._distinct = (self.state.examples, n_distinct(self.state.examples))
        return self._distinct[1]

    def count(self) -> int:
        self._prepare()
        n = len(self.state.examples)
        return self._above + (2 * n - 2 * bool(self._open) + len(self._open) if n else 2)

    def row(self, y: int, size: Size, /) -> Strip:
        if y < self._above:
            return self.line().add(f" ✎ {fit(self._banner, size.width - 4)}", "second").strip()
        if not self.state.examples:
            return (self.line().add(f"  {format_waiting(self.state)}", "dim") if y else self.line()).strip()
        index, line = self.at_line(y)
        if self._open and index == self.state.selected:
            return self._open[line] if line < len(self._open) else self.line().strip()
        return self._lines_of(index, size.width)[line].strip()

    def at_line(self, y: int) -> tuple[int, int]:
        """Return the example at a line of the list, and the line within it."""
        y -= self._above
        chosen = self.state.selected
        if not self._open or chosen is None or y < 2 * chosen:
            return divmod(y, 2)
        y -= 2 * chosen
        if y < len(self._open):
            return chosen, y
        index, line = divmod(y - len(self._open), 2)
        return chosen + 1 + index, line

    def first_line(self, index: int) -> int:
        chosen = self.state.selected
        extra = len(self._open) - 2 if self._open and chosen is not None and index > chosen else 0
        return self._above + 2 * index + extra

    @property
    def _above(self) -> int:
        return int(bool(self._banner))

    def _prepare(self) -> None:
        """Prepare what all lines need, if any of it changed."""
        state = self.state
        codes = state.head_codes()
        source = (
            state.examples,
            state.grades,
            codes,
            state.selected,
            state.session.examples.content_hash,
            self.room.width,
        )
        if len(source) == len(self._source) and all(
            a is b or a == b for a, b in zip(source, self._source, strict=True)
        ):
            return
        self._source = source
        self._banner = format_edited(state)
        self._grades = {grade.index: grade for grade in state.grades}
        self._numbers = codes.codes if codes is not None and not isinstance(codes, Failure) else ()
        self._only = positive_only_codes(self._numbers, state.examples)
        chosen = state.selected
        shown = chosen is not None and 0 <= chosen < len(state.examples)
        self._open = [line.strip() for line in self._lines_of(chosen or 0, self.room.width)] if shown else []

    def _lines_of(self, index: int, width: int) -> list[StyledLine]:
        code = self._numbers[index] if index < len(self._numbers) else None
        example, grade = self.state.examples[index], self._grades.get(index)
        return self._entry(index, example, grade, width, code, code in self._only)

    def _fresh(self) -> None:
        self._source = ()
        super()._fresh()

    def _entry(
        self, index: int, example: Example, grade: Grade | None, width: int, code: int | None, alone: bool
    ) -> list[StyledLine]:
        chosen = index == self.state.selected
        sign, ink = ("+", "positive") if example.positive else ("-", "negative")
        expected = fit(format_answer(example), max(width // 3, 6))
        lines = []
        tail = cell_len(expected) + 3 if expected else 0
        if chosen:
            for row, text in enumerate(wrap(example.prompt, width - 4, _MOST_LINES)):
                lines.append(self.line().add(f" {sign} " if row == 0 else "   ", ink).add(text, "strong"))
            if expected:
                foils = " | ".join(clean(foil) for foil in example.foils[:8])
                line = self.line().add("   → ", "faint").add(expected, "accent")
                if foils:
                    line.add(fit(f"  not {foils}", max(width - line.width - 1, 0)), "dim")
                lines.append(line)
        else:
            prompt = fit_end(one_line(example.prompt), width - 4 - tail)
            line = self.line().add(f" {sign} ", ink).add(prompt, "text" if example.enabled else "faint")
            if expected:
                line.add(" → ", "faint").add(expected, "accent")
            lines.append(line)
        verdict = self._verdict(example, grade, width, code, alone)
        lines.append(verdict)
        if chosen and grade is not None:
            reason_shown = bool(grade.reason) and f": {clean(grade.reason)}" in verdict.text
            lines.extend(self._details(grade, width, reason_shown=reason_shown))
        return lines

    def _verdict(self, example: Example, grade: Grade | None, width: int, code: int | None, alone: bool) -> StyledLine:
        line = self.line().add("   ")
        right = (
            "" if code is None else ("silent" if code == NO_CODE else f"code {code}") + (", only +" if alone else "")
        )
        if not example.enabled:
            line.add("left out", "faint")
        elif grade is None:
            line.add("not graded yet", "faint")
        else:
            glyph, ink = VERDICTS[grade.verdict]
            if grade.probability is not None:
                line.add("p ", "faint").add(f"{format_number(grade.probability, 4):<4} ", "dim")
            line.add(f"{glyph} {grade.verdict}", ink)
            room = width - line.width - len(right) - 3
            if grade.verdict != "ok" and room > 6 and grade.reason:
                line.add(fit(f": {clean(grade.reason)}", room), "dim")
        if right and line.width + len(right) + 2 <= width:
            line.to(width - len(right) - 1).add(right, "accent" if alone else "faint")
        return line

    def _details(self, grade: Grade, width: int, *, reason_shown: bool) -> list[StyledLine]:
        """Make the lines with the rest of the grade, and its reason if the line above had no room for it."""
        texts = [clean(grade.reason)] if grade.reason and not reason_shown else []
        if grade.rank is not None:
            says = f"rank {grade.rank}"
            if grade.says:
                token = clean(grade.says).strip() or repr(grade.says)
                says += f", the model says {token} p {format_number(grade.says_probability, 4)}"
            texts.append(says)
        lengths = {True: ", as in its pair", False: ", not as in its pair", None: ""}[grade.equal_length]
        texts.append(f"{grade.n_tokens} tokens{lengths}")
        return [self.line().add("   ").add(row, "dim") for text in texts for row in wrap(text, width - 4, 3)]

    # ---- choosing

    def action_choose(self, by: int) -> None:
        """Select the example `by` lines further; 0 opens or closes the current one."""
        count = len(self.state.examples)
        if not count:
            return
        now = self.state.selected
        if by == 0 and now is not None:
            self.action_close()
            return
        start = (-1 if by > 0 else 0) if now is None else now
        self.open_example(min(max(start + by, 0), count - 1))

    def action_close(self) -> None:
        self.state.selected = None
        self.paint()

    def open_example(self, index: int) -> None:
        self.state.selected = index
        self.paint()
        first = self.first_line(index)
        self.show_lines(first, first + max(len(self._open), 1) - 1)
        self.paint()

    def tip_at(self, place: Offset, /) -> Content | None:
        """Return the full prompt and its grade."""
        row = place.y + self.scroll_offset.y
        if not self.state.examples or row < self._above:
            return None
        index, _ = self.at_line(row)
        if index >= len(self.state.examples) or index == self.state.selected:
            return None
        example, grade = self.state.examples[index], self._grades.get(index)
        expected = f"→ {format_answer(example)}" if example.expected else ""
        return tip(example.prompt, expected, f"{grade.verdict}: {grade.reason}" if grade is not None else "")

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is None or not self.state.examples:
            return
        row = place.y + self.scroll_offset.y
        if self._above <= row < self.count():
            index, _ = self.at_line(row)
            if index == self.state.selected:
                self.action_close()
            else:
                self.open_example(index)


def format_answer(example: Example) -> str:
    """Format the expected tokens, sanitised; of a long set the first two and its size."""
    if not example.expected:
        return ""
    words = [clean(text).strip() or repr(text) for text in example.expected[:3]]
    return ", ".join(words) if len(example.expected) <= 3 else f"{words[0]}, {words[1]} … ({len(example.expected)})"


def format_edited(state: WorkbenchState) -> str:
    """Format how the session's examples differ from the shown run's; empty if they are the same."""
    now, run = state.session.examples.current, state.shown
    if not now or run is None or not run.picture.examples:
        return ""
    use = tuple(each for each in now if each.enabled)
    if use == run.picture.examples:
        return ""
    positive = sum(each.positive for each in use)
    shows, runs = state.key("write"), state.key("run")
    return f"Edited since: now {positive} + {len(use) - positive}. {shows} shows, {runs} runs them."


def format_waiting(state: WorkbenchState) -> str:
    """Format why there are no examples yet."""
    run = state.shown
    if state.link == "connecting":
        return "Connecting to the host …"
    if run is not None and run.active:
        return "Made as soon as the model is loaded …"
    if state.task is not None:
        return f"None yet. {state.key('run')} makes and runs them."
    return f"None yet. {state.key('write')} writes some."


def positive_only_codes(codes: tuple[int, ...], examples: tuple[Example, ...]) -> frozenset[int]:
    """Return the codes that occur on positives and on no negative."""
    sides: dict[bool, set[int]] = {True: set(), False: set()}
    for code, example in zip(codes, examples, strict=False):
        if code != NO_CODE:
            sides[example.positive].add(code)
    return frozenset(sides[True] - sides[False])


def format_title(state: WorkbenchState, distinct: int) -> str:
    """Format the pane's title: positives + negatives, how many are distinct, weak and broken."""
    positive = sum(example.positive for example in state.examples)
    words = f"Examples {positive} + {len(state.examples) - positive}" if state.examples else "Examples"
    words += f", {distinct} distinct" if distinct < len(state.examples) else ""
    counts = {name: sum(grade.verdict == name for grade in state.grades) for name in ("weak", "broken")}
    return words + "".join(f"  {VERDICTS[name][0]} {count} {name}" for name, count in counts.items() if count)
