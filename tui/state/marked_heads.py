"""Heads chosen by hand, several at once: what is measured, kept, copied and summed up together. No widget in here."""

from collections.abc import Iterable

from engine.results import HeadId
from tui.state.grid_view import GridView
from tui.state.number_text import format_fixed

Shape = tuple[int, int]


class MarkedHeads:
    """The heads that are marked, and the corner from which a box of them is drawn."""

    def __init__(self) -> None:
        self.heads: frozenset[HeadId] = frozenset()
        self._corner: HeadId | None = None
        self._before: frozenset[HeadId] = frozenset()
        """What was marked when the box was begun."""

    def toggle(self, heads: Iterable[HeadId]) -> None:
        """Marks them; where all of them are marked, takes the marks away."""
        these = frozenset(heads)
        self.heads = self.heads - these if these <= self.heads else self.heads | these
        self._corner = None

    def begin_box(self, corner: HeadId) -> None:
        self._corner, self._before = corner, self.heads

    def box_to(self, corner: HeadId, *, begin: HeadId) -> None:
        """Marks the box between `corner` and where it was begun, beside what was marked before; begun at `begin`
        where none is being drawn."""
        if self._corner is None:
            self.begin_box(begin)
        assert self._corner is not None
        layers = sorted((self._corner.layer, corner.layer))
        columns = sorted((self._corner.head, corner.head))
        box = {
            HeadId(layer, head)
            for layer in range(layers[0], layers[1] + 1)
            for head in range(columns[0], columns[1] + 1)
        }
        self.heads = self._before | box

    def end_box(self) -> None:
        """The next box begins where the cursor is then."""
        self._corner = None

    def clear(self) -> bool:
        """Says whether there were any."""
        had, self.heads, self._corner = bool(self.heads), frozenset(), None
        return had

    def fit(self, shape: Shape | None) -> None:
        """Of another model's shape, those that are not there are forgotten."""
        if shape is not None and self.heads:
            inside = frozenset(head for head in self.heads if head.layer < shape[0] and head.head < shape[1])
            if inside != self.heads:
                self.heads, self._corner = inside, None


def sort_by_rank(heads: Iterable[HeadId], view: GridView | None) -> tuple[HeadId, ...]:
    """The heads, best first; by layer where nothing is scored."""
    if view is None:
        return tuple(sorted(heads))
    return tuple(sorted(heads, key=lambda head: (view.rank.get(head, len(view.order) + 1), head)))


def summarise_marked(heads: frozenset[HeadId], view: GridView) -> list[str]:
    """What they come to together, in pieces of which a narrow line shows the first."""
    values = [value for head in heads if (value := view.values.get(head)) is not None]
    pieces = [f"{len(heads)} marked"]
    if values:
        best = sort_by_rank(heads, view)[0]
        pieces.append(f"mean {format_fixed(sum(values) / len(values))}")
        pieces.append(f"best {best} {format_fixed(view.values.get(best))}")
    pieces.append(f"{len(heads & view.circuit)} in the circuit")
    if view.known:
        hits = len(heads & view.known)
        pieces.append(f"{hits} of {len(view.known)} known")
    return pieces
