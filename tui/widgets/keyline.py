"""The line at the bottom: the keys that do something now, from the one table of actions."""

from collections.abc import Callable, Sequence

from textual.geometry import Size
from textual.strip import Strip

from tui.actions import Action
from tui.model import Bench
from tui.widgets.hints import Hints

_STAY = frozenset({"write", "run", "stop", "measure.next", "cut.fewer", "keys", "leave"})


class KeyLine(Hints):
    """Also answers the mouse. What cannot be done now is faint."""

    def __init__(
        self,
        bench: Bench,
        allowed: Callable[[Action], bool],
        table: Callable[[], Sequence[Action]],
        *,
        id: str | None = None,  # noqa: A002  # Textual's name for it
    ) -> None:
        super().__init__(bench, id=id)
        self.allowed = allowed
        self.table = table

    def lines(self, size: Size, /) -> list[Strip]:
        actions = self.table()
        entries = [action for action in actions if action.short]
        spare = ["seed", "next_pane", "ranking.next", "overlay", "difference", "note.head", "jump", "runs"]
        while spare and _widths(entries, actions) + 2 * len(entries) > size.width:
            # A narrow line loses what can be done without; keys and leave stay.
            name = spare.pop(0)
            entries = [action for action in entries if action.id != name]
        while _widths(entries, actions) + 2 * len(entries) > size.width:
            last = next((action for action in reversed(entries) if action.id not in _STAY), None)
            if last is None:
                break
            entries.remove(last)
        gap = "   " if _widths(entries, actions) + 3 * len(entries) <= size.width else "  "
        line = self.line().add(" ")
        self.spots = []
        for action in entries:
            on = self.allowed(action)
            line.add(keys_of(action, actions), "key" if on else "faint").add(
                f" {action.short}", "dim" if on else "faint"
            )
            self.spots.append((line.width, action))
            line.add(gap)
        return [line.strip()]


def _widths(entries: Sequence[Action], actions: Sequence[Action]) -> int:
    return sum(len(keys_of(action, actions)) + 1 + len(action.short) for action in entries)


def keys_of(action: Action, actions: Sequence[Action]) -> str:
    """Its key, with that of its counterpart: t/T."""
    root = action.id.split(".")[0]
    both = [other.key for other in actions if other.id.split(".")[0] == root and "." in action.id]
    return "/".join(both) if len(both) == 2 else action.key
