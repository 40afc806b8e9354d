"""A screen over the workbench that draws with the same inks and goes away with escape."""

from collections.abc import Sequence

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip

from tui.actions import Action
from tui.model import Bench
from tui.thin import ThinCompositor
from tui.widgets.ink import INKS
from tui.widgets.painted import Painted


def bindings_of(actions: Sequence[Action]) -> list[BindingType]:
    """The actions of a sheet as Textual wants them."""
    return [
        Binding(",".join(action.keys), action.call, action.title, id=action.id, tooltip=action.tooltip, show=False)
        for action in actions
    ]


class Sheet(Screen[None]):
    """The root of such screens. A sheet has a table of actions like the workbench's."""

    COMPONENT_CLASSES = {f"ink--{name}" for name in INKS}  # noqa: RUF012  # Textual declares it so
    ALLOW_SELECT = False

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._compositor = ThinCompositor()
        self.bench = bench

    def paint(self) -> None:
        """Draws again what the bench has changed."""

    def action_close(self) -> None:
        self.dismiss()


class SheetKeys(Painted):
    """The line at the bottom of a sheet: its keys."""

    def __init__(self, bench: Bench, actions: Sequence[Action]) -> None:
        super().__init__(bench)
        self.actions = actions

    def show(self, actions: Sequence[Action]) -> None:
        """Others from now on, as when a line takes the keys."""
        if actions is not self.actions:
            self.actions = actions
            self.paint()

    def lines(self, size: Size, /) -> list[Strip]:
        line = self.line().add(" ")
        for action in self.actions:
            if action.short and line.width + len(action.key) + len(action.short) + 4 <= size.width:
                line.add(action.key, "key").add(f" {action.short}", "dim").add("   ")
        return [line.strip()]
