"""A line of keys with mouse support: a click runs the action, hovering shows its tooltip."""

from textual import events
from textual.content import Content
from textual.geometry import Offset

from tui.actions import Action, format_keys
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LineWidget


class ClickableKeys(LineWidget):
    """Base of key lines. Subclasses fill `spots` with the end column of each action."""

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self.spots: list[tuple[int, Action]] = []

    def action_at(self, x: int) -> Action | None:
        return next((action for end, action in self.spots if x < end), None)

    async def on_click(self, event: events.Click) -> None:
        action = self.action_at(event.x)
        if action is not None:
            await self.app.run_action(action.call, self.screen)

    def tip_at(self, place: Offset, /) -> Content | None:
        action = self.action_at(place.x)
        return action_tip(action, self.reason(action)) if action is not None else None

    def reason(self, action: Action) -> str:
        """Return why the action is disabled; empty if it is enabled."""
        why: str = getattr(self.screen, "disabled_reason", lambda _: "")(action)
        return why


def action_tip(action: Action, reason: str = "") -> Content:
    """Return the tooltip of an action: title, keys, meaning, and why it is disabled."""
    keys = " ".join(format_keys(action.keys))
    parts = [Content.assemble((action.title, "bold"), f"  {keys}"), Content(action.tooltip)]
    if reason:
        parts.append(Content(f"Disabled: {clean(reason)}"))
    return Content("\n").join(parts)
