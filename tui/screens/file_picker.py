"""The file picker: a folder's contents and an editable path. File names are shown sanitised."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.machine.memory import format_bytes
from tui.actions import screen_actions
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_edit import LineEdit
from tui.widgets.line_widget import LineWidget, VirtualLineWidget
from tui.widgets.styled_line import fit, fit_end

_MOST = 20_000
"""Maximum entries read from a folder."""
ACTIONS = screen_actions(
    "Files",
    ("open", "", "enter,l,right", "Choose", "Choose the file, or open the folder", "choose"),
    ("parent", "", "backspace,h,left", "Folder above", "Go to the folder above", "up"),
    ("type", "", "slash,tab", "Type a path", "Type the path", "path"),
    ("hidden", "", "full_stop", "Hidden files", "Show or hide names that begin with a dot", "hidden"),
    ("choose.down", "1", "down,j", "Next name", "Choose the next name", ""),
    ("choose.up", "-1", "up,k", "Previous name", "Choose the previous name", ""),
    ("choose.page_down", "10", "pagedown", "Ten names down", "Choose a name further down", ""),
    ("choose.page_up", "-10", "pageup", "Ten names up", "Choose a name further up", ""),
    ("close", "", "escape,q", "Back", "Back without a file", "back"),
)
_WIDEST = 100
"""Maximum columns up to the size, so that the eye can follow the line."""
Chosen = Callable[[Path], None]


class FolderEntry:
    """An entry of a folder."""

    def __init__(self, path: Path, *, folder: bool, size: int) -> None:
        self.path = path
        self.folder = folder
        self.size = size


class FileList(VirtualLineWidget):
    """The list of a folder's contents, folders first."""

    can_focus = True

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self.entries: list[FolderEntry] = []
        self.at = 0
        self.placeholder = ""

    def count(self) -> int:
        return max(len(self.entries), 1)

    def row(self, y: int, size: Size, /) -> Strip:
        if not self.entries:
            return self.line().add(f"  {fit(clean(self.placeholder), size.width - 3)}", "dim").strip()
        entry, chosen = self.entries[y], y == self.at
        line = self.line().add("▸ " if chosen else "  ", "accent")
        name = clean(entry.path.name) + ("/" if entry.folder else "")
        line.add(
            fit(name, min(size.width, _WIDEST) - 14), "strong" if chosen else ("accent" if entry.folder else "text")
        )
        if not entry.folder:
            size_words = format_bytes(entry.size)
            line.to(min(size.width, _WIDEST) - 2 - len(size_words), " ").add(size_words, "dim")
        return line.strip()

    def choose(self, place: int) -> None:
        self.at = min(max(place, 0), max(len(self.entries) - 1, 0))
        self.show_lines(self.at, self.at)
        self.paint()

    async def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and place.y + self.scroll_offset.y < len(self.entries):
            again = place.y + self.scroll_offset.y == self.at
            self.choose(place.y + self.scroll_offset.y)
            if again:
                await self.screen.run_action("open")


class MessageLine(LineWidget):
    """One line with the question or an error."""

    def __init__(self, state: WorkbenchState, text: str) -> None:
        super().__init__(state)
        self.text, self.ink_name = text, "dim"

    def say(self, text: str, ink: str = "bad") -> None:
        self.text, self.ink_name = text, ink
        self.paint()

    def lines(self, size: Size, /) -> list[Strip]:
        return [self.line().add(f" {fit(clean(self.text), size.width - 2)}", self.ink_name).strip()]


class FilePickerScreen(SubScreen):
    """The screen; calls `chosen` with the path.

    With `write`, a new name is accepted, and an existing file must be confirmed.
    """

    CSS_PATH = "file_picker.tcss"
    actions = ACTIONS
    AUTO_FOCUS = "#names"

    def __init__(self, state: WorkbenchState, title: str, folder: Path, chosen: Chosen, *, write: str = "") -> None:
        super().__init__(state)
        self.folder = folder
        self.chosen = chosen
        self.write = write
        """Proposed name of a file to write; empty: a file to read."""
        self.question = title
        self.words = MessageLine(state, title)
        self.names = FileList(state, id="names")
        self.path = LineEdit(state, id="path")
        self._hidden = False
        self._asked: Path | None = None

    def compose(self) -> ComposeResult:
        yield self.words
        yield self.names
        yield self.path
        yield SubScreenKeys(self.state, ACTIONS)

    async def on_mount(self) -> None:
        await self._go(self.folder)
        if self.write:
            self.path.put(str(self.folder / self.write))
            self.path.focus()

    def paint(self) -> None:
        self.names.paint()

    async def _go(self, folder: Path) -> None:
        try:
            entries = await asyncio.to_thread(list_folder, folder, hidden=self._hidden)
        except OSError as error:
            up = self.state.key("files:parent")
            self.words.say(f"{folder} cannot be read: {error.strerror}. {up} goes to the parent folder.")
            return
        self.words.say(self.question, "dim")
        self.folder, self.names.entries = folder, entries
        self.names.placeholder = "Empty folder."
        self.names.border_title = Content(fit_end(clean(str(folder)), max(self.app.size.width - 8, 8)))
        self.names.choose(0)
        if not self.path.has_focus:
            self.path.put(os.path.join(folder, ""))  # noqa: PTH118  # with the separator at its end

    async def _take(self, path: Path) -> None:
        there = await asyncio.to_thread(path_kind, path)
        if there == "folder":
            await self._go(path)
            self.names.focus()
        elif there != "file" and not self.write:
            self.words.say(f"There is no file {path}: correct the path, or choose from the list.")
        elif there == "file" and self.write and self._asked != path:
            self._asked = path
            self.words.say(f"{path.name} already exists: enter again overwrites it.", "second")
        elif there == "nowhere":
            self.words.say(f"There is no folder {path.parent}: choose an existing one.")
        else:
            self.dismiss()
            self.chosen(path)

    @on(LineEdit.Done)
    async def _typed(self, message: LineEdit.Done) -> None:
        text = self.path.text.strip()
        if message.again and text:
            try:
                await self._take(resolve_path(self.folder, text))
            except (OSError, ValueError) as error:
                self.words.say(f"Invalid path: {error}.")
        else:
            self.names.focus()

    @on(LineEdit.Left)
    def _left(self) -> None:
        self.names.focus()

    async def action_open(self) -> None:
        if self.names.entries:
            await self._take(self.names.entries[self.names.at].path)

    async def action_parent(self) -> None:
        came_from = self.folder
        await self._go(self.folder.parent)
        places = [place for place, entry in enumerate(self.names.entries) if entry.path == came_from]
        self.names.choose(places[0] if places else 0)

    def action_type(self) -> None:
        self.path.focus()

    async def action_hidden(self) -> None:
        self._hidden = not self._hidden
        await self._go(self.folder)

    def action_choose(self, by: int) -> None:
        self.names.choose(self.names.at + by)


def resolve_path(folder: Path, text: str) -> Path:
    """Resolve a typed path: ~ is the home folder, relative paths start at `folder`."""
    return Path(os.path.normpath(folder / os.path.expanduser(text)))  # noqa: PTH111  # no RuntimeError without a home


def path_kind(path: Path) -> str:
    """Return folder, file, free (a new name in an existing folder) or nowhere."""
    if path.is_dir():
        return "folder"
    if path.exists():
        return "file"
    return "free" if path.parent.is_dir() else "nowhere"


def list_folder(folder: Path, *, hidden: bool) -> list[FolderEntry]:
    """Return the folder's entries by name, folders first. Raises OSError."""
    found = []
    with os.scandir(folder) as entries:
        for each in entries:
            if each.name.startswith(".") and not hidden:
                continue
            try:
                is_folder, size = each.is_dir(), 0 if each.is_dir() else each.stat().st_size
            except OSError:
                continue  # a dangling link
            found.append(FolderEntry(Path(each.path), folder=is_folder, size=size))
            if len(found) >= _MOST:
                break
    key: Callable[[FolderEntry], Any] = lambda entry: (not entry.folder, entry.path.name.lower())  # noqa: E731
    return sorted(found, key=key)
