"""Nodes marked by hand, to be measured, saved, copied and summarised together."""

from collections.abc import Iterable

from engine.nodes import NodeId
from tui.state.grid_places import GridPlaces
from tui.state.grid_view import GridView
from tui.state.number_text import format_fixed


class MarkedHeads:
    """The marked heads, and the corner from which a box of marks is drawn."""

    def __init__(self) -> None:
        self.heads: frozenset[NodeId] = frozenset()
        self._corner: NodeId | None = None
        self._before: frozenset[NodeId] = frozenset()
        """Heads that were marked before the box was begun."""

    def toggle(self, heads: Iterable[NodeId]) -> None:
        """Mark the heads, or unmark them if all of them are marked."""
        these = frozenset(heads)
        self.heads = self.heads - these if these <= self.heads else self.heads | these
        self._corner = None

    def begin_box(self, corner: NodeId) -> None:
        self._corner, self._before = corner, self.heads

    def box_to(self, corner: NodeId, *, begin: NodeId, places: GridPlaces) -> None:
        """Mark the box from its first corner to `corner`, in addition to earlier marks.

        If no box is being drawn, it begins at `begin`.
        """
        if self._corner is None:
            self.begin_box(begin)
        assert self._corner is not None
        self.heads = self._before | places.box(self._corner, corner)

    def end_box(self) -> None:
        """End the box; the next one begins at the cursor."""
        self._corner = None

    def clear(self) -> bool:
        """Remove all marks and return whether there were any."""
        had, self.heads, self._corner = bool(self.heads), frozenset(), None
        return had

    def fit(self, places: GridPlaces | None) -> None:
        """Remove marks that this grid does not have."""
        if places is not None and self.heads:
            inside = frozenset(head for head in self.heads if head in places)
            if inside != self.heads:
                self.heads, self._corner = inside, None


def sort_by_rank(heads: Iterable[NodeId], view: GridView | None) -> tuple[NodeId, ...]:
    """Return the heads by rank, or by layer if nothing is scored."""
    if view is None:
        return tuple(sorted(heads))
    return tuple(sorted(heads, key=lambda head: (view.rank.get(head, len(view.order) + 1), head)))


def summarise_marked(heads: frozenset[NodeId], view: GridView) -> list[str]:
    """Return a summary of the marked heads in pieces; a narrow line shows the first ones."""
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
