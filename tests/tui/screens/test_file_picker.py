"""Choosing files and tasks, and what strangers may call their files."""

import os
from pathlib import Path
from typing import Any

import pytest

from engine.authoring.csv_format import read_csv
from engine.examples import Example, content_hash, read_jsonl
from sessions.events import ExamplesSet
from tui.screens import file_picker, task_picker
from tui.screens.example_sources import add_text
from tui.screens.file_picker import FilePickerScreen
from tui.screens.task_picker import TaskPickerScreen
from tui.screens.write import WriteScreen

SIZES = [(160, 48), (80, 24)]
sizes = pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
HOSTILE = ("\x1b[2Jerase", "[b]bold[/b]", "[@click=app.quit]go[/]", "\u202eback.txt", "new\nline", "[/]", "x" * 200)


def typed(text: str) -> list[str]:
    from textual.keys import _character_to_key

    return [_character_to_key(character) for character in text]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "work"
    (place / "inner").mkdir(parents=True)
    (place / ".secret").write_text("")
    for number in range(30):
        (place / f"f{number:02}.txt").write_text(f"+ from file {number} => x | y\n- other {number} => x | y\n")
    monkeypatch.chdir(place)
    return place


async def open_write(host: Any, app: Any, pilot: Any, until: Any) -> WriteScreen:
    examples = (Example(prompt="there", polarity="positive", expected=("x",)),)
    await host.tell(ExamplesSet(examples=examples, content_hash=content_hash(examples)))
    await until(lambda: app.state.session.examples.current == examples)
    await pilot.press("w")
    await until(lambda: isinstance(app.screen, WriteScreen) and app.screen.rows.size.height > 2)
    screen = app.screen
    assert isinstance(screen, WriteScreen)
    return screen


@sizes
async def test_each_key_of_the_file_list_does_it(
    size: tuple[int, int], folder: Path, recorded: Any, open_screen: Any
) -> None:
    host = recorded.host()
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = await open_write(host, app, pilot, until)
        for action in file_picker.ACTIONS:
            for key in action.keys:
                if not isinstance(app.screen, FilePickerScreen):
                    await pilot.press("i")
                await until(lambda: isinstance(app.screen, FilePickerScreen) and len(app.screen.names.entries) > 20)
                picker = app.screen
                picker.names.choose(0 if action.id == "open" else 12)

                def effect() -> Any:
                    return (type(app.screen), picker.folder, picker.names.at, len(picker.names.entries), app.focused)  # noqa: B023

                was = effect()
                await pilot.press(key)
                try:
                    await until(lambda: effect() != was)  # noqa: B023
                except AssertionError:
                    raise AssertionError(f"{key} did not do {action.id}") from None
                while app.screen is not screen:
                    await pilot.press("escape")
                    await pilot.pause()
        assert app.screen is screen
        assert folder.name == "work"


@sizes
async def test_a_file_is_read_and_written_and_nothing_is_overwritten_unasked(
    size: tuple[int, int], folder: Path, recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = await open_write(host, app, pilot, until)
        await pilot.press("i")
        await until(lambda: isinstance(app.screen, FilePickerScreen) and len(app.screen.names.entries) == 31)
        await pilot.press("down", "down", "enter")
        await until(lambda: app.screen is screen and len(app.state.session.examples.current) == 3)
        assert [each.prompt for each in screen.graded.examples] == ["there", "from file 1", "other 1"]

        (folder / "mine.csv").write_text("precious")
        for name in ("mine.csv", "new.jsonl"):
            await pilot.press("o")
            await until(lambda: isinstance(app.screen, FilePickerScreen) and app.focused is app.screen.path)
            assert app.screen.path.text.endswith("examples.jsonl")
            await pilot.press("ctrl+u", *typed(name), "enter")
            if name == "mine.csv":
                await until(lambda: "enter again overwrites it" in text_of(app))
                assert (folder / name).read_text() == "precious"
                await pilot.press("enter")
            await until(lambda: app.screen is screen)
        assert read_csv((folder / "mine.csv").read_text()) == screen.graded.examples
        assert read_jsonl((folder / "new.jsonl").read_text()) == screen.graded.examples

        await pilot.press("i", "slash", "ctrl+u", *typed("nowhere.txt"), "enter")
        await until(lambda: "There is no file" in text_of(app))
        await pilot.press("escape", "backspace")
        await until(lambda: app.screen.folder == folder.parent)
        assert "There is no file" not in text_of(app), "that was said of another folder"
        await pilot.press("escape")
        await until(lambda: app.screen is screen)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("table.csv", b"a,b,c\n1,2,3\n", "table.csv, line 1: there is no column 'prompt'."),
        ("torn.csv", b'prompt,polarity\nThe sky,+\n"open,-\n', "torn.csv, line 3: unexpected end of data."),
        ("empty.txt", b"", "It contains no example"),
        ("empty.csv", b"", "It contains no example"),
        ("words.txt", b"# nothing\n{who} = Mary, John\n", "It contains no example"),
        ("latin.txt", b"+ The caf\xe9 => is\n", "line 1: byte 0xe9 is not UTF-8 text. Save the file as UTF-8."),
        ("wide.txt", "+ The sky => blue\n".encode("utf-16"), "byte 0xff is not UTF-8 text."),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\x00", "byte 0x89 is not UTF-8 text."),
        ("pipe", None, "is a pipe or a device, not a file."),
    ],
)
async def test_a_file_that_holds_no_examples_adds_none_and_says_why(
    name: str, content: bytes | None, says: str, folder: Path, recorded: Any, open_screen: Any, text_of: Any
) -> None:
    if content is None:
        os.mkfifo(folder / name)
    else:
        (folder / name).write_bytes(content)
    host = recorded.host()
    async with open_screen(host) as (app, pilot, until):
        screen = await open_write(host, app, pilot, until)
        before = screen.graded.examples
        await pilot.press("i", "slash", "ctrl+u", *typed(name), "enter")
        await until(lambda: app.screen is screen and says in text_of(app))
        assert screen.graded.examples == before


async def test_a_pasted_table_with_a_flaw_stands_as_lines_and_says_so(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    async with open_screen(host) as (app, pilot, until):
        screen = await open_write(host, app, pilot, until)
        add_text(screen, "prompt,polarity\nThe sky,sideways\n")
        await until(lambda: "Read as lines: the table, line 2: polarity 'sideways'" in text_of(app))
        assert [each.prompt for each in screen.graded.examples][1:] == ["prompt,polarity", "The sky,sideways"]


async def test_strangers_names_are_shown_disarmed(folder: Path, recorded: Any, open_screen: Any, text_of: Any) -> None:
    for name in HOSTILE:
        if "/" not in name:
            (folder / name).write_text("+ a => b\n")
    (folder / os.fsdecode(b"bad\xff name")).write_text("")
    odd = folder / "[red]odd"
    odd.mkdir()
    host = recorded.host()
    async with open_screen(host) as (app, pilot, until):
        await open_write(host, app, pilot, until)
        await pilot.press("i")
        await until(lambda: isinstance(app.screen, FilePickerScreen) and len(app.screen.names.entries) > 31)
        picker = app.screen
        for place in range(len(picker.names.entries)):
            picker.names.choose(place)
            await pilot.pause()
            assert not set(text_of(app)) & set("\x1b\u202e\x00\x07")
        place = next(i for i, entry in enumerate(picker.names.entries) if entry.path == odd)
        picker.names.choose(place)
        await pilot.press("enter")
        await until(lambda: picker.folder == odd)
        assert "[red]odd" in text_of(app)


@sizes
async def test_a_task_is_a_starting_point(size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = await open_write(host, app, pilot, until)
        for action in task_picker.ACTIONS:
            for key in action.keys:
                await pilot.press("t")
                await until(lambda: isinstance(app.screen, TaskPickerScreen))
                sheet = app.screen
                sheet.list.at, sheet.list.pairs = 2, 2
                sheet.paint()
                was = (2, 2, TaskPickerScreen)
                await pilot.press(key)
                await until(lambda: (sheet.list.at, sheet.list.pairs, type(app.screen)) != was)  # noqa: B023
                while app.screen is not screen:
                    await pilot.press("escape")
                    await pilot.pause()
        await until(lambda: len(app.state.session.examples.current) > 30)
        made = host.of_kind("MakeTaskExamples")
        assert made[-1].pairs == 25
        assert len(app.state.session.examples.current) == 1 + 2 * 25
        assert "50 examples added" in text_of(app)
