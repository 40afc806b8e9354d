"""Families of codes: which occur on the same prompts, from coarse to fine, the selected code's own first."""

from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.code_families import CodeFamily
from engine.errors import Failure
from sessions.protocol import Families, GetFamilies
from tui.actions import screen_actions
from tui.output.families import FAMILY_HEADER, LEVEL_HEADER, families_title, family_rows, level_rows
from tui.screens.measured_screen import MeasuredScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.state.workbench_state import WorkbenchState
from tui.widgets.line_widget import LineWidget
from tui.widgets.places_strip import failure_lines
from tui.widgets.styled_line import StyledLine, fit

ACTIONS = screen_actions(
    "Families",
    ("close", "", "escape,f,enter,q", "Back", "Back to the explanation", "back"),
    ("scroll.down", "1", "down,j", "Down", "Scroll down", "scroll"),
    ("scroll.up", "-1", "up,k", "Up", "Scroll up", ""),
    ("page.down", "1", "pagedown,space", "Page down", "Scroll down by a page", "page"),
    ("page.up", "-1", "pageup", "Page up", "Scroll up by a page", ""),
)
_NUMBERS = (5, 8, 9, 8, 8)
"""Columns of a family's numbers."""
_NAMES = ("codes", "together", "explains", "the side", "covered")
_LEVELS = (8, 8, 6, 5, 6, 15, 6, 4)


class FamiliesView(LineWidget):
    """The levels beside shuffled codes, then the families."""

    def __init__(self, state: WorkbenchState, code: int | None, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.code, self.first = code, 0

    @property
    def request(self) -> GetFamilies | None:
        run = self.state.shown
        return None if run is None else GetFamilies(run=run.run_id, seed=self.state.seed)

    @property
    def found(self) -> Families | Failure | None:
        return self.state.parts.get(self.request, Families)

    def lines(self, size: Size, /) -> list[Strip]:
        found = self.found
        if isinstance(found, Failure):
            return failure_lines(self.line, found, size)
        if found is None:
            words = self.state.parts.format_wait(self.request, "finding codes that occur together")
            return [self.line().add(f" {fit(words, size.width - 2)}", "dim").strip()]
        lines = self._all(found, size.width)
        self.first = min(self.first, len(lines) - 1)
        return [line.strip() for line in lines[self.first :][: size.height]]

    def _all(self, found: Families, width: int) -> list[StyledLine]:
        lines = [self.line().add(f" {fit(families_title(found.tree, found.model.name), width - 2)}", "text")]
        head = "  ".join(f"{name:>{cells}}" for name, cells in zip(LEVEL_HEADER, _LEVELS, strict=True))
        lines.append(self.line().add(fit(f" {head}", width), "faint"))
        for row in level_rows(found.tree):
            text = "  ".join(f"{value:>{cells}}" for value, cells in zip(row, _LEVELS, strict=True))
            lines.append(self.line().add(fit(f" {text}", width), "text"))
        families = sorted(found.tree.families, key=lambda each: not self._has(each))
        if families and self.code is not None and not self._has(families[0]):
            lines.append(self.line().add(fit(f" no family has code {self.code} of {self.state.cursor}", width), "dim"))
        rows = [row for family in families for row in family_rows(family)]
        name = min(max((len(row[0]) for _, row in rows), default=0), max(width // 3, 20))
        head = "  ".join(f"{each:>{cells}}" for each, cells in zip(_NAMES, _NUMBERS, strict=True))
        lines += [self.line(), self.line().add(fit(f" {FAMILY_HEADER[0]:<{name}}  {head}", width), "faint")]
        for family, row in rows:
            own = self._has(family)
            line = self.line().add("▸" if own else " ", "accent").add(fit(row[0], name), "strong" if own else "text")
            line.to(name + 3)
            for value, cells in zip(row[1:6], _NUMBERS, strict=True):
                line.add(f"{value:>{cells}}  ", "text" if own else "dim")
            lines.append(line.add(fit(row[6], max(width - line.width - 1, 0)), "dim" if own else "faint"))
        return lines

    def _has(self, family: CodeFamily) -> bool:
        node = self.state.cursor
        own = (node.layer, node.head, self.code)
        return any((code.layer, code.head, code.code) == own for code in family.codes)


class FamiliesScreen(MeasuredScreen):
    """The screen; families are computed from the stored codes, without the model."""

    CSS_PATH = "families.tcss"
    actions = ACTIONS

    def __init__(self, state: WorkbenchState, fetch: FetchPart, code: int | None) -> None:
        super().__init__(state, fetch)
        self.view: FamiliesView = FamiliesView(state, code, id="families")

    def wanted(self) -> Wanted:
        return [(self.view.request, Families)]

    def paint(self) -> None:
        found = self.view.found
        count = f": {len(found.tree.families)}" if isinstance(found, Families) else ""
        self.view.border_title = Content(f"Families of codes{count}")
        self.view.paint()

    def action_scroll(self, by: int) -> None:
        self.view.first = max(0, self.view.first + by)
        self.paint()

    def action_page(self, by: int) -> None:
        self.action_scroll(by * max(1, self.view.size.height - 1))
