"""The atlas as a list of nodes with metrics, or with what a search found."""

from textual import events
from textual.geometry import Size
from textual.strip import Strip

from engine.analysis.head_kinds import format_kinds
from engine.errors import Failure
from engine.node_atlas import ATLAS_METRICS, AtlasMetric
from engine.nodes import NodeId
from sessions.protocol import AtlasAnswer
from tui.output.atlas import format_source
from tui.state.atlas import TOKENS, AtlasState
from tui.state.number_text import format_fixed
from tui.widgets.line_widget import LinePicked, LineWidget, first_visible
from tui.widgets.styled_line import StyledLine, bar, fit, one_line, wrap

_NAME, _CELL, _KIND = 9, 10, 16
_TOLD = ("previous", "induction", "copying", "first", "entropy", "share")
"""Metrics that are shown where not all fit."""


class AtlasList(LineWidget):
    """The list; the node at the workbench's cursor is the chosen one."""

    can_focus = False

    def __init__(self, atlas: AtlasState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(atlas.state, id=id)
        self.atlas = atlas
        self._first = 0
        self._top = 0

    def lines(self, size: Size, /) -> list[Strip]:
        answer = self.atlas.answer
        head = self._head(size.width)
        if not isinstance(answer, AtlasAnswer):
            return [line.strip() for line in [*head, *self._nothing(size, answer)]][: size.height]
        nodes = self.atlas.listed()
        search = self.atlas.search
        found = search is not None and search.how != "kind"
        lines = [*head, self._titles(size.width, found=found)]
        room = max(size.height - len(lines), 1)
        chosen = nodes.index(self.state.cursor) if self.state.cursor in nodes else 0
        self._first = first_visible(self._first, chosen, room, len(nodes), centre=True)
        self._top = len(lines)
        hits = {hit.node: hit for hit in self.atlas.hits()} if found else {}
        for node in nodes[self._first : self._first + room]:
            on = node == self.state.cursor
            line = self._node_name(node, on=on)
            if found:
                hit = hits[node]
                line.add(f"{hit.score:>7.3f} ", "strong" if on else "text")
                line.add(f"{hit.strength:>7.2f}  " if hit.strength else " " * 9, "dim")
                words = " ".join(one_line(each).strip() or "␣" for each in hit.tokens)
                line.add(fit(words, size.width - line.width - 1), "dim")
            else:
                self._metrics(line, node, size.width, on=on)
            lines.append(line)
        if not nodes:
            lines.append(self.line().add(fit(f"  no node {search}", size.width - 1), "dim"))
        return [line.strip() for line in lines]

    def _head(self, width: int) -> list[StyledLine]:
        progress, answer = self.atlas.progress, self.atlas.answer
        line = self.line().add(" ")
        if progress is not None:
            share, rest = bar(progress[0] / max(progress[1], 1), 16)
            line.add(share, "accent").add(rest, "groove")
            words = f" {progress[0]:,} of {progress[1]:,} tokens"
            line.add(words, "text")
            key = self.state.key("atlas:stop" if self.atlas.reading else "atlas:read")
            does = "stops" if self.atlas.reading else "goes on"
            line.add(fit(f"  {key} {does}", width - line.width - 1), "dim")
            return [line.add(fit(f"  {self.atlas.said}", width - line.width - 1) if self.atlas.said else "", "faint")]
        if self.atlas.reading:
            return [line.add("reading begins …", "dim")]
        if self.atlas.said:
            line.add(f"{self.atlas.said}   ", "dim")
        if isinstance(answer, AtlasAnswer):
            words = format_source(answer.atlas.model.name, answer.atlas.source)
            return [line.add(fit(one_line(words), width - line.width - 1), "faint")]
        return [line.add("no atlas of this model yet" if answer is not None else "asking …", "dim")]

    def _nothing(self, size: Size, answer: Failure | None) -> list[StyledLine]:
        trouble = self.atlas.trouble
        if trouble is not None:
            rows = wrap(f"{trouble.message} {trouble.hint}", size.width - 2, 4)
            return [self.line().add(f" {row}", "bad") for row in rows]
        if answer is None or self.atlas.reading:
            return []
        key = self.state.key("atlas:read")
        words = (
            f"{key} reads {TOKENS:,} tokens of ordinary text with the run's model, about as long as a forward pass of "
            "them takes, and keeps what every head and MLP does there. You can stop and go on."
        )
        return [self.line().add(f" {row}", "text") for row in wrap(words, size.width - 2, 6)]

    def _columns(self, width: int) -> list[AtlasMetric]:
        """Return the metrics that fit, the sorting one among them."""
        room = max((width - _NAME - _KIND) // _CELL, 1)
        if room >= len(ATLAS_METRICS):
            return list(ATLAS_METRICS)
        told = [each for each in ATLAS_METRICS if each.name in _TOLD]
        column = self.atlas.column
        shown = told[: room if column is None or column in told[:room] else room - 1]
        return shown if column is None or column in shown else [*shown, column]

    def _titles(self, width: int, *, found: bool) -> StyledLine:
        search = self.atlas.search
        line = self.line().add("   node  ", "faint")
        if found and search is not None:
            writes = search.how == "writes"
            line.add(f"{'places' if writes else 'share':>8}", "accent")
            line.add(f"{'logit' if writes else 'x even' if search.how == 'attends' else '':>8}  ", "faint")
            return line.add(fit(str(search), width - line.width - 1), "text")
        for metric in self._columns(width):
            on = metric is self.atlas.column
            mark = ("▴" if self.atlas.turned else "▾") if on else ""
            line.add(f"{mark + fit(metric.title, _CELL - 1 - len(mark)):>{_CELL}}", "accent" if on else "faint")
        return line.add("  kind" + (f": {search.wanted[0]}" if search is not None else ""), "faint")

    def _node_name(self, node: NodeId, *, on: bool) -> StyledLine:
        view = self.state.view()
        inside, marked = view is not None and node in view.circuit, node in self.state.marked
        line = self.line().add(" ▸ " if on else "   ", "accent")
        line.add(f"{node!s:<5}", "strong" if on else "text" if inside else "dim")
        return line.add("•" if marked else "*" if inside else " ", "second")

    def _metrics(self, line: StyledLine, node: NodeId, width: int, *, on: bool) -> None:
        text = self.atlas.on_text(node)
        if text is None:
            return
        for metric in self._columns(width):
            value = text.metrics.get(metric.name)
            shown = "" if value is None else format_fixed(value, min(metric.digits, 2)).strip()
            ink = "strong" if on else "text" if metric is self.atlas.column else "dim"
            line.add(f"{shown:>{_CELL}}", ink)
        apart = "! " if self.atlas.unlike(node) else "  "
        line.add(apart, "bad").add(fit(format_kinds(text.metrics), width - line.width - 1), "accent" if on else "text")

    def on_click(self, event: events.Click) -> None:
        place = self._first + event.y - self._top
        if event.y >= self._top and place < len(self.atlas.listed()):
            self.post_message(LinePicked(place))
