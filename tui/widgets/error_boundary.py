"""Error boundaries: a pane that fails shows a message; other panes, the session and the run continue."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.terminal.sanitize import clean
from tui.terminal.textual_private import HookedPump


class MessageErrorBoundary(HookedPump):
    """Base that logs and shows errors of message handlers and handles the next message as usual.

    Textual would end the program. So does this if the application does not survive errors, as in tests.
    """

    def handle_message_error(self, error: Exception) -> bool:
        """Report the error of a message handler. Returns False in tests, which must see the error."""
        if not survives_errors(self):
            return False
        self.handle_error(error)
        return True

    def handle_error(self, error: Exception) -> None:
        """Report an error of this node."""
        report_error(self, error, type(self).__name__)


class ErrorBoundary(MessageErrorBoundary, Widget):
    """Base of panes: a pane that fails while drawing or handling a message shows an error until it is reopened."""

    failed: str = ""
    """The error message; empty while the pane works."""
    _ground: Style | None = None
    _hidden: tuple[Widget, ...] = ()
    _FALLBACKS: ClassVar[dict[str, Callable[[], Any]]] = {
        "paint": lambda: None,
        "paint_cursor": lambda: None,
        "move_cursor": lambda: None,
        "lines": list,
        "count": lambda: 0,
    }
    """Methods that draw, and what they return if they fail."""

    def __init_subclass__(cls, **more: Any) -> None:
        for name, otherwise in cls._FALLBACKS.items():
            method = cls.__dict__.get(name)
            if method is not None:
                setattr(cls, name, _catch_errors(method, otherwise))
        super().__init_subclass__(**more)

    @property
    def ground(self) -> Style:
        """Background style of the widget, looked up once per frame."""
        self._ground = self._ground or self.rich_style
        return self._ground

    def render_lines(self, crop: Region) -> list[Strip]:
        self._ground = None
        if not self.failed:
            try:
                return super().render_lines(crop)
            except Exception as error:
                if not survives_errors(self):
                    raise
                self.handle_error(error)
        return self._panel(crop)

    def handle_error(self, error: Exception) -> None:
        if not self.failed:
            self.failed = report_error(self, error, f"the pane {self.id or type(self).__name__}", aloud=False)
            self._hidden = tuple(child for child in self.children if child.display)
            for child in self._hidden:
                child.display = False
            self.refresh(layout=bool(self._hidden))

    def reopen(self) -> None:
        """Clear the error and draw again."""
        self.failed = ""
        for child in self._hidden:
            child.display = True
        self._hidden = ()
        if self.size and hasattr(self, "paint"):
            self.paint()
        self.refresh(layout=True)

    def _panel(self, crop: Region) -> list[Strip]:
        from tui.widgets.styled_line import wrap

        key = next((each.key for each in getattr(self.screen, "bound_actions", ()) if each.id == "reopen"), "ctrl+l")
        words = f"✗ {self.failed}\n{key} reopens this pane. The others, the session and a run continue."
        width = self.size.width + self.gutter.width
        lines = [f" {line}" for line in wrap(words, max(width - 2, 1), max(self.size.height, 1))]
        style = self.rich_style
        found = []
        for y in range(crop.y, crop.bottom):
            text = lines[y] if y < len(lines) else ""
            strip = Strip([Segment(text, style)]).adjust_cell_length(width, style)
            found.append(strip.crop(crop.x, crop.right))
        return found


def survives_errors(node: Any) -> bool:
    """Return True if the application continues after an error of one of its nodes."""
    return bool(getattr(node.app, "survives_errors", False))


def report_error(node: Any, error: Exception, what: str, *, aloud: bool = True) -> str:
    """Let the application log the traceback and, if `aloud`, show a notice; return the message."""
    words: str = node.app.report_error(error, what, aloud=aloud)
    return clean(words)


def _catch_errors(method: Callable[..., Any], otherwise: Callable[[], Any]) -> Callable[..., Any]:
    @wraps(method)
    def caught(self: Any, *given: Any, **named: Any) -> Any:
        # An event of the host may arrive while a screen is being closed.
        if self.failed or (method.__name__ == "paint" and not self.is_attached):
            return otherwise()
        try:
            return method(self, *given, **named)
        except Exception as error:
            if not survives_errors(self):
                raise
            self.handle_error(error)
            return otherwise()

    return caught
