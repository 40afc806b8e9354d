"""Keys of the person's own: read from keys.toml, in force on the screen, shown wherever keys are shown."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from tui.actions import ACTIONS
from tui.keymap import keys_text, read_keys, with_keys


def write(folder: Path, text: str) -> Path:
    path = folder / "keys.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_changes_nothing(tmp_path: Path) -> None:
    assert read_keys(tmp_path / "keys.toml") == {}
    assert with_keys(ACTIONS, {}) == ACTIONS


def test_the_printed_file_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, keys_text(ACTIONS))
    assert with_keys(ACTIONS, read_keys(path)) == ACTIONS


def test_signs_names_and_capitals_are_understood(tmp_path: Path) -> None:
    path = write(tmp_path, '[keys]\nrun = "f5"\ncut.more = ["+", "W"]\n"cut.fewer" = "-"\n')
    assert read_keys(path) == {"run": ("f5",), "cut.more": ("plus", "W", "shift+w"), "cut.fewer": ("minus",)}


@pytest.mark.parametrize(("text", "named"), [
    ('[keys]\nrunn = "R"', "runn"),
    ('[keys]\nrun = "ctlr+r"', "ctlr+r"),
    ("[keys]\nrun = []", "run = []"),
    ("[keys]\nrun = 3", "run = 3"),
    ('[keys]\nrun = "x"', "stop"),
    ('keys = "r"', "keys='r'"),
    ("[keys", "not TOML"),
])  # fmt: skip
def test_nonsense_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_keys(write(tmp_path, text))
    assert named in caught.value.message
    assert "keys.toml" in caught.value.message
    assert caught.value.hint


async def test_own_keys_do_it_and_are_shown(recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path) -> None:
    # Two actions that change places, and one that gets a key of its own.
    path = write(tmp_path, '[keys]\nmeasure.next = "t"\ncut.fewer = "m"\nkeys = "f9"\n')
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, keys=read_keys(path)) as (app, pilot, until):
        before, cut = app.bench.measure, app.bench.view().cut
        await pilot.press("t")
        await until(lambda: app.bench.measure is not before)
        assert app.bench.view().cut == cut
        await pilot.press("m")
        await until(lambda: app.bench.view().cut < cut)
        assert "f9 keys" in text_of(app)
        await pilot.press("question_mark")
        assert len(app.screen_stack) == 1
        await pilot.press("f9")
        await until(lambda: "t          Next measure" in text_of(app))
