"""The file in which examples are edited outside: it stays until it was taken over, also if it cannot be read."""

import shutil
import tempfile
from pathlib import Path

from engine.authoring.edited_file import BadLine, mark_line, read_edited, write_edited
from engine.examples import Example
from tui.headless.read_examples import read_text


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
"""By session: a file that could not be taken over is opened again, also later."""


def file_of(session: str) -> EditedFile:
    """Return the file of a session, the same one as long as the program runs."""
    return _FILES.setdefault(session, EditedFile())
