"""Proposed negatives: minimal edits of a positive, graded by the model, each shown as a diff."""

import asyncio
import difflib
import re
from collections.abc import Callable

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.geometry import Size
from textual.strip import Strip

from engine.authoring.negatives import PromptEdit, as_negative, best_edits, propose
from engine.errors import HeadcodeError
from engine.examples import Example
from engine.results import Grade
from sessions.protocol import Grades
from tui.actions import screen_actions
from tui.editor.graded_examples import GradedExamples
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.state.number_text import format_number
from tui.terminal.sanitize import clean
from tui.widgets.example_list import VERDICTS, format_answer
from tui.widgets.line_widget import LineWidget
from tui.widgets.prompt_preview import PromptPreview
from tui.widgets.styled_line import StyledLine, fit, fit_end, one_line, wrap

_LEAST = 50
"""Minimum columns before a grade."""
_MOST_WORDS = 400
"""Maximum words of a prompt shown in full; of a longer one, only the context of changes."""
_MOST_AROUND = 12
"""Maximum context on each side of a change, in words and spaces."""
ACTIONS = screen_actions(
    "Negatives",
    ("accept", "", "enter,a", "Accept", "Add this negative below the positive, as its pair", "accept"),
    ("accept_and_edit", "", "e", "Accept and edit", "Add it and change its line", "accept and edit"),
    ("choose.down", "1", "down,j", "Proposal below", "Choose the next proposal", ""),
    ("choose.up", "-1", "up,k", "Proposal above", "Choose the previous proposal", ""),
    ("close", "", "escape,n,q", "Back", "Back without adding", "back"),
)
Accept = Callable[[Example, bool], None]
"""Called with the negative and True if its line is to be edited."""


class NegativeList(LineWidget):
    """The list: a title line and the changed prompt for each proposal."""

    can_focus = True

    def __init__(self, graded: GradedExamples, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(graded.state, id=id)
        self.example: Example | None = None
        self.found: tuple[tuple[PromptEdit, Grade], ...] = ()
        self.status = ""
        self.own: Grade | None = None
        """Grade of the positive itself, for comparison."""
        self.at = 0
        self._starts: list[int] = []

    def lines(self, size: Size, /) -> list[Strip]:
        if self.example is None or not self.found:
            rows = wrap(self.status, size.width - 2, size.height)
            return [self.line().add(" ").add(row, "dim").strip() for row in rows]
        self._starts = []
        longest = max(cell_len(clean(edit.prompt[: size.width])) for edit, _ in self.found)
        right = min(size.width - 20, max(longest + 12, _LEAST))
        found = self._positive(self.example, size, right)
        each = max((size.height - len(found)) // max(len(self.found), 1) - 1, 1)
        for place, (edit, grade) in enumerate(self.found):
            self._starts.append(len(found))
            chosen = place == self.at
            glyph, ink = VERDICTS[grade.verdict]
            head = self.line().add("▸ " if chosen else "  ", "accent").add(f"{place + 1} ", "dim")
            head.add(fit(clean(edit.kind), right - 6), "strong" if chosen else "text").to(right)
            head.add(f"{glyph} {grade.verdict:<6} ", ink).add(f"p {format_number(grade.probability, 4)}", "dim")
            found.append(head.strip())
            found += [line.strip() for line in self._difference(self.example.prompt, edit.prompt, size.width, each)]
        return found[: size.height]

    def _positive(self, example: Example, size: Size, right: int) -> list[Strip]:
        """Make the line of the positive and its grade, if there is room."""
        if size.height < 3 * len(self.found):
            return []
        line = self.line().add("  ").add("+ ", "positive")
        answer = fit(format_answer(example), 24)
        room = right - line.width - cell_len(answer) - 5
        line.add(fit_end(one_line(example.prompt, size.width * 2), room), "text")
        line.add(" → ", "faint").add(answer, "accent").to(right)
        if self.own is not None and self.own.probability is not None:
            glyph, ink = VERDICTS[self.own.verdict]
            line.add(f"{glyph} {self.own.verdict:<6} ", ink).add(f"p {format_number(self.own.probability, 4)}", "dim")
        return [line.strip(), self.line().strip()]

    def _difference(self, old: str, new: str, width: int, most: int) -> list[StyledLine]:
        """Format the changed prompt; a replaced word is followed by the new one: John→Rachel.

        If the rows are too few, context is cut before changes.
        """
        for around in (_MOST_AROUND, 6, 3, 1):
            lines = self._laid(format_edit(old, new, around=around), width)
            if len(lines) <= most:
                return lines
        lines[most - 1].add("…", "faint")
        return lines[:most]

    def _laid(self, pieces: list[tuple[str, str]], width: int) -> list[StyledLine]:
        """Wrap the pieces into rows; the last column stays free for an ellipsis."""
        lines = [self.line().add("    ")]
        for text, ink in pieces:
            shown = fit(clean(text), width - 6)
            if cell_len(shown) > width - lines[-1].width - 1:
                lines.append(self.line().add("    "))
            lines[-1].add(shown, ink)
        return lines

    def on_click(self, event: events.Click) -> None:
        under = [place for place, start in enumerate(self._starts) if start <= event.y]
        if under:
            self.at = under[-1]
            self.paint()


class NegativesScreen(SubScreen):
    """The screen; proposes negatives when it opens and never changes the positive."""

    CSS_PATH = "negatives.tcss"
    actions = ACTIONS
    AUTO_FOCUS = "#proposals"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, graded: GradedExamples, example: Example, pair: int | None, accept: Accept) -> None:
        super().__init__(graded.state)
        self.graded = graded
        self.example = example
        self.pair = pair
        self.accept = accept
        self.list = NegativeList(graded, id="proposals")
        self.proof = PromptPreview(graded, id="proof")
        self.proof.key = ""  # the position is changed on the screen below

    def compose(self) -> ComposeResult:
        yield self.list
        yield self.proof
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.list.border_title = "Negatives"
        self.list.example = self.example
        self.list.status = "The model grades small changes of the prompt …"
        self.run_worker(self._look(), group="negatives", exit_on_error=True)

    def paint(self) -> None:
        self.list.paint()
        chosen = self.list.found[self.list.at][0] if self.list.found else None
        self.proof.example = self.example if chosen is None else as_negative(self.example, chosen.prompt, pair=None)
        self.proof.paint()

    async def _look(self) -> None:
        edits = await asyncio.to_thread(propose, self.example)
        if not edits:
            self.list.status = f"No small change found. {self._by_hand()}"
            self.paint()
            return
        asked = (self.example, *(as_negative(self.example, edit.prompt, pair=None) for edit in edits))
        reading = self.graded.reading
        try:
            # A later question with the same name replaces this one, so only the newest is waited for.
            question = self.graded.question(asked, channel=f"{self.graded.name}-negatives")
            answer = await self.graded.link.ask(question, Grades)
        except HeadcodeError as error:
            self.list.status = f"{error.message} {error.hint}"
            self.paint()
            return
        self.graded.keep(asked, answer, reading)
        own = answer.grades[0]
        self.list.own = own
        self.list.found = best_edits(edits, answer.grades[1:], n_tokens=own.n_tokens)
        if not self.list.found:
            self.list.status = (
                f"None of {len(edits)} changes keeps the prompt at {own.n_tokens} tokens. {self._by_hand()}"
            )
        self.paint()

    def _by_hand(self) -> str:
        copies, flips, edits, back = (
            self.state.key(name) for name in ("write:copy", "write:flip", "write:edit", "negatives:close")
        )
        return (
            f"Write a negative by hand: {back} goes back to the list; there {copies} copies the line, "
            f"{flips} changes its side, {edits} edits it."
        )

    def action_choose(self, by: int) -> None:
        self.list.at = min(max(self.list.at + by, 0), max(len(self.list.found) - 1, 0))
        self.paint()

    def action_accept(self) -> None:
        self._accept(edit=False)

    def action_accept_and_edit(self) -> None:
        self._accept(edit=True)

    def _accept(self, *, edit: bool) -> None:
        if self.list.found:
            chosen = self.list.found[self.list.at][0]
            self.dismiss()
            self.accept(as_negative(self.example, chosen.prompt, pair=self.pair), edit)


def format_edit(old: str, new: str, *, around: int = _MOST_AROUND) -> list[tuple[str, str]]:
    """Return the new text in pieces with inks: unchanged, removed (followed by an arrow), added.

    `around` is the context on each side of a change, in pieces; below the maximum it applies to short texts, too.
    """
    was, now = _pieces(old), _pieces(new)
    found: list[tuple[str, str]] = []
    long = len(now) > _MOST_WORDS or around < _MOST_AROUND
    for kind, a, b, c, d in _changes(was, now):
        if kind == "equal":
            kept = now[c:d]
            if long:
                # Before the first and after the last change there is context on one side only.
                first, last = 0 if not c else around, 0 if d == len(now) else around
                if len(kept) > first + last:
                    kept = [*kept[:first], " … " if c else "… ", *kept[len(kept) - last :]]
            found += [(text, "dim") for text in kept]
            continue
        if b > a:
            found.append(("".join(was[a:b]).strip() or "".join(was[a:b]), "gone"))
        if d > c:
            found.append(("→", "faint"))
            found.append(("".join(now[c:d]).strip() or "".join(now[c:d]), "come"))
    return found


def _changes(was: list[str], now: list[str]) -> list[tuple[str, int, int, int, int]]:
    """Return difflib opcodes, computed only between the first and last difference because difflib is slow."""
    shorter = min(len(was), len(now))
    first = next((i for i in range(shorter) if was[i] != now[i]), shorter)
    last = next((i for i in range(shorter - first) if was[-1 - i] != now[-1 - i]), shorter - first)
    a, c = len(was) - last, len(now) - last
    middle = difflib.SequenceMatcher(None, was[first:a], now[first:c], autojunk=False).get_opcodes()
    inner = [(kind, p + first, q + first, r + first, s + first) for kind, p, q, r, s in middle]
    return [("equal", 0, first, 0, first), *inner, ("equal", a, len(was), c, len(now))]


def _pieces(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text[:20_000])
