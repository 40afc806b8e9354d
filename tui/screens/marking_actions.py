"""Workbench actions on several heads: mark, mark a box, show significance and stability symbols."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from engine.results import HeadId
from tui.state.workbench_state import WorkbenchState

if TYPE_CHECKING:
    from textual.screen import Screen

    Base = Screen[None]
else:
    Base = object


class MarkingActions(Base):
    """Mixin of the pane screens: one method per action id of tui.actions.marking."""

    state: WorkbenchState
    marks_changed: Callable[[], None]
    """Redraws what depends on the marks."""
    _cursor_moved: Callable[[], None]

    def mark(self, heads: Iterable[HeadId]) -> None:
        """Mark heads, or unmark them if all are marked."""
        self.state.marks.toggle(heads)
        self.state.cursor_moved = True
        self.marks_changed()

    def action_mark(self) -> None:
        if self.state.shape() is not None:
            self.mark((self.state.cursor,))

    def action_mark_box(self, layers: int, heads: int) -> None:
        if self.state.shape() is not None:
            if self.state.mark_box(layers, heads):
                self._cursor_moved()
            self.marks_changed()

    def action_mark_layer(self) -> None:
        shape = self.state.shape()
        if shape is not None:
            self.mark(HeadId(self.state.cursor.layer, head) for head in range(shape[1]))

    def action_mark_circuit(self) -> None:
        view = self.state.view()
        if view is not None:
            self.mark(view.circuit)

    def action_unmark(self) -> None:
        if self.state.marks.clear():
            self.marks_changed()

    def action_signs(self) -> None:
        self.state.signs = not self.state.signs
        self.marks_changed()
