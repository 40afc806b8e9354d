"""The log on the screen: followed, filtered, folded, disarmed; files that turn over, are not there, or are huge."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import Failure
from engine.machine.folders import find_folders
from sessions.errors import Refusal
from sessions.files.unit_logs import UnitLogs
from tui.screens.log import LogScreen
from tui.screens.sweep import SweepScreen
from tui.screens.sweeps import SweepsScreen
from tui.state.log_tail import LogTail

LINE = "2026-11-21 10:53:41,386 10849 {level} headcode.{who}: {words}\n"
WORST = "\x1b]52;c;aGk=\x07\x1b[2J[/b][@click=app.quit]go[/] \u202eabc\u200b\x9b31m"


def line(words: str, level: str = "INFO", who: str = "runs") -> str:
    return LINE.format(level=level, who=who, words=words)


def logs(name: str) -> Path:
    folder = find_folders().logs
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


def test_a_tail_reads_on_over_halves_of_lines_and_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    tail = LogTail(path)
    assert tail.read() is False
    path.write_text(line("one") + "  a trace\nha")
    assert tail.read() is True
    assert [each.text for each in tail.lines] == ["one", "  a trace"]
    assert (tail.lines[0].clock, tail.lines[0].who, tail.lines[1].level) == ("10:53:41", "runs", "INFO")
    assert tail.read() is False
    with path.open("a") as file:
        file.write("lf\n")
    assert tail.read() is True
    assert tail.lines[-1].text == "half"
    path.rename(tmp_path / "a.log.1")
    path.write_text(line("after the turn", "ERROR"))
    assert tail.read() is True
    assert tail.lines[-1].text == "after the turn"
    assert tail.lines[-1].grave


def test_of_a_huge_file_the_end_is_kept_and_bytes_that_are_no_text_break_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(line("x" * 80).encode() * 20_000 + b"\xff\xfe\x00 tail\n" + b"y" * 9_000 + b"\n")
    tail = LogTail(path)
    assert tail.read()
    assert len(tail.lines) <= 5_000
    assert tail.lines[0].text == "x" * 80  # no half line at the beginning
    assert "tail" in tail.lines[-2].text
    assert "9000 characters" in tail.lines[-1].text


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_it_follows_and_what_is_foreign_is_disarmed(
    recorded: Any, open_screen: Any, text_of: Any, size: Any
) -> None:
    logs("host").write_text("".join(line(f"run {number} begins") for number in range(100)))
    logs("worker").write_text(f"Traceback (most recent call last):\n  {WORST}\nValueError: {WORST}\n")
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("G")
        await until(lambda: isinstance(app.screen, LogScreen) and "run 99 begins" in text_of(app))
        with logs("host").open("a") as file:
            file.write(line("out of everything", "ERROR", "worker"))
        await until(lambda: "out of everything" in text_of(app))
        await pilot.press("e")
        await until(lambda: "run 99 begins" not in text_of(app) and "out of everything" in text_of(app))
        await pilot.press("e", "home")
        await until(lambda: "run 0 begins" in text_of(app) and "paused:" in text_of(app))
        with logs("host").open("a") as file:
            file.write(line("later"))
        await until(lambda: app.screen.log_list.tail.lines[-1].text == "later")
        assert "run 0 begins" in text_of(app)
        await pilot.press("end")
        await until(lambda: "later" in text_of(app))
        await pilot.press("right")
        await until(lambda: "Traceback" in text_of(app))
        strips = app.screen._compositor.render_strips()
        shown = "".join(segment.text for strip in strips for segment in strip)
        assert not any(ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0 or sign in "\u202e\u200b" for sign in shown)
        assert "[/b]" in shown
        await pilot.press("left", "slash", *"run 42", "enter")
        await until(lambda: "run 42 begins" in text_of(app) and "run 41 begins" not in text_of(app))
        await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 1)


async def test_what_the_screen_said_and_what_was_refused_is_there(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    host.refuse = Refusal(Failure(family="store", name="StoreError", message="The disk is full.", hint="Make room."))
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("r")
        await until(lambda: app.state.failure is not None)
        app.notify("said [/b] aloud", title="A notice", markup=False)
        await pilot.press("G", "left", "left")
        await until(lambda: "said [/b] aloud" in text_of(app))
        assert "The disk is full. (Make room.)" in text_of(app)
        assert "session first light on host 1" in text_of(app)


async def test_no_log_is_no_trouble(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=(80, 24)) as (app, pilot, until):
        await pilot.press("G")
        await until(lambda: "Nothing logged yet" in text_of(app))
        await pilot.press("down", "up", "end", "home", "e", "escape")
        await until(lambda: len(app.screen_stack) == 1)


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_the_log_of_a_cell_is_one_key_from_it(recorded: Any, open_screen: Any, text_of: Any, size: Any) -> None:
    host = recorded.host()
    units = [unit for unit in host.sweep.units if unit.run_id]
    folder = find_folders().logs
    writer = UnitLogs(folder)
    writer.add(units[0].key, "mine: run one", f"first words {WORST}\n")
    writer.add(units[3].key, "mine: run two", "other words\n")
    writer.failed(units[3].key, "mine: run two", "No memory left.")
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("W")
        await until(lambda: isinstance(app.screen, SweepsScreen) and app.screen.list.rows)
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, SweepScreen) and app.screen.sweep.table.at_cursor is not None)
        assert app.screen.sweep.table.at_cursor.unit.key == units[0].key
        await pilot.press("G")
        await until(lambda: isinstance(app.screen, LogScreen) and "first words" in text_of(app))
        assert "other words" not in text_of(app)
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, SweepScreen))
        # From the workers' page: all units, failed ones first.
        await pilot.press("i", "G")
        await until(lambda: isinstance(app.screen, LogScreen) and "first words" in text_of(app))
        text = text_of(app)
        assert text.index("failed: No memory left.") < text.index("first words")
        # A unit without a log on this machine: what the store says.
        failed = next(unit for unit in host.sweep.units if unit.state == "failed")
        assert f"failed: {failed.failure.message}" in " ".join(text.split())
        writer.add(units[3].key, "mine: run three", "more words\n")
        await until(lambda: "more words" in text_of(app))
        await pilot.press("escape", "escape", "escape", "escape")
        await until(lambda: app.screen.id == "_default" or len(app.screen_stack) == 1)
        # From the workbench: the units that logged last are behind the screen's log.
        await pilot.press("G")
        await until(lambda: isinstance(app.screen, LogScreen))
        await pilot.press("left")
        await until(lambda: "other words" in text_of(app) and "first words" in text_of(app))
