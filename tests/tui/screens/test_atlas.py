"""The atlas, the scatter, and the table's columns of the atlas: what they show, and their keys."""

from typing import Any

import pytest

from engine.nodes import NodeId
from tui.screens.atlas import AtlasScreen
from tui.screens.head_inspector import HeadInspectorScreen
from tui.screens.head_table import HeadTableScreen, table_csv
from tui.screens.scatter import ScatterScreen
from tui.state.atlas import AtlasSearch, read_search

SIZES = pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
DEPTHS = pytest.mark.parametrize("depth", ["full", "none"])


@SIZES
@DEPTHS
async def test_it_is_read_in_parts_stopped_and_gone_on_with(
    size: tuple[int, int], depth: str, recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size, depth=depth) as (app, pilot, until):
        await pilot.press("F")
        await until(lambda: isinstance(app.screen, AtlasScreen) and "no atlas of this model yet" in text_of(app))
        assert "r reads 20,000 tokens" in text_of(app)
        await pilot.press("r")
        await until(lambda: "13 tokens of english" in text_of(app))
        assert [request.after for request in host.of_kind("ReadOn")] == [0, 400]
        assert len(host.of_kind("GetOnPrompts")) == 1
        atlas = app.screen.atlas
        app.screen.go_to(NodeId(1, 1))
        await until(lambda: "1.1 on ordinary text" in text_of(app))
        assert "copying" in text_of(app)
        assert "It does something else on this task" in text_of(app)
        assert [each.metric for each in atlas.unlike(NodeId(1, 1))][:1] == ["share"]
        assert not atlas.unlike(NodeId(5, 7))


async def test_a_reading_that_is_stopped_goes_on(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    ask = host.ask

    async def first_part(request: Any, want: Any) -> Any:
        found = await ask(request, want)
        if type(request).__name__ == "ReadOn":
            app.screen.action_stop()
        return found

    host.ask = first_part
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("F", "r")
        await until(lambda: "400 of 1,000 tokens" in text_of(app) and "r goes on" in text_of(app))
        host.ask = ask
        await pilot.press("r")
        await until(lambda: "13 tokens of english" in text_of(app))
        assert [request.after for request in host.of_kind("ReadOn")] == [0, 400]


@SIZES
async def test_who_writes_and_attends_is_found(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    host.atlas.stored = True
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("F")
        await until(lambda: isinstance(app.screen, AtlasScreen) and app.screen.atlas.prompts)
        await pilot.press("slash", *"writes she", "enter")
        await until(lambda: "1 nodes · writes she" in text_of(app))
        assert app.state.cursor == NodeId(1, 1)
        await pilot.press("slash", "ctrl+u", *"kind ind", "enter")
        await until(lambda: "kind induction" in text_of(app) and app.state.cursor == NodeId(1, 0))
        await pilot.press("slash", "ctrl+u", *"attends cat", "enter")
        await until(lambda: "attends cat" in text_of(app))
        assert app.screen.atlas.listed()[0] == NodeId(0, 1)
        # From the close look: who attends from the prompts' end to the token at hand.
        app.screen.atlas.place = 2
        await pilot.press("p")
        await until(lambda: "at -3" in text_of(app))
        assert app.screen.atlas.listed()[0] == NodeId(1, 1)
        await pilot.press("slash", "ctrl+u", "enter", "right", "right")
        await until(lambda: "▾induct" in text_of(app))
        assert app.screen.atlas.listed()[0] == NodeId(1, 0)
        await pilot.press("t")
        await until(lambda: app.screen.atlas.listed()[0] == NodeId(0, 0))


def test_searches_are_read_as_they_are_written() -> None:
    assert read_search("writes are, was") == AtlasSearch("writes", ("are", "was"))
    assert read_search("attends ' are', \"it's\"") == AtlasSearch("attends", ("' are", "\"it's"))
    assert str(read_search("attends ' are', was")) == "attends ' are', was"
    assert read_search("at -4") == read_search("at 4") == AtlasSearch("at", ("-4",))
    assert read_search("kind prev") == AtlasSearch("kind", ("previous token",))
    for wrong in ("", "writes", "writes ,", "at", "at 0", "at x", "kind nothing", "who"):
        assert read_search(wrong) is None


@SIZES
async def test_the_scatter_walks_from_point_to_point_and_carries_marks(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    host.atlas.stored = True
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("Y")
        await until(lambda: isinstance(app.screen, ScatterScreen) and "by copying (text)" in text_of(app))
        scatter = app.screen.scatter
        assert len(scatter.points) == 48
        begun = next(each for each in scatter.points if each.node == app.state.cursor)
        while begun.x > 0:  # to the left edge
            await pilot.press("left")
            left = next(each for each in scatter.points if each.node == app.state.cursor)
            if left == begun:
                break
            begun = left
        await pilot.press("right")
        here = next(each for each in scatter.points if each.node == app.state.cursor)
        assert here.x > begun.x
        await pilot.press("left")
        assert next(each for each in scatter.points if each.node == app.state.cursor).x < here.x
        await pilot.press("space")
        await until(lambda: "1 marked" in text_of(app))
        await pilot.press("s")
        await until(lambda: "copying (text) by total variation" in text_of(app))
        await pilot.press("x")
        await until(lambda: "by unique codes" in text_of(app))
        await pilot.press("full_stop", *"first (prompts)", "enter")
        await until(lambda: "by first (prompts)" in text_of(app))
        await pilot.press("escape")
        await until(lambda: not isinstance(app.screen, ScatterScreen))
        assert len(app.state.marked) == 1


async def test_the_table_has_the_atlas_beside_the_measures(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    host.atlas.stored = True
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("L")
        await until(lambda: isinstance(app.screen, HeadTableScreen) and app.screen.table.atlas.prompts)
        table = app.screen.table
        while table.sort.id != "text.copying":
            await pilot.press("right")
        await until(lambda: "copying (text): direct logit" in text_of(app))
        assert table.rows[0].id == NodeId(1, 1)
        text = table_csv(table.rows, app.state, table.atlas)
        head, first = text.splitlines()[:2]
        assert dict(zip(head.split(","), first.split(","), strict=True))["text.copying"] == "2.0"
        assert "prompts.first" in head


@SIZES
async def test_the_close_look_says_the_kind_and_opens_the_atlas_at_the_token(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    host.atlas.stored = True
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("slash", *"1.0", "enter", "enter")
        await until(lambda: isinstance(app.screen, HeadInspectorScreen) and app.screen.atlas.atlas is not None)
        await until(lambda: "on ordinary text: induction" in text_of(app))
        await until(lambda: app.screen.inspector.look is not None)
        await pilot.press("left", "F")
        await until(lambda: isinstance(app.screen, AtlasScreen))
        assert app.screen.atlas.place == 1
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, HeadInspectorScreen))
