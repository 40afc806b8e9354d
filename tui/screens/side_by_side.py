"""Heads side by side: the attention of several heads on the same prompt."""

from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.errors import Failure
from engine.nodes import NodeId
from sessions.protocol import HeadInspection
from tui.actions import screen_actions
from tui.screens.measured_screen import MeasuredScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.state.attention_panels import PanelsState
from tui.state.head_inspection import InspectorState
from tui.state.number_text import format_fixed
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.themes import Depth
from tui.widgets.heat_cell import SHADES
from tui.widgets.prompts_by_code import TokenWidget
from tui.widgets.styled_line import StyledLine, fit, one_line, wrap

ACTIONS = screen_actions(
    "Side by side",
    ("close", "", "escape,H,shift+h,q", "Back", "Back to the workbench", "back"),
    ("step.down", "1", "down,j", "Next prompt", "The next prompt of the run", "prompt"),
    ("step.up", "-1", "up,k", "Previous prompt", "The previous prompt of the run", ""),
    ("walk.right", "1", "right,l", "Next token", "Attention of the next token, in every head", "token"),
    ("walk.left", "-1", "left,h", "Previous token", "Attention of the previous token, in every head", ""),
    ("page.next", "1", "right_square_bracket,pagedown", "More heads", "The heads that did not fit", "more heads"),
    ("page.previous", "-1", "left_square_bracket,pageup", "Heads before", "The heads before these", ""),
)
_LABEL = 9
_WORDS = 3
"""Lines of a panel besides the matrix: title, what the selected token attends to, and a blank."""
_LEAST = 36
"""Minimum width of a panel."""
_NAMED = 4


class AttentionPanels(TokenWidget):
    """Panels in rows; each has the head's matrix, or where the prompt is too long what one token attends to."""

    def __init__(self, panels: PanelsState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(InspectorState(panels.state, depth), id=id)
        self.panels = panels

    def layout_of(self, size: Size) -> tuple[int, int, int, int]:
        """Return panels across and down, and the width and height of one."""
        n = len(self.panels.heads)
        tokens = max((len(look.tokens) for look in self._looks() if isinstance(look, HeadInspection)), default=14)
        height = tokens + _WORDS if tokens + _WORDS <= size.height else _WORDS + _NAMED
        down, across = max(size.height // height, 1), 1
        for cell in (2, 1):
            width = max(_LEAST, _LABEL + cell * tokens + 2)
            across = max(min(size.width // width, n), 1)
            if across * down >= n:
                break
        return across, down, size.width // across, height

    def room(self) -> int:
        across, down, _, _ = self.layout_of(self.size)
        return across * down

    def _looks(self) -> list[HeadInspection | Failure | None]:
        return [self.panels.look(head) for head in self.panels.heads]

    def lines(self, size: Size, /) -> list[Strip]:
        across, down, width, height = self.layout_of(size)
        heads = self.panels.heads[self.panels.first : self.panels.first + across * down]
        if not heads:
            return [self.line().add(" This run has no heads to compare.", "dim").strip()]
        found: list[Strip] = []
        for start in range(0, len(heads), across):
            row = [self._of_head(head, width, height) for head in heads[start : start + across]]
            for y in range(height):
                parts = [panel[y].to(width).strip() if y < len(panel) else Strip.blank(width) for panel in row]
                found.append(Strip.join(parts))
        return found[: size.height]

    def _of_head(self, head: NodeId, width: int, height: int) -> list[StyledLine]:
        view, look = self.state.view(), self.panels.look(head)
        place = None if view is None else view.rank_of(head)
        line = self.line().add(f" {head}", "strong").add("" if place is None else f" · rank {place}", "dim")
        if look is None:
            words = self.state.parts.format_wait(self.panels.request(head), "asking the model")
            return [line, self.line().add(fit(f" {words}", width - 1), "dim")]
        if isinstance(look, Failure):
            rows = wrap(f"{look.message} {look.hint}", width - 2, height - 1)
            return [line, *(self.line().add(f" {each}", "bad") for each in rows)]
        chosen = self.panels.chosen_token(look.tokens)
        weights = look.attention[chosen] if chosen < len(look.attention) else ()
        best = sorted(range(len(weights)), key=lambda at: (-weights[at], at))
        lines = [line, self._attends(look, chosen, best, width)]
        if len(look.tokens) + _WORDS > height or _LABEL + len(look.tokens) + 2 > width:
            for at in best[:_NAMED]:
                text = fit(one_line(look.tokens[at]).strip() or "␣", width - 10)
                row = self.line().add(f" {format_fixed(weights[at]):>5} ", "text")
                lines.append(row.add_styled(text, self.shade(weights[at])))
            return lines[:height]
        cell = max(1, min(4, (width - _LABEL - 2) // max(len(look.tokens), 1)))
        for at, values in enumerate(look.attention):
            on = at == chosen
            row = self.line().add("▸" if on else " ", "accent")
            row.add(fit(clean(look.tokens[at]).strip() or "␣", _LABEL - 2), "strong" if on else "dim").to(_LABEL)
            for value in values:
                if self.inspector.depth in ("16", "none"):
                    row.add(SHADES[min(int(value * len(SHADES)), len(SHADES) - 1)] * cell, "text")
                else:
                    row.add_styled(" " * cell, self.shade(value))
            lines.append(row)
        return lines

    def _attends(self, look: HeadInspection, chosen: int, best: list[int], width: int) -> StyledLine:
        line = self.line().add(f" {fit(one_line(look.tokens[chosen]).strip() or '␣', 10)}", "strong")
        line.add(" attends to ", "faint")
        for at in best[:_NAMED]:
            weight = look.attention[chosen][at]
            text, number = fit(one_line(look.tokens[at]).strip() or "␣", 10), f" {format_fixed(weight)} "
            if line.width + len(number) + 11 > width or weight < 0.1:
                break
            line.add(text, "accent").add(number, "dim")
        return line


class SideBySideScreen(MeasuredScreen):
    """The screen; heads that do not fit are a key away."""

    CSS_PATH = "side_by_side.tcss"
    actions = ACTIONS
    view: AttentionPanels

    def __init__(self, state: WorkbenchState, depth: Depth, fetch: FetchPart) -> None:
        super().__init__(state, fetch)
        self.panels = PanelsState(state)
        self.view = AttentionPanels(self.panels, depth, id="panels")

    def wanted(self) -> Wanted:
        """Return the heads in sight on the prompt, then the others."""
        first = self.panels.first
        heads = [*self.panels.heads[first:], *self.panels.heads[:first]]
        return [(self.panels.request(head), HeadInspection) for head in heads]

    def paint(self) -> None:
        n, heads = len(self.panels.marked), self.panels.heads
        room = self.view.room()
        which = f"{n} marked heads" if n > 1 else "heads at the cursor and of the ranking; mark others"
        last = min(self.panels.first + room, len(heads))
        part = f", {self.panels.first + 1} to {last} of {len(heads)}" if len(heads) > room else ""
        self.view.border_title = Content(f"Attention of {which}{part} · prompt {self.panels.example + 1}")
        self.view.paint()

    def action_step(self, by: int) -> None:
        self.panels.step_prompt(by)
        self.moved()

    def action_walk(self, by: int) -> None:
        self.panels.step_token(by)
        self.paint()

    def action_page(self, by: int) -> None:
        self.panels.page(by, self.view.room())
        self.moved()
