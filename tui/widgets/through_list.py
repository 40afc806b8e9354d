"""Through whom a node acts: its exact effect through each later node, the largest first."""

from textual.geometry import Size
from textual.strip import Strip

from engine.analysis.effects import METRIC_WORDS
from engine.errors import Failure
from engine.node_parts import ThroughEffect
from engine.nodes import NodeId
from sessions.protocol import GetThrough, Through
from tui.output.effects import format_signed
from tui.state.node_parts import through_requests
from tui.state.workbench_state import WorkbenchState
from tui.themes.themes import Depth
from tui.widgets.places_strip import SignedWidget, failure_lines
from tui.widgets.styled_line import StyledLine, bar, fit

_COLUMN = 24


class ThroughList(SignedWidget):
    """The later nodes of the node at the cursor, in columns; it fills layer by layer while it is measured."""

    def __init__(self, state: WorkbenchState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.depth = depth

    @property
    def requests(self) -> list[GetThrough]:
        """One request per layer of later nodes; none after one that failed."""
        info = self.state.model_info
        return [] if info is None else through_requests(self.state.shown, self.state.cursor, info.n_layers)

    def lines(self, size: Size, /) -> list[Strip]:
        requests = self.requests
        answers = [self.state.parts.get(request, Through) for request in requests]
        failure = next((each for each in answers if isinstance(each, Failure)), None)
        if failure is not None:
            return failure_lines(self.line, failure, size)
        found = [each for each in answers if isinstance(each, Through)]
        through = sorted(
            (one for each in found for one in each.through), key=lambda one: (-abs(one.effect), one.layer, one.head)
        )
        lines = [self._head(found, len(requests), size.width)]
        if not through and found and len(found) == len(requests):
            return [
                lines[0].strip(),
                self.line().add(" No node is later: it acts on the answer directly.", "dim").strip(),
            ]
        rows, columns = max(size.height - 1, 1), max((size.width - 1) // _COLUMN, 1)
        largest = abs(through[0].effect) if through else 0.0
        for row in range(min(rows, len(through))):
            line = self.line().add(" ")
            for column in range(columns):
                place = column * rows + row
                if place < len(through):
                    self._add(line.to(1 + column * _COLUMN), through[place], largest)
            lines.append(line)
        return [line.strip() for line in lines]

    def _head(self, found: list[Through], n: int, width: int) -> StyledLine:
        line = self.line().add(" ")
        if len(found) < n:
            done, rest = bar(len(found) / n, 16)
            line.add(done, "accent").add(rest, "groove").add(f" {len(found)} of {n} layers", "text")
            return line
        if not found:
            return line.add("No run to measure on.", "dim")
        first = found[0]
        of = "" if first.how.metric == "kl" else f" of {first.base:.3g}"
        sides = "pairs" if first.how.replacement == "pair" else "prompts"
        words = f"exact, each alone: {METRIC_WORDS[first.how.metric]}{of}, {first.prompts} {sides}"
        return line.add(fit(words, width - 2), "faint")

    def _add(self, line: StyledLine, one: ThroughEffect, largest: float) -> None:
        line.add(f"{NodeId(one.layer, one.head)!s:>6} ", "text")
        line.add_styled(f"{format_signed(one.effect):>6} ", self.signed(one.effect, largest))
        if one.error is not None:
            line.add(f"±{format_signed(one.error).lstrip('+')}", "faint")
