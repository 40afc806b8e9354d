"""Jump mode: two letters on every node, pane and code of the workbench; typing them goes there."""

from collections.abc import Callable, Sequence
from itertools import product

import msgspec
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

from tui.actions import screen_actions
from tui.actions.key_labels import key_label_in
from tui.widgets.action_keys import ActionKeys
from tui.widgets.styled_line import INKS

ACTIONS = screen_actions("Jump", ("close", "", "escape", "Back", "Back without a jump", "back"))
_LETTERS = "asdfghjklqwertyuiopzxcvbnm"
"""The home row first: the first places have the easiest labels."""


class JumpTarget(msgspec.Struct, frozen=True):
    """A place on the screen, in columns and lines, and what going there does."""

    x: int
    y: int
    go: Callable[[], object]


def label_targets(targets: Sequence[JumpTarget]) -> dict[str, JumpTarget]:
    """Return the targets by two letters, in reading order; those beyond 676 get none."""
    ordered = sorted(targets, key=lambda target: (target.y, target.x))
    return dict(zip(map("".join, product(_LETTERS, repeat=2)), ordered, strict=False))


class JumpPicture(Widget):
    """The screen below as it was, with the labels that begin with what is typed."""

    def __init__(self, strips: Sequence[Strip], labels: dict[str, JumpTarget], hint: str) -> None:
        super().__init__()
        self._strips, self._labels, self._hint = strips, labels, hint
        self.typed = ""

    def render_line(self, y: int) -> Strip:
        if y >= len(self._strips):
            return Strip.blank(self.size.width)
        strip = Strip([Segment(text, _faded(style)) for text, style, _ in self._strips[y]])
        strip = strip.adjust_cell_length(self.size.width)
        ink = self.screen.get_component_rich_style("ink--accent", partial=True) + Style(bold=True, reverse=True)
        for label, target in self._labels.items():
            if target.y == y and label.startswith(self.typed):
                rest = label.removeprefix(self.typed)
                strip = _put(strip, target.x + len(self.typed), rest, ink)
        if y == self.size.height - 1:
            words = f" {self._hint} "
            strip = _put(strip, max(self.size.width - len(words), 0), words, ink)
        return strip


class JumpScreen(ModalScreen[None], ActionKeys):
    """Takes two letters and goes to their target; any other key goes back."""

    COMPONENT_CLASSES = {f"ink--{name}" for name in INKS}  # noqa: RUF012  # Textual declares it so
    actions = ACTIONS
    DEFAULT_CSS = "JumpPicture { width: 100%; height: 100%; }"

    def __init__(self, strips: Sequence[Strip], targets: Sequence[JumpTarget]) -> None:
        super().__init__()
        self._strips, self._labels = strips, label_targets(targets)
        self._left = False

    def compose(self) -> ComposeResult:
        hint = f"Two letters go there · {key_label_in(self.app, 'jump:close')} back"
        self.picture = JumpPicture(self._strips, self._labels, hint)
        yield self.picture

    def on_key(self, event: events.Key) -> None:
        if any(event.key in action.keys for action in self.bound_actions):
            return
        event.stop()
        typed = self.picture.typed + (event.character or "").lower()
        if event.key == "backspace":
            typed = ""
        elif typed in self._labels:
            self.action_close()
            self._labels[typed].go()
            return
        elif typed == self.picture.typed or not any(label.startswith(typed) for label in self._labels):
            self.action_close()
            return
        self.picture.typed = typed
        self.picture.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Go back: the picture is of another size."""
        if self._strips and event.size.height != len(self._strips):
            self.action_close()

    def action_close(self) -> None:
        """Go back, once: two changes of size may come before the screen has gone."""
        if not self._left:
            self._left = True
            self.dismiss()


def _faded(style: Style | None) -> Style:
    return (style or Style()) + Style(dim=True, bold=False)


def _put(strip: Strip, x: int, text: str, ink: Style) -> Strip:
    """Return the strip with a text over it."""
    width = strip.cell_length
    piece = Strip([Segment(text, ink)]).crop(0, max(width - x, 0))
    return Strip.join([strip.crop(0, x), piece, strip.crop(x + piece.cell_length, width)])
