"""Every use of what Textual 8.2 keeps private; a test fails when a new version changes one of them.

Nothing else in tui touches a name of Textual that begins with an underscore. Hooks that it keeps private are public
methods here.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from rich.color import ColorSystem
from rich.console import RenderableType
from rich.style import Style
from rich.text import Text
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.keys import _character_to_key as character_to_key
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.strip import Strip
from textual.timer import Timer, TimerCallback

from tui.terminal.rich_private import colour_system

if TYPE_CHECKING:
    from textual.binding import BindingsMap
    from textual.dom import DOMNode
    from textual.geometry import Size
    from textual.widget import Widget

__all__ = [
    "HookedApp",
    "HookedPump",
    "ParseError",
    "XTermParser",
    "character_to_key",
    "class_bindings",
    "frame_pieces",
    "screen_strips",
    "set_bindings",
    "style_codes",
    "update_scroll",
]

_LARGE = 2_000
"""Bytes from which a frame is sent as a synchronized update, so that it is not seen half drawn."""

Pieces = Iterator[tuple[int, int, Strip]]
"""What a frame draws: column, line, strip."""


class HookedPump(MessagePump):
    """A screen, a widget or an App with a public method in place of a private one: what an error of a handler does.

    Its timers are never lost.
    """

    def handle_message_error(self, _error: Exception) -> bool:
        """Return whether the error that a message led to is dealt with; otherwise the program ends."""
        return False

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if not self.handle_message_error(error):
                raise

    def set_timer(
        self, delay: float, callback: TimerCallback | None = None, *, name: str | None = None, pause: bool = False
    ) -> Timer:
        """Call a function once, after `delay` seconds.

        Textual's timer never calls it if the process is held up for `delay` seconds just as the timer starts: it
        counts a call that is late as made. Seen in 8.2.8; findings/textual-timer.sh.
        """
        timer = super().set_timer(delay, callback, name=name, pause=pause)
        timer._skip = False
        return timer


class HookedApp(App[None]):
    """An App with public methods in place of private ones: how a frame is sent, and what an error does."""

    def encode_frame(self, _pieces: Pieces, _colours: ColorSystem) -> str | None:
        """Return what to send for these pieces; None leaves the frame to Textual."""
        return None

    def survive_error(self, _error: Exception) -> bool:
        """Return whether the program continues after an error of a timer, a worker or a widget."""
        return False

    def last_words(self, _error: BaseException | None) -> Text | None:
        """Return what is printed when an error ends the program; None leaves that to Textual."""
        return None

    def end_with(self, error: Exception) -> None:
        """End the program with this error."""
        super()._handle_exception(error)

    def _handle_exception(self, error: Exception) -> None:
        if not self.survive_error(error):
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        import sys

        words = self.last_words(sys.exception() or self._exception)
        if words is None:
            super()._fatal_error()
            return
        self._exit_renderables.append(words)
        self._close_messages_no_wait()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        driver = self._driver
        drawing = self._running and not self._closed and not self._batch_count
        usual = driver is None or self.is_headless or driver.is_inline or not drawing
        if usual or driver is None or not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            super()._display(screen, renderable)
            return
        try:
            text = self.encode_frame(frame_pieces(renderable), colour_system(self.console))
        except Exception as error:  # noqa: BLE001  # as in Textual, an error of a widget is reported
            self._handle_exception(error)
            text = ""
        if text is None:
            super()._display(screen, renderable)
            return
        x, y = self.screen.outer_size.clamp_offset(self.cursor_position)
        if text or (x, y) != self._previous_cursor_position:
            if x or y or (x, y) != self._previous_cursor_position:
                # Without a text field the cursor is hidden and needs no position.
                text += f"\x1b[{y + 1};{x + 1}H" if x or y else "\x1b[H"
            self._previous_cursor_position = self.screen.outer_size.clamp_offset(self.cursor_position)
            large = self._sync_available and len(text) > _LARGE
            driver.write(f"\x1b[?2026h{text}\x1b[?2026l" if large else text)
            driver.flush()
        self.post_display_hook()


def frame_pieces(update: "LayoutUpdate | ChopsUpdate") -> Pieces:
    """Return the strips of a frame with their columns and lines."""
    if isinstance(update, LayoutUpdate):
        x, first = update.region.offset
        for y, line in enumerate(update.strips, first):
            strips = tuple(line)
            yield x, y, Strip(list(chain.from_iterable(strips)))
        return
    for y, left, right in update.spans:
        chops: Sequence[tuple[int, Strip | None]] = tuple(update.chops[y].items())
        for end, (x, strip) in zip(update.chop_ends[y], chops, strict=False):
            if strip is not None and x < right and end > left:
                yield x, y, strip


def style_codes(style: Style | None, colours: ColorSystem) -> str:
    """Return the SGR codes of a style; kept by the style once they are made."""
    return "" if style is None else (style._ansi or Strip.render_ansi(style, colours))


def screen_strips(app: App[Any]) -> list[Strip]:
    """Return what the screen shows, line by line."""
    return app.screen._compositor.render_strips(app.size)


def class_bindings(widget: "DOMNode") -> "BindingsMap | None":
    """Return the bindings that the widget's classes declare."""
    return type(widget)._merged_bindings


def set_bindings(widget: "DOMNode", bindings: "BindingsMap") -> None:
    """Replace the bindings of this one widget."""
    widget._bindings = bindings


def update_scroll(widget: "Widget", size: "Size") -> None:
    """Tell a scrolling widget the size of what it scrolls."""
    widget._scroll_update(size)
