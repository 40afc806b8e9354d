"""The grid to the clipboard, or into a file."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from tui.screens import copy_grid
from tui.screens.copy_grid import CopySheet, file_name, grid_picture
from tui.screens.new_file import write_new
from tui.terminal.sanitize import clean


def written(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.suffix)


def spoken(text: str) -> str:
    """The words of a box, over its line breaks and frame."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_y_sends_the_grid_to_the_terminal_and_writes_files(
    size: tuple[int, int],
    recorded: Any,
    open_screen: Any,
    text_of: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TMUX", raising=False)
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, until):
        sent: list[str] = []
        monkeypatch.setattr(app._driver, "write", sent.append)
        await pilot.press("y")
        await until(lambda: isinstance(app.screen, CopySheet) and "SVG picture" in text_of(app))
        await pilot.press("m")
        await until(lambda: "sent to your terminal" in spoken(text_of(app)))
        (output,) = [text for text in sent if text.startswith("\x1b]52;c;")]
        arrived = base64.b64decode(output.removeprefix("\x1b]52;c;").rstrip("\x07\x1b\\")).decode()
        view = app.state.view()
        assert view is not None
        assert arrived == grid_picture(app.state).markdown()
        assert arrived.count("**") == 2 * (2 + len(view.circuit))
        await pilot.press("w")
        await until(lambda: "Written:" in text_of(app))
        await pilot.press("down", "w", "w")
        await until(lambda: len(written(tmp_path)) == 3)
        assert [path.suffix for path in written(tmp_path)] == [".md", ".svg", ".svg"]
        assert written(tmp_path)[0].read_text() == arrived
        await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 1)


async def test_what_no_clipboard_takes_becomes_a_file(
    recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(copy_grid, "MOST_BYTES", 3_000)
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        sent: list[str] = []
        monkeypatch.setattr(app._driver, "write", sent.append)
        await pilot.press("y", "s")
        await until(lambda: "too large for a terminal's clipboard" in spoken(text_of(app)))
        assert [path.suffix for path in written(tmp_path)] == [".svg"]
        assert not [text for text in sent if text.startswith("\x1b]52")]


async def test_a_folder_that_takes_no_file_is_said(
    recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("y")
        await until(lambda: isinstance(app.screen, CopySheet))
        gone.rmdir()
        await pilot.press("w")
        await until(lambda: "There is no folder" in spoken(text_of(app)))


async def test_without_a_grid_there_is_nothing_to_copy(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    async with open_screen(host) as (app, pilot, _until):
        await pilot.press("y")
        assert len(app.screen_stack) == 1


async def test_names_of_strangers_make_plain_file_names(recorded: Any, open_screen: Any, tmp_path: Path) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, _pilot, _until):
        app.state.session_name = "../../\x1b]0;x\x07 näh [/b] " + "a" * 300
        name = file_name(app.state, grid_picture(app.state))
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,120}", name)
        assert not name.startswith(".")
        path = write_new(tmp_path, name, ".txt", grid_picture(app.state).text())
        assert path.parent == tmp_path
        assert "\x1b" not in path.read_text()
        assert clean(path.name) == path.name
