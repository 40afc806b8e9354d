"""Editor of one line of text, wrapped over a few rows; shows typed and pasted text sanitised."""

from bisect import bisect_right
from collections.abc import Sequence

from rich.cells import cell_len, get_character_cell_size
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from tui.actions import Action
from tui.editor.line_keys import edit_line
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.action_keys import default_key
from tui.widgets.line_widget import LineWidget

MOST = 200_000
"""Maximum characters of a line; more is probably a pasted file."""
_BREAK = "⏎"


class LineEdit(LineWidget):
    """The editor. Posts messages for changes; `text` is the raw text, not the sanitised one."""

    can_focus = True

    class Changed(Message):
        """The text changed."""

    class Done(Message):
        """Enter or escape was pressed; the text is kept either way."""

        def __init__(self, *, again: bool) -> None:
            super().__init__()
            self.again = again
            """True for enter, False for escape."""

    class Left(Message):
        """The cursor left the text upwards or downwards."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class Pasted(Message):
        """Several lines were pasted."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self.text = ""
        self.at = 0
        self.hint = ""
        """Placeholder shown without text."""
        self.table: Sequence[Action] = ()
        """Actions of the editor whose keys the user can change."""
        self._first = 0

    def put(self, text: str, at: int | None = None) -> None:
        """Set the text and the cursor, by default at its end."""
        self.text = text[:MOST]
        self.at = len(self.text) if at is None else min(at, len(self.text))
        self._first = 0
        self.paint()

    # ---- drawing

    def lines(self, size: Size, /) -> list[Strip]:
        width = max(size.width - 2, 1)
        starts = row_starts(self.text, width)
        row = row_of(starts, self.at)
        if self.has_focus:
            self._first = min(max(self._first, row - size.height + 1), row)
        if not self.text and not self.has_focus:
            return [self.line().add(" ").add(self.hint, "faint").strip()]
        found = []
        for number in range(self._first, min(self._first + size.height, len(starts))):
            begin = starts[number]
            end = starts[number + 1] if number + 1 < len(starts) else len(self.text)
            line = self.line().add("▸" if number == 0 and self.has_focus else " ", "accent")
            if self.has_focus and number == row:
                under = clean(self.text[self.at : self.at + 1]) if self.at < end else ""
                line.add(clean(self.text[begin : self.at]), "strong").add(under or " ", "cursor")
                line.add(clean(self.text[self.at + 1 : end]), "strong")
            else:
                line.add(clean(self.text[begin:end]), "strong" if self.has_focus else "text")
            found.append(line.strip())
        return found

    def on_focus(self) -> None:
        self.paint()

    def on_blur(self) -> None:
        self.paint()

    # ---- keys

    def on_key(self, event: events.Key) -> None:
        before = self.text
        key = default_key(self.app, self.table, event.key)
        if not self._handle(event, key):
            return
        event.stop()
        event.prevent_default()
        if self.text != before:
            self.post_message(self.Changed())
        self.paint()

    def _handle(self, event: events.Key, key: str) -> bool:
        """Handle a key and return True if it was for this editor. `key` is the default key of its action."""
        edited = edit_line(self.text, self.at, key)
        if edited is not None:
            self.text, self.at = edited
        elif key in ("up", "down"):
            self._row(-1 if key == "up" else 1)
        elif key in ("enter", "escape", "tab", "shift+tab"):
            self.post_message(self.Done(again=key == "enter"))
        elif key in ("ctrl+j", "alt+enter", "shift+enter"):
            self.type(_BREAK)
        elif event.is_printable and event.character:
            self.type(event.character)
        else:
            # A default key that the user moved elsewhere does nothing, here or on the screen.
            return not key
        return True

    def takes(self, key: str) -> bool:
        """Return True if the editor uses this key with Alt."""
        own = default_key(self.app, self.table, key)
        return own == "alt+enter" or edit_line("", 0, own) is not None

    def type(self, text: str) -> None:
        """Insert text at the cursor."""
        text = text[: max(MOST - len(self.text), 0)]
        self.text = self.text[: self.at] + text + self.text[self.at :]
        self.at += len(text)

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
        if "\n" in text:
            self.post_message(self.Pasted(text))
            return
        self.type(text)
        self.post_message(self.Changed())
        self.paint()

    def on_click(self, event: events.Click) -> None:
        starts = row_starts(self.text, max(self.size.width - 2, 1))
        row = min(self._first + event.y, len(starts) - 1)
        end = starts[row + 1] - 1 if row + 1 < len(starts) else len(self.text)
        self.at = _cell_at(self.text, starts[row], end, event.x - 1)
        self.paint()

    def _row(self, by: int) -> None:
        starts = row_starts(self.text, max(self.size.width - 2, 1))
        row = row_of(starts, self.at)
        if not 0 <= row + by < len(starts):
            self.post_message(self.Left(by))
            return
        column = cell_len(clean(self.text[starts[row] : self.at]))
        end = starts[row + by + 1] - 1 if row + by + 1 < len(starts) else len(self.text)
        self.at = _cell_at(self.text, starts[row + by], end, column)


def row_starts(text: str, width: int) -> list[int]:
    """Return the start of each row, with room for the cursor after the last character."""
    if text.isascii():
        return list(range(0, len(text) + 1, width))
    starts, used = [0], 0
    for place, character in enumerate(clean(text)):  # clean() keeps the length, so positions stay valid
        cells = get_character_cell_size(character)
        if used + cells > width:
            starts.append(place)
            used = 0
        used += cells
    if used >= width:
        starts.append(len(text))
    return starts


def row_of(starts: list[int], at: int) -> int:
    """Return the row that contains the character at `at`."""
    return bisect_right(starts, at) - 1


def _cell_at(text: str, begin: int, end: int, column: int) -> int:
    used = 0
    for place, character in enumerate(clean(text[begin:end]), begin):
        used += get_character_cell_size(character)
        if used > column:
            return place
    return end
