"""What a code answers to: the tree of its shortest prompts, how well it predicts, and the tokens that carry it."""

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.errors import Failure
from engine.explanations import CodeExplanation, SalientPrompt
from sessions.protocol import Explained
from sessions.rows import HeadCodes
from tui.actions import screen_actions
from tui.output.explanation import held_out, title
from tui.output.explanation_tree import TreeRow, summary, tree_rows, word_sources
from tui.screens.families import FamiliesScreen
from tui.screens.measured_screen import MeasuredScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.state.explaining import ExplainState
from tui.state.workbench_state import WorkbenchState
from tui.themes.themes import Depth
from tui.widgets.places_strip import SignedWidget, failure_lines
from tui.widgets.styled_line import StyledLine, bar, fit, one_line, wrap

ACTIONS = screen_actions(
    "Explanation",
    ("close", "", "escape,x,enter,q", "Back", "Back to the page of the node", "back"),
    ("code.next", "1", "right_square_bracket", "Next code", "The node's next code, less frequent", "code"),
    ("code.previous", "-1", "left_square_bracket", "Previous code", "The code before", ""),
    ("families", "", "f", "Families", "Codes of any node that occur on the same prompts", "families"),
    ("scroll.down", "1", "down,j", "Down", "Scroll down", "scroll"),
    ("scroll.up", "-1", "up,k", "Up", "Scroll up", ""),
)
_BAR = 6
_TOKENS = 34
"""Columns of the tree at most."""


class ExplanationView(SignedWidget):
    """The tree, the prediction, and the examples' tokens."""

    def __init__(self, explaining: ExplainState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(explaining.state, id=id)
        self.explaining, self.depth = explaining, depth

    def lines(self, size: Size, /) -> list[Strip]:
        found = self.explaining.found
        if isinstance(found, Failure):
            return failure_lines(self.line, found, size)
        if found is None:
            return [self.line().add(f" {fit(words, size.width - 2)}", "dim").strip() for words in self._waiting()]
        lines = self._all(found, size.width)
        self.explaining.first = min(self.explaining.first, len(lines) - 1)
        return [line.strip() for line in lines[self.explaining.first :][: size.height]]

    def _waiting(self) -> list[str]:
        codes = self.state.head_codes()
        if isinstance(codes, Failure):
            return [codes.message, codes.hint]
        if isinstance(codes, HeadCodes) and self.explaining.code is None:
            return [f"{self.state.cursor} is silent on all examples: it has no code to explain."]
        words = self.state.parts.format_wait(
            self.explaining.request, f"shortening prompts with code {self.explaining.code} and trying other words"
        )
        return [words, "What is found is recorded with the run, and shown at once the next time."]

    def _all(self, found: Explained, width: int) -> list[StyledLine]:
        explanation = found.explanation
        lines = [self.line().add(f" {fit(title(explanation, found.model.name), width - 2)}", "text")]
        for notice in explanation.notices:
            lines += [self.line().add(f" {row}", "second") for row in wrap(notice, width - 2, 2)]
        words = "shortest prompts that keep the code, read from their end; bars: share of the code lost without a token"
        lines.append(self.line().add(f" {fit(words, width - 2)}", "faint"))
        rows = tree_rows(explanation)
        room = min(max((cell_len(_tokens(row)) for row in rows), default=0), _TOKENS, width // 2)
        lines += [self._row(row, room, width) for row in rows]
        lines += [
            self.line().add(f" {row}", "faint") for row in wrap(one_line(word_sources(explanation)), width - 2, 2)
        ]
        lines += [self.line(), self.line().add(f" {fit(held_out(explanation), width - 2)}", "faint")]
        lines += self._prediction(explanation, width)
        for each in explanation.salient:
            lines += [self.line(), *self._salient(each, width)]
        how = "as it was recorded" if found.recorded else "now recorded with the run"
        ending = f"{explanation.passes} prompts through the model, {explanation.seconds:.1f} s; {how}"
        return [*lines, self.line(), self.line().add(f" {fit(ending, width - 2)}", "faint")]

    def _row(self, row: TreeRow, room: int, width: int) -> StyledLine:
        ink = "strong" if row.used else "dim"
        line = self.line().add(" ").add(row.branches, "groove")
        left = room - cell_len(row.branches)
        for place, (text, letter) in enumerate(((row.own, row.letter), (row.other, row.other_letter))):
            if text and left > 0:
                shown = fit(f"{' | ' if place else ''}{one_line(text).strip() or '␣'}", left)
                line.add(shown, ink if not place else "negative")
                left -= cell_len(shown)
                if letter and left > 1:
                    line.add(f" {letter}", "accent")
                    left -= 2
        line.to(room + 2)
        done, rest = bar(row.saliency, _BAR)
        line.add(done, "accent" if row.used else "dim").add(" " * len(rest)).add("  ")
        words = " | ".join(filter(None, (row.words, row.other_words)))
        ends = f"  {row.ends}" if row.ends else ""
        space = width - line.width - 1
        shown = fit(one_line(words), max(space - cell_len(ends), min(space, 12)))
        line.add(shown, "text" if row.used else "dim")
        return line.add(fit(ends, width - line.width - 1), "faint")

    def _prediction(self, explanation: CodeExplanation, width: int) -> list[StyledLine]:
        rows = summary(explanation)
        first = min(max(len(row[0]) for row in rows), max(width - 30, 16))
        lines = [self.line().to(first + 3).add("precision  recall", "faint")]
        for place, (name, precision, recall, counts) in enumerate(rows):
            line = self.line().add(f" {fit(one_line(name), first)}", "strong" if not place else "dim").to(first + 3)
            line.add(f"{precision:>9}  {recall:>6}  ", "strong" if not place else "dim")
            lines.append(line.add(fit(counts, width - line.width - 1), "faint"))
        return lines

    def _salient(self, prompt: SalientPrompt, width: int) -> list[StyledLine]:
        lines = [self.line().add(f" example {prompt.example + 1}, tokens by how much of the code they carry", "faint")]
        lines.append(self.line().add(" "))
        for token, value in prompt.tokens:
            text = one_line(token) or "␣"
            if lines[-1].width + cell_len(text) > width - 1:
                lines.append(self.line().add(" "))
            lines[-1].add_styled(fit(text, width - 2), self.signed(max(-1.0, min(value, 1.0)), 1.0))
        return lines


class ExplanationScreen(MeasuredScreen):
    """The screen; a code is asked for once and recorded."""

    CSS_PATH = "explanation.tcss"
    actions = ACTIONS

    def __init__(self, state: WorkbenchState, depth: Depth, fetch: FetchPart, example: int) -> None:
        super().__init__(state, fetch)
        self._fetch = fetch
        self.explaining = ExplainState(state, example)
        self.view = ExplanationView(self.explaining, depth, id="explanation")

    def wanted(self) -> Wanted:
        return [(self.explaining.request, Explained)]

    def paint(self) -> None:
        code, codes = self.explaining.code, self.explaining.codes
        place = f", {codes.index(code) + 1} of {len(codes)}" if code in codes else ""
        self.view.border_title = Content(f"Code {'?' if code is None else code} of {self.state.cursor}{place}")
        self.view.paint()
        self.loader.start()

    def action_families(self) -> None:
        self.app.push_screen(FamiliesScreen(self.state, self._fetch, self.explaining.code))

    def action_code(self, by: int) -> None:
        self.explaining.turn(by)
        self.moved()

    def action_scroll(self, by: int) -> None:
        self.explaining.first = max(0, self.explaining.first + by)
        self.paint()


def _tokens(row: TreeRow) -> str:
    sides = ((row.own, row.letter), (row.other, row.other_letter))
    words = [f"{one_line(text).strip() or '␣'}{f' {letter}' if letter else ''}" for text, letter in sides if text]
    return row.branches + " | ".join(words)
