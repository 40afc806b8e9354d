"""Escape followed by a key: SSH may deliver both together, which Textual reads as Alt and that key."""

from collections.abc import Sequence

from textual import events
from textual.dom import DOMNode

from tui.terminal.textual_private import HookedApp, character_to_key

_ALT = "alt+"


class SplitEscape(HookedApp):
    """Application that splits an unbound Alt+key into escape and the key."""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded and event.character and self._is_two(event.key):
            # Escape bubbles from widget to widget through their queues; the other key must follow it.
            path = (self.focused or self.screen).ancestors_with_self
            await super().on_event(events.Key("escape", "\x1b"))
            self._after(path, events.Key(character_to_key(event.character), event.character))
        else:
            await super().on_event(event)

    def _is_two(self, key: str) -> bool:
        if not key.startswith(_ALT) or key in self.screen.active_bindings:
            return False
        from tui.widgets.line_edit import LineEdit

        return not (isinstance(self.focused, LineEdit) and self.focused.takes(key))

    def _after(self, path: Sequence[DOMNode], key: events.Key) -> None:
        for place, node in enumerate(path, 1):
            if node.call_later(self._after, path[place:], key):  # a screen that escape closed takes no calls
                return
        self.post_message(key)
