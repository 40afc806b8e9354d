"""The table of heads, its filter, and what is typed at the foot of the screen."""

import csv
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError, NoSuchNode
from engine.measures import MEASURES, value_of
from engine.nodes import NodeId
from tui.screens.head_table import HeadTableScreen
from tui.screens.text_prompt import TextPromptSheet
from tui.state.grid_places import GridPlaces
from tui.state.head_filter import read_filter
from tui.state.number_text import format_fixed
from tui.state.parsing import guess_measure, read_node


def meant(recorded: Any, text: str, **sets: Any) -> set[str]:
    wanted = read_filter(text, **{"circuit": (), "known": ()} | sets)
    return {str(node.id) for node in recorded.nodes(6, 8) if wanted(node)}


def test_conditions_are_read(recorded: Any) -> None:
    nodes = recorded.nodes(6, 8)
    assert meant(recorded, "") == {str(node.id) for node in nodes}
    assert meant(recorded, "layer >= 4, head=3") == {"4.3", "5.3"}
    assert meant(recorded, "2.*, head < 2") == {"2.0", "2.1"}
    assert meant(recorded, "3.7") == {"3.7"}
    assert meant(recorded, "known", known={NodeId(1, 1)}) == {"1.1"}
    assert meant(recorded, "marked, layer < 3", marked={NodeId(2, 2), NodeId(4, 4)}) == {"2.2"}
    assert meant(recorded, "not marked, 0.*", marked={NodeId(0, head) for head in range(7)}) == {"0.7"}
    assert meant(recorded, "not circuit, 0.*", circuit={NodeId(0, head) for head in range(7)}) == {"0.7"}
    above = {str(node.id) for node in nodes if node.unique_positive > 2}
    assert meant(recorded, "unique codes > 2") == meant(recorded, "unique > 2") == above
    below = {str(node.id) for node in nodes if node.q_value is not None and node.q_value < 0.5}
    assert meant(recorded, "q < .5") == below


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.id)
def test_a_measure_is_meant_as_the_column_its_title_and_its_id_have_it(measure: Any, recorded: Any) -> None:
    nodes = recorded.nodes(6, 8)
    above = {str(node.id) for node in nodes if (value := value_of(node, measure)) is not None and value > 0.3}
    assert len(measure.short or measure.title) <= 7
    written = [measure.short or measure.id, measure.id]
    if "," not in measure.title and "(" not in measure.title:
        written.append(measure.title)
    for name in written:
        assert meant(recorded, f"{name} > .3") == meant(recorded, f"{name.upper()}>3e-1 AND layer >= 0") == above, name


@pytest.mark.parametrize("text", ["nonsense", "layer > ", "wobble > 3", "9.6.1", "q << 1", "1.*.*"])
def test_nonsense_is_named(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_filter(f"layer > 1, {text}", circuit=(), known=())
    assert caught.value.hint


@pytest.mark.parametrize("text", ["3.7", "3 7", "L3H7", "3,7", " 3.7 "])
def test_heads_are_read(text: str) -> None:
    assert read_node(text, GridPlaces(6, 8)) == (3, 7)


@pytest.mark.parametrize("text", ["6.0", "0.8", "3", "3.4.5", "", "x", "9" * 400 + ".1", "³.1"])
def test_heads_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(NoSuchNode if text in ("6.0", "0.8") or len(text) > 24 else ConfigError):
        read_node(text, GridPlaces(6, 8))


def test_measures_are_guessed() -> None:
    assert guess_measure("q").id == "q_value"
    assert guess_measure("FLIPS").id == "paired_flips"
    assert all(guess_measure(measure.title) is measure for measure in MEASURES)
    with pytest.raises(ConfigError):
        guess_measure("wobble")


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert [format_fixed(value) for value in (-0.001, -0.004, -0.006, 0.0, -1.0)] == [
        ".00",
        ".00",
        "-.01",
        ".00",
        "-1.00",
    ]
    assert format_fixed(-0.3, 0) == "0"


def first_csv(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(min(folder.glob("*.csv")).read_text().splitlines()))


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_the_table_and_its_keys(
    size: tuple[int, int],
    recorded: Any,
    open_screen: Any,
    text_of: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size, notifications=True) as (app, pilot, until):
        await pilot.press("L")
        await until(lambda: isinstance(app.screen, HeadTableScreen) and "48 heads" in text_of(app))
        table = app.screen.table
        values = [node.total_variation for node in table.rows]
        assert values == sorted(values, reverse=True)
        await pilot.press("r")
        assert [node.total_variation for node in table.rows] == sorted(values)
        await pilot.press("r", "end", "up", "pageup", "pagedown", "home", "down")
        assert table.chosen == 1
        await pilot.press("right", "right", "left", "left", "left")
        assert table.sort.measure is MEASURES[-1]
        await pilot.press("right", "slash")
        await until(lambda: isinstance(app.screen, TextPromptSheet))
        await pilot.press(*"layer > x")
        await until(lambda: "is not a condition" in text_of(app))
        await pilot.press("backspace", "4", "enter")
        await until(lambda: "8 of 48 heads" in text_of(app))
        await pilot.press("w", "w")
        await until(lambda: len(list(tmp_path.glob("*.csv"))) == 2)
        listed = first_csv(tmp_path)
        assert [(int(row["layer"]), int(row["head"])) for row in listed] == [tuple(node.id) for node in table.rows]
        best = table.rows[0]
        assert float(listed[0]["unique_positive"]) == best.unique_positive
        await pilot.press("home", "enter")
        await until(lambda: len(app.screen_stack) == 1)
        assert app.state.cursor == best.id


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_marked_heads_are_told_filtered_and_written(
    size: tuple[int, int],
    recorded: Any,
    open_screen: Any,
    text_of: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """You should see ‹› beside marked heads, «» where they are in the circuit too, and how many in the title."""
    monkeypatch.chdir(tmp_path)
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, until):
        state = app.state
        best, outside = state.view().order[0], state.view().order[-1]
        state.marks.toggle([best])
        await pilot.press("L")
        await until(lambda: "48 heads · 1 marked" in text_of(app))
        row = next(line for line in text_of(app).splitlines() if f" {best} " in line)
        assert "«»" in row
        await pilot.press("end", "space")
        assert state.marked == {best, outside}
        await until(lambda: f"{outside}  ‹›" in text_of(app))
        await pilot.press("slash", *"marked", "enter")
        await until(lambda: "2 of 48 heads: marked · 2 marked" in text_of(app))
        await pilot.press("w")
        await until(lambda: list(tmp_path.glob("*.csv")))
        written = [(row["layer"], row["head"], row["marked"], row["circuit"]) for row in first_csv(tmp_path)]
        assert written == [
            (str(best.layer), str(best.head), "1", "1"),
            (str(outside.layer), str(outside.head), "1", "0"),
        ]
        await pilot.press("a")
        assert not state.marked, "all that were listed had a mark"
        await until(lambda: "no head meets these conditions" in text_of(app))
        await pilot.press("slash", *["backspace"] * 6, *"5.*", "enter", "a", "escape")
        await until(lambda: "8 marked" in text_of(app))
        assert state.marked == {NodeId(5, head) for head in range(8)}


async def test_a_folder_that_cannot_be_written_is_said(
    recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, notifications=True) as (app, pilot, until):
        app.push_screen(HeadTableScreen(app.state, tmp_path / "gone"))
        await until(lambda: isinstance(app.screen, HeadTableScreen))
        await pilot.press("w")
        await until(lambda: "Nothing was written" in text_of(app))


async def test_jump_and_choose(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("slash", *"9.9", "enter")
        await until(lambda: "does not exist" in text_of(app))
        await pilot.press("ctrl+u", *"abc", "enter")
        await until(lambda: "'abc' is not a head: heads are written layer.head" in text_of(app))
        await pilot.press("ctrl+u", *"5.2", "enter")
        await until(lambda: len(app.screen_stack) == 1)
        assert app.state.cursor == (5, 2)
        await pilot.press("full_stop", *"overl", "enter")
        await until(lambda: app.state.measure.id == "overlap")
        await pilot.press("full_stop", "escape")
        await until(lambda: len(app.screen_stack) == 1)
