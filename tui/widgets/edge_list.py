"""The list of a run's edges."""

from textual import events
from textual.geometry import Size
from textual.strip import Strip

from tui.state.edges_state import EdgesState
from tui.state.node_signs import IDLE
from tui.state.number_text import format_fixed
from tui.state.weighted_edges import WEIGHT_WORDS, WeightedEdge
from tui.widgets.line_widget import LinePicked, LineWidget, first_visible
from tui.widgets.styled_line import bar

_SELECTED = "›"
"""Before the selected node, which is not told by its colour alone."""
_NO_EFFECT = " no effect"


class EdgeList(LineWidget):
    """The list of edges, strongest first; drawn ones are brighter, the selected node stands out."""

    can_focus = False

    def __init__(self, board: EdgesState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(board.state, id=id)
        self.board = board
        self.first = 0

    def lines(self, size: Size, /) -> list[Strip]:
        board = self.board
        edges, idle, drawn_edges, weight = board.all, board.idle, set(board.cut_off), board.drawing.weight
        if not edges:
            return [self.line().add(f" {_empty(board)}", "dim").strip()]
        sums = any(edge.parts > 1 for edge in edges)
        words = f"{WEIGHT_WORDS[weight]}{'  Σ edges summed' if sums else ''}"
        head = self.line().add(f"      edge             {words}", "faint").strip()
        room = size.height - 1
        self.first = first_visible(self.first, board.chosen, room, len(edges), centre=True)
        top = max(abs(edges[0].weight), 1e-12)
        wide = max((len(board.signs(node)) for node in {node for edge in edges for node in edge.nodes}), default=1)
        rows = [head]
        for place in range(self.first, min(len(edges), self.first + room)):
            edge = edges[place]
            on, drawn = place == board.chosen, edge in drawn_edges
            line = self.line().add(" ▸" if on else "  ", "accent").add(f"{place + 1:>3}", "faint")
            for end, (node, text) in enumerate(zip(edge.nodes, (" ", " → "), strict=True)):
                selected = on and end == board.end
                ink = "cursor" if selected else "strong" if on else "text" if drawn else "dim"
                name = board.graph.name(node)
                before = text + " " * (5 - len(name))
                line.add(before[:-1], "faint").add(_SELECTED if selected else " ", "accent").add(name, ink)
                signs = board.signs(node)
                line.add(f"{signs:<{max(wide, 1)}}", "second" if IDLE in signs else "accent")
            number = format_fixed(edge.weight, 1 if weight == "codes" else 3)
            line.add(f"{number:>7} ", "text" if drawn else "dim")
            if sums:
                line.add(f"{_sum_words(edge):<5}", "second" if edge.mixed else "faint")
            # Codes occur together but neither head has an effect: note it, as the edge would look strong.
            ends = frozenset().union(*map(board.members, edge.nodes))
            moved = _NO_EFFECT if weight == "codes" and idle.issuperset(ends) else ""
            done, rest = bar(abs(edge.weight) / top, max(size.width - line.width - len(moved) - 1, 0))
            line.add(done, "accent" if drawn and not moved else "faint").add(" " * len(rest)).add(moved, "second")
            rows.append(line.strip())
        return rows

    def on_click(self, event: events.Click) -> None:
        place = self.first + event.y - 1
        if event.y >= 1 and place < len(self.board.all):
            self.post_message(LinePicked(place))


def _sum_words(edge: WeightedEdge) -> str:
    """Return how many edges are summed, ± if their signs differ; empty for a single one."""
    return f"Σ{edge.parts}{'±' if edge.mixed else ''}" if edge.parts > 1 else ""


def _empty(board: EdgesState) -> str:
    key = board.state.key
    if board.of_marked and board.state.marked:
        return f"No edge has a marked {board.noun.removesuffix('s')}; {key('edges:inside')} shows all."
    if board.inside:
        return f"No edge between {board.noun} of the circuit: {key('edges:inside')} shows all."
    if board.drawing.weight != "codes":
        return f"No edge was measured so in this run: {key('edges:weigh')} shows other weights."
    return "No edges yet: they are scored at the end of a run."
