"""Keys of the person's own: read from keys.toml, in force on the screen, shown wherever keys are shown."""

import re
from pathlib import Path
from typing import Any

import pytest

from tui.actions import ACTIONS
from tui.actions.keymap import keys_text, load_keys, with_keys
from tui.actions.registry import all_tables


def write(folder: Path, text: str) -> Path:
    path = folder / "keys.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_changes_nothing(tmp_path: Path) -> None:
    assert load_keys(tmp_path / "keys.toml").keys == {}
    assert with_keys(ACTIONS, {}) == ACTIONS


def test_the_printed_file_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, keys_text(all_tables()))
    keys = load_keys(path).keys
    for actions in all_tables().values():
        assert with_keys(actions, keys) == tuple(actions)


def test_signs_names_and_capitals_are_understood(tmp_path: Path) -> None:
    path = write(tmp_path, '[keys]\nrun = "f5"\ncut.more = ["+", "Z"]\n"cut.fewer" = "-"\n')
    assert load_keys(path).keys == {"run": ("f5",), "cut.more": ("plus", "Z", "shift+z"), "cut.fewer": ("minus",)}


@pytest.mark.parametrize(("text", "named"), [
    ('[keys]\nrunn = "R"', "runn"),
    ('[keys]\nrun = "ctlr+r"', "ctlr+r"),
    ("[keys]\nrun = []", "run = []"),
    ("[keys]\nrun = 3", "run = 3"),
    ('[keys]\nrun = "x"', "stop"),
    ('[keys]\nwrite = "f7"\nrun = "f7"', "line 3"),
    ('[write]\nad = "A"', "[write] has no action 'ad'"),
    ('[close-look]\nseed = "c"', "line 2: c is assigned to both colour and seed"),
    ('[wirte]\nadd = "A"', "line 1: there is no screen [wirte]"),
    ('keys = "r"', "keys='r'"),
    ("[keys", "not TOML"),
])  # fmt: skip
def test_nonsense_is_named(tmp_path: Path, text: str, named: str) -> None:
    problem = load_keys(write(tmp_path, text)).problems[0]
    assert named in problem.message
    assert "keys.toml" in problem.message
    assert problem.hint


def test_a_bad_line_leaves_the_others_in_force(tmp_path: Path) -> None:
    text = '[keys]\nrun = "f5"\nstop = "ctlr+x"\nmeasure.next = "t"\ncut.fewer = "m"\nedges = "w"\n[write]\nadd = "A"\n'
    found = load_keys(write(tmp_path, text))
    assert found.keys == {
        "run": ("f5",),
        "measure.next": ("t",),
        "cut.fewer": ("m",),
        "write:add": ("A", "shift+a"),
    }
    assert [problem.message.partition(", ")[2] for problem in found.problems] == [
        "line 3: stop = 'ctlr+x' is not a key.",
        "line 6: w is assigned to both write and edges.",
    ]


def test_every_screen_has_its_table_and_no_key_twice() -> None:
    from tui.screens.sub_screen import SubScreen

    tables = all_tables()
    for name, actions in tables.items():
        keys = [key for action in actions for key in action.keys]
        assert len(keys) == len(set(keys)), name
        assert all(action.title and action.tooltip for action in actions), name
    kinds = [SubScreen]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if not kind.__subclasses__():  # bases such as NodeScreen are never opened themselves
            assert kind.actions in list(tables.values()), kind


async def test_own_keys_work_on_sheets_and_in_a_replay(
    recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path
) -> None:
    lines = ['[runs]\nclose = "f6"', '[replay]\nclose = "f7"\nplay = "f8"', '[help]\ndismiss_sheet = "f9"']
    path = write(tmp_path, "\n".join(lines) + "\n")
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, keys=load_keys(path).keys) as (app, pilot, until):
        await pilot.press("R")
        await until(lambda: "f6 back" in text_of(app))
        await pilot.press("escape")
        assert len(app.screen_stack) == 2
        await pilot.press("question_mark", "escape")
        await until(lambda: re.search(r"\bf6 +Back", text_of(app)))
        assert len(app.screen_stack) == 3
        await pilot.press("f9", "f6", "p")
        await until(lambda: "f7 live" in text_of(app) and app.screen.state.last_seq == app.state.last_seq)
        await pilot.press("f8")
        await until(lambda: app.screen.player.playing)
        await pilot.press("f8")
        await until(lambda: not app.screen.player.playing)
        await pilot.press("escape", "f7")
        await until(lambda: len(app.screen_stack) == 1)


async def test_own_keys_work_in_the_line_that_is_written(recorded: Any, open_screen: Any, tmp_path: Path) -> None:
    path = write(tmp_path, '[write]\nadd = "f4"\n[write-in-a-line]\nleave = "f5"\nrest = "f6"\n')
    async with open_screen(recorded.host(), keys=load_keys(path).keys) as (app, pilot, until):
        await pilot.press("w")
        await until(lambda: len(app.screen_stack) == 2)
        await pilot.press("a", "f4", "h", "o", "f6", "h", "i", "escape")
        await until(lambda: app.screen.edit.text == "hi" and app.screen.edit.has_focus)
        await pilot.press("f5")
        await until(lambda: not app.screen.edit.has_focus)


async def test_own_keys_do_it_and_are_shown(recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path) -> None:
    # Two actions that change places, and one that gets a key of its own.
    path = write(tmp_path, '[keys]\nmeasure.next = "t"\ncut.fewer = "m"\nkeys = "f9"\n')
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, keys=load_keys(path).keys) as (app, pilot, until):
        before, cut = app.state.measure, app.state.view().cut
        await pilot.press("t")
        await until(lambda: app.state.measure is not before)
        assert app.state.view().cut == cut
        await pilot.press("m")
        await until(lambda: app.state.view().cut < cut)
        assert "f9 keys" in text_of(app)
        await pilot.press("question_mark")
        assert len(app.screen_stack) == 1
        await pilot.press("f9")
        await until(lambda: re.search(r"\bt +Next measure", text_of(app)))
