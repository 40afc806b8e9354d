"""Base of screens opened from the workbench: same inks, closed by escape."""

from collections.abc import Sequence

from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip

from tui.actions import Action, with_own_keys, with_program_actions, workbench_actions
from tui.state.workbench_state import WorkbenchState
from tui.widgets.action_keys import ActionKeys
from tui.widgets.clickable_keys import ClickableKeys
from tui.widgets.styled_line import INKS

_STAY = frozenset({"close", "keys", "dismiss_sheet"})


class SubScreen(Screen[None], ActionKeys):
    """A screen opened from the workbench, with its own table of actions: `actions = ACTIONS`."""

    COMPONENT_CLASSES = {f"ink--{name}" for name in INKS}  # noqa: RUF012  # Textual declares it so
    ALLOW_SELECT = False

    def __init__(self, state: WorkbenchState) -> None:
        super().__init__()
        self.state = state

    @property
    def bound_actions(self) -> Sequence[Action]:
        return with_program_actions(super().bound_actions, workbench_actions(self.app))

    def paint(self) -> None:
        """Redraw after the workbench state changed."""

    def action_close(self) -> None:
        self.dismiss()


class SubScreenKeys(ClickableKeys):
    """The key line at the bottom of such a screen, with as many keys as fit."""

    def __init__(self, state: WorkbenchState, actions: Sequence[Action]) -> None:
        super().__init__(state)
        self.actions = actions

    def show(self, actions: Sequence[Action]) -> None:
        """Show other actions, as while a line is edited."""
        if actions is not self.actions:
            self.actions = actions
            self.paint()

    def lines(self, size: Size, /) -> list[Strip]:
        shown = with_own_keys(self.app, self.actions)
        if isinstance(self.screen, SubScreen) and self.actions is self.screen.actions:
            shown = self.screen.bound_actions
        kept, gap = _fit_actions([action for action in shown if action.short], size.width)
        line = self.line().add(" ")
        spots: list[tuple[int, Action]] = []
        for action in kept:
            line.add(action.key, "key").add(f" {action.short}", "dim")
            spots.append((line.width, action))
            line.add(gap)
        self.spots = spots
        return [line.strip()]


def _fit_actions(actions: Sequence[Action], width: int) -> tuple[Sequence[Action], str]:
    """Return the actions that fit and the gap between them; back and the list of keys always stay."""
    taken = [len(action.key) + 1 + len(action.short) for action in actions]
    if sum(taken) + 3 * len(actions) <= width + 1:
        return actions, "   "
    kept = {place for place, action in enumerate(actions) if action.id in _STAY}
    room = width - sum(taken[place] + 2 for place in kept)
    for place in range(len(actions)):
        if place not in kept and taken[place] + 2 <= room:
            kept.add(place)
            room -= taken[place] + 2
    return [action for place, action in enumerate(actions) if place in kept], "  "
