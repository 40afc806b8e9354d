"""The grid to the clipboard, or into a file."""

import base64
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessions.protocol import SessionDetailAnswer, ShowSession
from sessions.store.queries import run_row
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


async def test_the_run_goes_out_as_a_command_a_script_and_a_report(
    nodes_host: Any, open_screen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    nodes_host.only(nodes_host.with_mlps)
    answer = nodes_host._answer

    def with_runs(request: Any) -> Any:
        """The stored rows of the session, which the scripted host leaves out."""
        found = answer(request)
        if not isinstance(request, ShowSession):
            return found
        row = msgspec.structs.replace(run_row(nodes_host.store, nodes_host.with_mlps), number=1)
        return SessionDetailAnswer(detail=msgspec.structs.replace(found.detail, runs=(row,)))

    monkeypatch.setattr(nodes_host, "_answer", with_runs)
    async with open_screen(nodes_host) as (app, pilot, until):
        sent: list[str] = []
        monkeypatch.setattr(app._driver, "write", sent.append)
        await pilot.press("y")
        await until(lambda: isinstance(app.screen, CopySheet))
        await pilot.press("c")
        await until(lambda: any(text.startswith("\x1b]52;c;") for text in sent))
        (output,) = [text for text in sent if text.startswith("\x1b]52;c;")]
        arrived = base64.b64decode(output.removeprefix("\x1b]52;c;").rstrip("\x07\x1b\\")).decode()
        assert arrived.startswith("headcode probe ")
        await pilot.press("down", "w")
        await until(lambda: any(path.suffix == ".py" for path in written(out)))
        await pilot.press("r")
        await until(lambda: any(path.suffix == ".html" for path in written(out)))
    page, script = written(out)
    assert page.name.endswith("run1.html")
    compile(script.read_text(), script.name, "exec")
    assert "<h2>How far to believe it</h2>" in page.read_text()


async def test_a_run_that_cannot_be_read_is_said(
    recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("y")
        await until(lambda: isinstance(app.screen, CopySheet))
        await pilot.press("r")
        await until(lambda: "has no run 1" in spoken(text_of(app)))
        assert written(tmp_path) == []
