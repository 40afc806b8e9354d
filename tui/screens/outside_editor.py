"""Edit the examples in the user's text editor, and take them back; a file that cannot be read is kept."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from engine.authoring.edited_file import BadLine, mark_line, read_edited, write_edited
from engine.errors import HeadcodeError
from engine.examples import Example
from tui.headless.read_examples import read_text
from tui.headless.text_editor import edit_file, editor_command

if TYPE_CHECKING:
    from tui.screens.write import WriteScreen


class EditedFile:
    """The file that is edited. It lives in a private folder, and stays until it was taken over."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self._written = ""
        self._before: tuple[Example, ...] = ()

    def begin(self, examples: tuple[Example, ...]) -> Path:
        """Return the file to edit: one that could not be taken over, else a new one with the examples."""
        if self.path is None or not self.path.exists():
            self.path = Path(tempfile.mkdtemp(prefix="headcode-")) / "examples.txt"
            self._written, self._before = write_edited(examples), examples
            self.path.write_text(self._written, encoding="utf-8")
        return self.path

    def take(self) -> tuple[Example, ...] | None:
        """Return the edited examples and remove the file; None if it was not changed. Raises ExampleError, OSError."""
        assert self.path is not None
        text = read_text(str(self.path), plain=True)
        found = None
        if text != self._written:
            try:
                found = read_edited(text, self._before)
            except BadLine as error:
                self.path.write_text(mark_line(text, error.number, error.message), encoding="utf-8")
                raise
        self.drop()
        return found

    @property
    def is_changed(self) -> bool:
        """Whether the file differs from what was written into it."""
        return self.path is not None and self.path.exists() and self.path.read_bytes() != self._written.encode()

    def drop(self) -> None:
        """Remove the file."""
        if self.path is not None:
            shutil.rmtree(self.path.parent, ignore_errors=True)
        self.path = None


_FILES: dict[str, EditedFile] = {}
"""By session, the files that were opened: one that could not be taken over is opened again, also later."""


def edit_outside(screen: "WriteScreen") -> None:
    """Open the examples in the editor that VISUAL or EDITOR names. The terminal belongs to it until it is left."""
    file, again = _FILES.setdefault(screen.state.session_id or "", EditedFile()), screen.state.key("write:outside")
    if screen.line.place is not None:
        screen.end_line()
    try:
        command = editor_command()
        path = file.begin(screen.graded.examples)
        with screen.app.suspend():
            code = edit_file(command, path)
    except SuspendNotSupported:
        file.drop()
        screen.say("This terminal cannot be handed to another program: o writes a file, i reads it.")
        return
    except HeadcodeError as error:
        screen.say(f"{error.message} {error.hint}")
        return
    except OSError as error:
        screen.say(f"The editor could not be started: {error.strerror}.")
        return
    if code and not file.is_changed:
        file.drop()
        screen.say(f"The editor ended with code {code}; the file was not changed.")
        return
    if code:
        screen.say(f"The editor ended with code {code}: nothing was taken over. {again} opens {path} again.")
        return
    try:
        found = file.take()
    except (HeadcodeError, OSError) as error:
        words = error.message if isinstance(error, HeadcodeError) else str(error)
        screen.say(f"{words} {again} opens the file again: {path}. Nothing was taken over.")
        return
    if found is None:
        screen.say("The file was not changed.")
        return
    if not found:
        screen.say("The file has no examples: nothing was taken over.")
        return
    before = len(screen.graded.examples)
    screen.graded.change(lambda _: found)
    undo = screen.state.key("write:step.undo")
    screen.changed(f"{len(found)} examples taken over, {before} before; {undo} goes back.")
