"""Examples in the user's editor: they come back graded, a bad file is never lost, and the terminal is given back."""

import contextlib
import os
import pty
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.authoring.edited_file import write_edited
from engine.errors import ConfigError
from engine.examples import Example, content_hash
from sessions.events import ExamplesSet
from tui.headless.text_editor import edit_file, editor_command
from tui.screens.write import WriteScreen

TWO = (
    Example(prompt="One plus one is", polarity="positive", expected=("two",), foils=("six",), pair=1),
    Example(prompt="One plus five is", polarity="negative", expected=("two",), foils=("six",), pair=1),
)


def an_editor(folder: Path, script: str) -> str:
    """A program that changes the file it is called with; it keeps what it saw."""
    path = folder / "my editor"
    path.write_text(f'#!/bin/sh\ncp "$2" "{folder}/seen.txt"\n{script}\n')
    path.chmod(0o755)
    return f"'{path}' --wait"


async def test_the_way_there_and_back(
    recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = recorded.host()
    host.add(ExamplesSet(examples=TWO, content_hash=content_hash(TWO)))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def left() -> list[Path]:
        return list(tmp_path.glob("headcode-*/examples.txt"))

    async with open_screen(host) as (app, pilot, until):
        await pilot.press("w")
        await until(lambda: isinstance(app.screen, WriteScreen) and app.screen.rows.size.height > 2)

        async def edit(script: str | None, says: str) -> str:
            if script is not None:
                monkeypatch.setenv("EDITOR", an_editor(tmp_path, script))
            app.screen.say("")
            await pilot.press("ctrl+o")
            await until(lambda: says in text_of(app))
            return text_of(app)

        await edit(None, "No text editor is known: neither VISUAL nor EDITOR is set.")
        await edit("exit 0", "This terminal cannot be handed to another program")  # a test has none
        assert not left()

        suspended: list[str] = []

        @contextlib.contextmanager
        def suspend() -> Any:
            suspended.append("left")
            yield
            suspended.append("back")

        monkeypatch.setattr(app, "suspend", suspend)
        await edit("exit 0", "The file was not changed.")
        assert suspended == ["left", "back"]
        assert (tmp_path / "seen.txt").read_text() == write_edited(TWO)
        assert not left()

        await edit("exit 3", "The editor ended with code 3; the file was not changed.")
        await edit("echo '+ lost?' >> \"$2\"; exit 3", "The editor ended with code 3: nothing was taken over.")
        assert "+ lost?" in left()[0].read_text()
        text = await edit("echo '+2 broken =>' >> \"$2\"", "Line 6: There is no expected answer after =>. ")
        assert "ctrl+o opens the file again" in text
        assert app.screen.graded.examples == TWO
        await pilot.press("escape")  # it is still there when one comes back
        await until(lambda: not isinstance(app.screen, WriteScreen))
        await pilot.press("w")
        await until(lambda: isinstance(app.screen, WriteScreen) and app.screen.rows.size.height > 2)
        fix = 'grep -q "^#! Line 6" "$2" && sed -i "s/broken =>/mended => yes/" "$2"'
        await edit(fix, "4 examples taken over, 2 before; u goes back.")
        assert [each.prompt for each in app.screen.graded.examples][2:] == ["lost?", "mended"]
        assert not left()
        await until(lambda: len(app.screen.graded.grades) == 4 or host.of_kind("GradeExamples"))
        await pilot.press("u")
        await until(lambda: app.screen.graded.examples == TWO)

        await edit(': > "$2"', "The file has no examples: nothing was taken over.")
        assert app.screen.graded.examples == TWO


def test_which_editor_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, words in (
        ("EDITOR", "no-such-editor -x", "no program 'no-such-editor', which EDITOR names"),
        ("EDITOR", "'half", "cannot be read"),
        ("EDITOR", "  ", "No text editor is known"),
    ):
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError, match=words):
            editor_command()
    monkeypatch.setenv("EDITOR", an_editor(tmp_path, ""))
    assert editor_command() == [str(tmp_path / "my editor"), "--wait"]
    monkeypatch.setenv("VISUAL", "sh -c")
    assert editor_command()[1:] == ["-c"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISUAL", "'./my editor'")
    with pytest.raises(ConfigError):  # a program of the folder that Headcode was started in
        editor_command()


def test_ctrl_c_is_the_editors() -> None:
    """On a terminal of its own: the signal ends the editor, and the program that waits for it goes on."""
    program = (
        "import sys; from pathlib import Path; from tui.headless.text_editor import edit_file\n"
        "print('code', edit_file(['/bin/sh', '-c', 'echo ready; exec sleep 60'], Path('/dev/null')), flush=True)"
    )
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    seen = b""
    while b"ready" not in seen:
        seen += os.read(fd, 1024)
    os.write(fd, b"\x03")
    with contextlib.suppress(OSError):
        while b"code -2" not in seen:
            seen += os.read(fd, 1024)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    assert b"code -2" in seen, seen
    assert os.waitstatus_to_exitcode(status) == 0


def test_signals_are_as_they_were_afterwards(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGQUIT)
    assert edit_file(["/bin/sh", "-c", "exit 4"], tmp_path) == 4
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGQUIT)) == before
    with pytest.raises(OSError, match="No such file"):
        edit_file([str(tmp_path / "gone")], tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGQUIT)) == before
