"""One head or MLP on ordinary text: its kinds, its numbers beside those on the prompts, contexts, attended tokens."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.geometry import Size
from textual.strip import Strip

from engine.analysis.head_kinds import because, kinds_of
from engine.node_atlas import ATLAS_METRICS, Atlas, AtlasContext, AtlasNode
from tui.state.atlas import AtlasState
from tui.state.number_text import format_fixed
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import StyledLine, fit, one_line

_TITLE, _NUMBER = 11, 9
_STRONG = 0.15
"""Attention from which on a token is drawn as attended to."""
_AFTER = 2
_LEFT = 4
"""Lines that stay in view when the page is scrolled to its end."""


class AtlasPage(LineWidget):
    """The page of the node at the cursor; `first` lines are scrolled away."""

    can_focus = False

    def __init__(self, atlas: AtlasState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(atlas.state, id=id)
        self.atlas = atlas
        self.first = 0

    def lines(self, size: Size, /) -> list[Strip]:
        node = self.state.cursor
        text, atlas = self.atlas.on_text(node), self.atlas.atlas
        if atlas is None:
            return []
        if text is None:
            return [self.line().add(f" the atlas has no {node}", "dim").strip()]
        lines = [*self._kinds(text, size.width), *self._unlike(size.width), self.line()]
        contexts: list[StyledLine] = []
        for title, some in (("where it writes most", text.top), ("at random places", text.typical)):
            if some:
                contexts += [self.line().add(f" {title}", "faint")]
                for each in some:
                    contexts += self._context_lines(atlas, each, size.width)
        numbers = self._numbers(text, size.width)
        lines += [*numbers, self.line(), *contexts, *self._attends(atlas, text, size.width)]
        self.first = min(max(self.first, 0), max(len(lines) - _LEFT, 0))
        return [line.strip() for line in lines[self.first : self.first + size.height]]

    def _kinds(self, text: AtlasNode, width: int) -> list[StyledLine]:
        kinds = kinds_of(text.metrics)
        if not text.node.is_head:
            return [self.line().add(" an MLP: it attends to nothing, and has no kind", "dim")]
        if not kinds:
            return [self.line().add(" no clear habit on ordinary text", "dim")]
        lines = []
        for kind in kinds:
            line = self.line().add(f" {kind.name}", "strong")
            line.add(f" {because(kind, text.metrics)}", "accent")
            lines.append(line.add(fit(f"  {kind.words}", width - line.width - 1), "dim"))
        return lines

    def _unlike(self, width: int) -> list[StyledLine]:
        found = self.atlas.unlike(self.state.cursor)
        lines = [self.line().add(f" ! {fit(str(each), width - 4)}", "bad") for each in found[:3]]
        if found:
            words = "It does something else on this task than on ordinary text."
            lines.insert(0, self.line().add(f" {fit(words, width - 2)}", "bad"))
        return lines

    def _numbers(self, text: AtlasNode, width: int) -> list[StyledLine]:
        prompts = self.atlas.on_prompts(text.node)
        head = self.line().to(_TITLE + 1).add(f"{'on text':>{_NUMBER}}", "faint")
        head.add(f"{'on these':>{_NUMBER + 1}}" if prompts is not None else "", "faint")
        lines = [head]
        for metric in ATLAS_METRICS:
            if metric.name not in text.metrics:
                continue
            line = self.line().add(f" {metric.title:<{_TITLE}}", "dim")
            line.add(f"{format_fixed(text.metrics[metric.name], metric.digits).strip():>{_NUMBER}}", "text")
            if prompts is not None:
                value = prompts.metrics.get(metric.name)
                shown = "-" if value is None else format_fixed(value, metric.digits).strip()
                line.add(f"{shown:>{_NUMBER + 1}}", "text")
            lines.append(line.add(fit(f"  {metric.words}", width - line.width - 1), "faint"))
        return lines

    def _context_lines(self, atlas: Atlas, context: AtlasContext, width: int) -> list[StyledLine]:
        """Draw the text before the position, attended tokens marked, and what is attended to and raised there."""
        passage = atlas.passages[context.passage]
        words = [one_line(atlas.words[word].replace("\n", "⏎")) for word in passage]
        strong = {place for place, weight in context.attends if weight >= _STRONG}
        room = width - 3
        after = words[context.position + 1 : context.position + 1 + _AFTER]
        used = sum(map(cell_len, [words[context.position], *after]))
        first = context.position
        while first > 0 and used + cell_len(words[first - 1]) <= room:
            first -= 1
            used += cell_len(words[first])
        line = self.line().add("  ")
        for place in range(first, min(context.position + 1 + _AFTER, len(words))):
            ink = "cursor" if place == context.position else "second" if place in strong else "dim"
            line.add(fit(words[place], max(width - line.width - 1, 0)), ink if place <= context.position else "faint")
        more = self.line().add(f"    {format_fixed(context.norm, 1).strip():>5} ", "faint")
        if context.attends:
            more.add("attends ", "faint")
            for place, weight in context.attends[:3]:
                if weight >= 0.05:
                    more.add(f"{_visible(words[place])} ", "second").add(f"{format_fixed(weight).strip()} ", "dim")
        if context.raises and more.width < width - 16:
            raised = " ".join(_visible(atlas.words[word]) for word, _ in context.raises)
            more.add("raises ", "faint").add(fit(raised, width - more.width - 8), "positive")
        return [line, more]

    def _attends(self, atlas: Atlas, text: AtlasNode, width: int) -> list[StyledLine]:
        if not text.attends:
            return []
        by_lift = sorted((each for each in text.attends if each.occurrences > 2), key=lambda each: -each.lift)
        lines = [self.line(), self.line().add(" attends to, by share, and times even attention", "faint")]
        for some in (text.attends, by_lift):
            shown = [f"{_visible(atlas.words[each.word])} {each.share:.3f} x{each.lift:.1f}" for each in some[:12]]
            lines += [self.line().add(f"   {row}", "text") for row in _filled(shown, width - 4)[:2]]
        return lines


def _visible(word: str) -> str:
    return clean(word.replace("\n", "⏎")).strip() or "␣"


def _filled(words: Sequence[str], width: int) -> list[str]:
    """Return the words on lines, with gaps between them, none cut."""
    rows = [""]
    for word in words:
        more = f"{rows[-1]}   {word}" if rows[-1] else word
        if cell_len(more) <= width:
            rows[-1] = more
        else:
            rows.append(fit(word, width))
    return rows
