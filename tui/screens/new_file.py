"""Write a new file for the user into the folder where Headcode was started."""

import re
from pathlib import Path

from engine.machine.folders import find_folders
from sessions.files.atomic_write import write_atomically
from tui.state.workbench_state import WorkbenchState


def file_stem(state: WorkbenchState) -> str:
    """Return session and run as the begin of a file name that is valid on every file system."""
    session = re.sub(r"[^A-Za-z0-9.-]+", "-", state.session_name).strip("-.")[:60] or "headcode"
    return session + (f"-run{state.shown.number}" if state.shown is not None else "")


def write_new(folder: Path, name: str, suffix: str, text: str) -> Path:
    """Write a new file; an existing name gets a number. Raises CannotWrite."""
    path, number = folder / f"{name}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}{suffix}"
    write_atomically(path, lambda part: _fill(part, text), force=False, marks=find_folders().parts)
    return path


def _fill(part: Path, text: str) -> None:
    part.write_text(text, encoding="utf-8", errors="replace")
