"""The pane under a list that shows what the cursor is on."""

from collections.abc import Sequence

from textual.geometry import Size
from textual.strip import Strip

from tui.state.previews import PreviewLine
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import wrap

PREVIEW_AFTER_S = 0.06
"""What has to be asked of the host is not asked for a line that the cursor passes in less."""
_LABEL = 11


class PreviewPane(LineWidget):
    """Lines with a label each. The last of them are left out where there is no room; none is cut before it is full."""

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self.rows: Sequence[PreviewLine] = ()

    def show(self, rows: Sequence[PreviewLine]) -> None:
        """Show these lines."""
        if list(rows) != list(self.rows):
            self.rows = rows
            self.paint()

    def lines(self, size: Size, /) -> list[Strip]:
        found: list[Strip] = []
        left = len(self.rows)
        for label, text, ink in self.rows:
            # Long texts wrap as long as the lines after them keep a row each.
            room = max(size.height - len(found) - left + 1, 1)
            for place, piece in enumerate(wrap(clean(" ".join(text.split())), size.width - _LABEL - 2, min(room, 3))):
                line = self.line().add(" ").add(label if not place else "", "faint").to(_LABEL)
                found.append(line.add(piece, ink).strip())
            left -= 1
        return found[: size.height]
