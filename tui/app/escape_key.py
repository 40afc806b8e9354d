"""Escape and the key after it: a line over SSH may bring both in one piece, which Textual reads as one key with Alt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events
from textual.dom import DOMNode
from textual.keys import _character_to_key

if TYPE_CHECKING:
    from textual.app import App

    Base = App[None]
else:
    Base = object

_ALT = "alt+"


class SplitEscape(Base):
    """Mixed into the application: Alt and a key that means nothing are escape and that key, as they were pressed."""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded and event.character and self._is_two(event.key):
            # Escape goes up from widget to widget through the queue of each, and the other key after it.
            way = (self.focused or self.screen).ancestors_with_self
            await super().on_event(events.Key("escape", "\x1b"))
            self._after(way, events.Key(_character_to_key(event.character), event.character))
        else:
            await super().on_event(event)

    def _is_two(self, key: str) -> bool:
        if not key.startswith(_ALT) or key in self.screen.active_bindings:
            return False
        from tui.widgets.line_edit import LineEdit

        return not (isinstance(self.focused, LineEdit) and self.focused.takes(key))

    def _after(self, way: Sequence[DOMNode], key: events.Key) -> None:
        for place, node in enumerate(way, 1):
            if node.call_later(self._after, way[place:], key):  # one that escape closed takes nothing any more
                return
        self.post_message(key)
