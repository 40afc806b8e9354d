"""Test settings: read with line numbers, shown with meaning and source, changed at once; the file is otherwise kept."""

from pathlib import Path
from typing import Any

import pytest

from engine.machine.folders import find_folders
from sessions.errors import SettingsError
from sessions.files.toml_edit import line_of, set_value
from tui.settings.settings import change, load
from tui.settings.table import SETTINGS, find_setting

TEXT = """# mine
[screen]
map = "magma"  # like embers
redraws = 4

[host]
trash_days = 7
[other]
thing = 1
"""


def written(text: str) -> Path:
    path = find_folders().settings
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_setting_says_what_it_is() -> None:
    for each in SETTINGS:
        assert each.title
        assert each.meaning.endswith(".")
        assert each.checked(each.default) == each.default
        assert all(each.checked(choice) == choice and each.shown(choice) for choice in each.choices)
        assert each.read(str(each.default)) == each.default
        assert each.default in each.choices
        assert not each.words or len(each.words) == len(each.choices)


def test_values_and_where_they_stand() -> None:
    found = load(written(TEXT), {"HEADCODE_PLAIN": "1"})
    assert not found.problems
    assert (found["screen.map"], found.found["screen.map"].source) == ("magma", "config.toml, line 3")
    assert (found["host.trash_days"], found.found["host.trash_days"].source) == (7, "config.toml, line 7")
    assert found.found["screen.plain"].source == "HEADCODE_PLAIN in the environment"
    assert (found["screen.theme"], found.found["screen.theme"].own) == ("night", False)


@pytest.mark.parametrize(("text", "words"), [
    ('[screen]\ntheme = "nigth"', "line 2: theme = 'nigth' is not one of night, dusk, day"),
    ("[screen]\nredraws = 2.5", "line 2: redraws = 2.5 is not a whole number from 1 to 30"),
    ("[screen]\n\nmotion = 1", "line 3: motion = 1 is not true or false"),
    ("[screen]\nthemes = 1", "line 2: [screen] has no setting 'themes'"),
    ("[sceen]\ntheme = 1", "line 1: unknown table [sceen]"),
    ("screen = 3", "line 1: screen=3 is not a table"),
    ("[host]\nstore_threads = 0", "line 2: store_threads=0 is not a number from 1 to 64"),
    ("[screen", "is not TOML"),
])  # fmt: skip
def test_what_makes_no_sense_is_told_with_its_line(text: str, words: str) -> None:
    found = load(written(text), {})
    assert [words in problem.message for problem in found.problems] == [True]
    assert str(found.path) in found.problems[0].message
    assert found.problems[0].hint
    assert all(found[each.name] == each.default for each in SETTINGS)


def test_one_value_is_changed_and_the_rest_stays() -> None:
    path = written(TEXT)
    change(path, find_setting("screen.map"), "cividis")
    change(path, find_setting("screen.theme"), "day")
    change(path, find_setting("host.trash_days"), None)
    change(path, find_setting("screen.motion"), False)
    text = path.read_text()
    for line in ("# mine", 'map = "cividis"  # like embers', 'theme = "day"', "motion = false", "[other]", "thing = 1"):
        assert line in text.splitlines()
    assert "trash_days" not in text
    assert not load(path, {}).problems


def test_a_table_that_is_not_there_is_made() -> None:
    assert set_value("", "screen", "motion", "true") == "[screen]\nmotion = true\n"
    assert set_value("a = 1", "screen", "motion", "true") == "a = 1\n\n[screen]\nmotion = true\n"
    assert set_value("", "screen", "motion", None) == ""
    assert set_value("[screen]\nmotion = true", "screen", "motion", None) == "[screen]\n"
    assert set_value("[other]\na = 1\n", "screen", "motion", None) == "[other]\na = 1\n"
    assert line_of('[a]\n"b.c" = 1\n[d]\ne.f = 2\n', "d", "e.f") == 4


def test_values_over_several_lines_are_replaced_whole_and_comments_stay() -> None:
    text = '# mine\n[screen]  # looks\nmap = [\n  "a", # one\n]\ntheme = "a # b"  # "quoted"\n\n[keys]\nrun = "r"\n'
    new = set_value(set_value(text, "screen", "map", '"magma"'), "screen", "theme", '"day"')
    assert new == '# mine\n[screen]  # looks\nmap = "magma"\ntheme = "day"  # "quoted"\n\n[keys]\nrun = "r"\n'
    with pytest.raises(SettingsError, match="screen is not a table"):
        set_value("screen = 1\n", "screen", "map", '"magma"')


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_settings_change_the_screen_at_once(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    written(TEXT)
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, until):
        grid = app.screen.grid.heatmap
        before = [list(strip) for strip in (grid.render_line(2), grid.render_line(3))]
        await pilot.press("comma")
        await until(lambda: ("Theme" in text_of(app) and "config.toml, line 3" in text_of(app)) or size[0] == 80)
        await pilot.press("right")
        await until(lambda: app.theme == "dusk" and "Saved." in text_of(app))
        await pilot.press("down", "right", "right")
        await until(lambda: app.colour_map == "viridis")
        text = find_folders().settings.read_text()
        assert 'theme = "dusk"' in text
        assert 'map = "viridis"  # like embers' in text
        await pilot.press("u")
        await until(lambda: "map" not in find_folders().settings.read_text())
        await pilot.press("down", "down", "down", "enter", "backspace", "9", "9")
        await until(lambda: "99 is not a whole number from 1 to 30" in text_of(app))
        await pilot.press("backspace", "backspace", "5", "enter")
        await until(lambda: app.frame_s == 0.2)
        await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 1)
        assert [list(strip) for strip in (grid.render_line(2), grid.render_line(3))] != before


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_the_grid_starts_with_the_signs_that_were_asked_for(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    written("[screen]\nsigns = true\n")
    host = recorded.host()
    host.add(*recorded.events())
    legend = "● every seed"
    async with open_screen(host, size=size) as (app, pilot, until):
        await until(lambda: legend in text_of(app) and "*" in text_of(app))
        await pilot.press("g")
        await until(lambda: legend not in text_of(app))
        await pilot.press("comma", "right", "escape")
        await until(lambda: app.theme == "dusk" and len(app.screen_stack) == 1)
        assert not app.state.signs, "another setting leaves them as the key left them"
        signs = find_setting("screen.signs")
        app.change(signs, False)
        app.change(signs, True)
        await until(lambda: legend in text_of(app))
        path = find_folders().settings
        path.write_text("")
        await pilot.press("comma", "r", "escape")
        await until(lambda: len(app.screen_stack) == 1 and legend not in text_of(app))


async def test_a_broken_file_is_told_and_not_written_over(recorded: Any, open_screen: Any, text_of: Any) -> None:
    path = written("[screen")
    async with open_screen(recorded.host()) as (app, pilot, until):
        await pilot.press("comma", "right")
        await until(lambda: app.theme == "dusk" and "is not TOML" in text_of(app))
        assert path.read_text() == "[screen"
        path.write_text('[screen]\ntheme = "day"\n')
        await pilot.press("r")
        await until(lambda: app.theme == "day" and "no errors" in text_of(app))


async def test_the_files_are_named_with_what_is_wrong_in_them(recorded: Any, open_screen: Any, text_of: Any) -> None:
    written("[screen]\nredraws = 0\n")
    find_folders().keys.write_text('[keys]\nrun = "nonsense"\n')
    async with open_screen(recorded.host()) as (app, pilot, until):
        await pilot.press("comma", "r")
        await until(lambda: "2 errors" in text_of(app))
        for _ in range(len(SETTINGS) + 2):
            await pilot.press("down")
        await until(lambda: "line 2: run = 'nonsense' is not a key" in text_of(app))


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_a_click_chooses_and_a_second_one_changes(size: tuple[int, int], recorded: Any, open_screen: Any) -> None:
    async with open_screen(recorded.host(), size=size) as (app, pilot, until):
        await pilot.press("comma")
        await until(lambda: app.screen.query_one("#settings").size.height > 10)
        listed = app.screen.query_one("#settings")
        place = next(number for number, row in enumerate(listed.rows) if row.title == "Motion")
        await pilot.click(listed, offset=(5, place + 1))
        await until(lambda: listed.at == place)
        await pilot.click(listed, offset=(5, place + 1))
        await until(lambda: app.motion is False)
