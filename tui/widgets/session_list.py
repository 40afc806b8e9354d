"""The list of sessions, with details of the selected one."""

from collections.abc import Sequence

from textual import events
from textual.geometry import Size
from textual.strip import Strip

from sessions.rows import SearchHit, SessionRow
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.terminal.times import day_or_clock, zone
from tui.widgets.line_widget import LinePicked, LineWidget, first_visible
from tui.widgets.styled_line import fit


class SessionList(LineWidget):
    """The list, one line per session; below, details of the selected one."""

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.rows: tuple[SessionRow, ...] = ()
        self.hits: dict[str, SearchHit] = {}
        """Matches of a search, by session."""
        self.trash = False
        self.words = ""
        """Text of the last line."""
        self.ink_of_words = "dim"
        self.chosen = 0
        self.first = 0

    @property
    def row(self) -> SessionRow | None:
        """The selected session."""
        return self.rows[self.chosen] if self.chosen < len(self.rows) else None

    def lines(self, size: Size, /) -> list[Strip]:
        self.chosen = min(max(self.chosen, 0), max(len(self.rows) - 1, 0))
        room = max(size.height - 3, 1)
        self.first = first_visible(self.first, self.chosen, room, len(self.rows))
        wide = size.width >= 110
        name_width = min(48, max(20, size.width - (78 if wide else 46)))
        head = self.line().add("    ").add("session", "faint").to(4 + name_width)
        for title, width in self._columns(wide):
            head.add(title.ljust(width), "faint")
        lines = [head.strip()]
        for place in range(self.first, min(len(self.rows), self.first + room)):
            lines.append(self._one(self.rows[place], place == self.chosen, name_width, wide=wide, width=size.width))
        while len(lines) < size.height - 2:
            lines.append(self.line().strip())
        return [*lines, self._about(size.width), self.line().add(" " + self.words, self.ink_of_words).strip()]

    def _columns(self, wide: bool) -> Sequence[tuple[str, int]]:
        when = (f"{'deleted' if self.trash else 'changed'} {zone()}", 14)
        if wide:
            return (("model", 16), ("task", 16), ("examples", 10), ("runs", 6), when, ("tags", 0))
        return (("examples", 10), ("runs", 6), when, ("tags", 0))

    def _one(self, row: SessionRow, on: bool, name_width: int, *, wide: bool, width: int) -> Strip:
        here = row.session_id == self.state.session_id
        line = self.line().add(" ▸" if on else "  ", "accent").add("●" if here else " ", "second").add(" ")
        line.add(fit(clean(row.name), name_width - 1), "strong" if on else "text").to(4 + name_width)
        ink = "text" if on else "dim"
        if wide:
            line.add(fit(clean(row.model), 15), ink).to(4 + name_width + 16)
            line.add(fit(clean(row.task or "–"), 15), ink).to(4 + name_width + 32)
        start = line.width
        examples = f"{row.n_positive}+{row.n_negative}" if row.n_positive or row.n_negative else "–"
        line.add(examples, ink).to(start + 10).add(str(row.n_runs), ink).to(start + 16)
        line.add(day_or_clock(row.trashed_us if row.trashed_us is not None else row.updated_us), ink).to(start + 30)
        line.add(fit(" ".join(f"#{clean(tag)}" for tag in row.tags), width - line.width - 1), "accent")
        return line.strip()

    def _about(self, width: int) -> Strip:
        """Make the line with the search matches of the selected session, else its model, task and id."""
        row = self.row
        line = self.line().add(" ")
        if row is None:
            return line.strip()
        hit = self.hits.get(row.session_id)
        shown = [match for match in hit.matches if match.where != "name"] if hit is not None else []
        for match in shown:
            line.add(f"{match.where} ", "faint").add(fit(clean(match.text), width - line.width - 3), "text").add("  ")
            if line.width > width - 20:
                break
        if not shown:
            if row.session_id == self.state.session_id:
                line.add("● ", "second").add("open now · ", "dim")
            words = f"{clean(row.model)} · {clean(row.task or 'own examples')} · {row.session_id}"
            line.add(fit(words, width - line.width - 1), "dim")
        return line.strip()

    def on_click(self, event: events.Click) -> None:
        place = self.first + event.y - 1
        if event.y > 0 and place < min(len(self.rows), self.first + max(self.size.height - 3, 1)):
            self.post_message(LinePicked(place))
