"""What the workbench does with several heads at once: mark, box, and the signs of chance and seeds in their cells."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from engine.results import HeadId
from tui.state.workbench_state import Bench

if TYPE_CHECKING:
    from textual.screen import Screen

    Base = Screen[None]
else:
    Base = object


class MarkingActions(Base):
    """Actions of the workbench, one for each id of the table in tui.actions."""

    bench: Bench
    marked_anew: Callable[[], None]
    """Draws what hangs on the marks."""
    _cursor_moved: Callable[[], None]

    def marks_do(self, action: str) -> bool:
        """Whether an action of this subject would do something now."""
        if action == "unmark":
            return bool(self.bench.marked)
        if action == "mark_circuit":
            return self.bench.view() is not None
        return self.bench.shape() is not None

    def mark(self, heads: Iterable[HeadId]) -> None:
        """Marks them, or takes their marks away where all have one."""
        self.bench.marks.toggle(heads)
        self.bench.cursor_moved = True
        self.marked_anew()

    def action_mark(self) -> None:
        if self.bench.shape() is not None:
            self.mark((self.bench.cursor,))

    def action_mark_box(self, layers: int, heads: int) -> None:
        if self.bench.shape() is not None:
            if self.bench.mark_box(layers, heads):
                self._cursor_moved()
            self.marked_anew()

    def action_mark_layer(self) -> None:
        shape = self.bench.shape()
        if shape is not None:
            self.mark(HeadId(self.bench.cursor.layer, head) for head in range(shape[1]))

    def action_mark_circuit(self) -> None:
        view = self.bench.view()
        if view is not None:
            self.mark(view.circuit)

    def action_unmark(self) -> None:
        if self.bench.marks.clear():
            self.marked_anew()

    def action_signs(self) -> None:
        self.bench.signs = not self.bench.signs
        self.marked_anew()
