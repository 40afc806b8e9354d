"""The key line at the bottom of the workbench, from the table of actions."""

from collections.abc import Callable, Sequence

from textual.geometry import Size
from textual.strip import Strip

from tui.actions import Action
from tui.state.workbench_state import WorkbenchState
from tui.widgets.clickable_keys import ClickableKeys

_FIRST = ("close_up", "cause", "options", "card")
_LAST = ("runs", "jump", "note.head", "difference", "overlay", "ranking.next", "next_pane", "seed")
_STAY = frozenset({"write", "run", "stop", "measure.next", "cut.fewer", "keys", "leave"})


class KeyLine(ClickableKeys):
    """Keys and labels; disabled actions are faint. Supports the mouse."""

    def __init__(
        self,
        state: WorkbenchState,
        allowed: Callable[[Action], bool],
        table: Callable[[], Sequence[Action]],
    ) -> None:
        super().__init__(state)
        self.allowed = allowed
        self.table = table
        self._laid: tuple[Sequence[Action], int, str, list[tuple[Action, str]]] = ((), -1, "", [])

    def lines(self, size: Size, /) -> list[Strip]:
        actions = self.table()
        if self._laid[:2] != (actions, size.width):
            self._laid = (actions, size.width, *_lay(actions, size.width))
        _, _, gap, entries = self._laid
        line = self.line().add(" ")
        self.spots = []
        for action, keys in entries:
            on = self.allowed(action)
            line.add(keys, "key" if on else "faint").add(f" {action.short}", "dim" if on else "faint")
            self.spots.append((line.width, action))
            line.add(gap)
        return [line.strip()]


def _lay(actions: Sequence[Action], width: int) -> tuple[str, list[tuple[Action, str]]]:
    """Return the gap and the entries with their keys, as many as fit."""
    entries = [(action, keys_of(action, actions)) for action in actions if action.short]
    if _widths(entries) + 2 * len(entries) > width:
        # In table order: the entries that must stay, and the most important others that fit.
        kept = [entry for entry in entries if entry[0].id in _STAY]
        for other in sorted(entries, key=lambda entry: _rank(entry[0])):
            more = [entry for entry in entries if entry in kept or entry is other]
            if other not in kept and _widths(more) + 2 * len(more) <= width:
                kept = more
        entries = kept
    return "   " if _widths(entries) + 3 * len(entries) <= width else "  ", entries


def _widths(entries: Sequence[tuple[Action, str]]) -> int:
    return sum(len(keys) + 1 + len(action.short) for action, keys in entries)


def _rank(action: Action) -> int:
    """Return the rank by which entries get room."""
    if action.id in _FIRST:
        return _FIRST.index(action.id)
    return len(_FIRST) + (_LAST.index(action.id) + 1 if action.id in _LAST else 0)


def keys_of(action: Action, actions: Sequence[Action]) -> str:
    """Format the key of an action with that of its counterpart: t/T."""
    root = action.id.split(".")[0]
    both = [other.key for other in actions if other.id.split(".")[0] == root and "." in action.id]
    return "/".join(both) if len(both) == 2 else action.key
