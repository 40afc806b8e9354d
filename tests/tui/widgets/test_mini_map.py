"""A grid larger than its pane: a map of the whole, the part in sight marked on its frame, a click goes there."""

from typing import Any

import pytest

from engine.analysis.ranking import has_signal
from engine.nodes import EMBEDDING, mlp
from tui.screens.workbench import WorkbenchScreen
from tui.state.grid_places import GridPlaces
from tui.widgets import mini_map


def frame(lines: list[str]) -> tuple[list[int], list[int]]:
    """The columns and lines of the frame that are heavy."""
    heavy_columns = [place for place, sign in enumerate(lines[0]) if sign == "━"]
    return heavy_columns, [place for place, line in enumerate(lines) if line.startswith("┃")]


@pytest.mark.parametrize("depth", ["full", "16", "none"])
async def test_the_map_shows_what_is_in_sight_and_a_click_goes_there(
    depth: str, recorded: Any, open_screen: Any, text_of: Any
) -> None:
    """You should see the whole of 80 x 64 heads as 24 x 18 points, the frame heavy beside what is in sight."""
    host = recorded.host()
    host.add(*recorded.events(n_layers=80, n_heads=64))
    async with open_screen(host, depth=depth) as (app, pilot, until):
        screen = app.screen
        assert isinstance(screen, WorkbenchScreen)
        minimap, heatmap = screen.grid.minimap, screen.grid.heatmap

        def drawn() -> list[str]:
            rows = text_of(app).split("\n")[minimap.region.y : minimap.region.bottom]
            return [row[minimap.region.x : minimap.region.right] for row in rows]

        assert minimap.display
        app.state.put_cursor(0, 0)
        screen.drawing.now()
        await until(lambda: heatmap.scroll_offset == (0, 0))
        columns, rows = frame(drawn())
        assert columns[0] == 1
        assert rows[0] == 1
        assert len(columns) < 24
        assert len(rows) < 9
        await pilot.click(minimap, offset=(24, 9))
        await until(lambda: app.state.cursor.layer > 70 and app.state.cursor.head > 58)
        await until(lambda: frame(drawn())[0][-1] == 24 and frame(drawn())[1][-1] == 9)
        layers, heads = heatmap.in_sight()
        assert app.state.cursor.layer in layers
        assert app.state.cursor.head in heads
        await pilot.click(minimap, offset=(1, 1))
        await until(lambda: app.state.cursor.layer < 9 and frame(drawn())[1][0] == 1)


async def test_it_stands_below_the_grid_or_beside_it_and_not_at_all_where_the_grid_fits(
    recorded: Any, open_screen: Any
) -> None:
    for size, shape, shown in (((80, 24), (80, 64), "beside"), ((80, 24), (30, 9), "beside"),
                               ((80, 24), (4, 8), ""), ((160, 48), (6, 8), ""), ((200, 60), (80, 64), "below"),
                               ((160, 48), (12, 64), "below")):  # fmt: skip
        host = recorded.host()
        host.add(*recorded.events(n_layers=shape[0], n_heads=shape[1]))
        async with open_screen(host, size=size) as (app, pilot, _until):
            await pilot.press("2")
            await pilot.pause()
            grid = app.screen.grid
            assert grid.minimap.display is (shown == "below"), (size, shape)
            assert grid.sidemap.display is (shown == "beside"), (size, shape)
            if shown == "beside":
                assert grid.heatmap.region.height == grid.size.height - 6


@pytest.mark.parametrize("shape", [(80, 64), (30, 9)])
async def test_the_small_map_beside_the_grid_goes_where_it_is_clicked(
    shape: tuple[int, int], recorded: Any, open_screen: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events(n_layers=shape[0], n_heads=shape[1]))
    async with open_screen(host, size=(80, 24)) as (app, pilot, until):
        await pilot.press("2")
        sidemap = app.screen.grid.sidemap
        await until(lambda: sidemap.size.height > 6)
        columns, rows = min(shape[1], sidemap.size.width - 2), sidemap.size.height - 2
        await pilot.click(sidemap, offset=(columns, rows))
        await until(lambda: app.state.cursor.layer > shape[0] * 0.9 and app.state.cursor.head > shape[1] * 0.9 - 1)
        await pilot.click(sidemap, offset=(1, 1))
        await until(lambda: app.state.cursor.layer < shape[0] * 0.15)
        heavy = frame(["".join(piece.text for piece in strip) for strip in sidemap.lines(sidemap.size)])
        assert heavy[1][0] == 1


async def test_the_cut_follows_the_mouse(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        scale = app.screen.grid.scale
        room = len(scale._slider)
        await pilot.click(scale, offset=(6 + room // 2 - 1, 2))
        await until(lambda: app.state.view().cut == round(48 * (room // 2) / room))
        await pilot.click(scale, offset=(6 + room - 1, 2))
        spoken = sum(has_signal(node, app.state.measure) for node in app.state.view().nodes)
        assert 24 < spoken < 48
        await until(lambda: app.state.view().cut == spoken)


def test_mlps_have_a_column_of_their_own_in_the_map() -> None:
    """Behind a gap; the embedding is the first point. A click on a point leads to a node that it shows."""
    places = GridPlaces(30, 9, others=True)
    points = mini_map._Points(places, heads=9, rows=18)
    assert points.width == 11
    assert points.of(EMBEDDING) == (0, 0)
    for node in map(mlp, range(30)):
        row, column = points.of(node)
        assert column == 10
        assert points.middle(column, row + 0.5).kind == "mlp"
        assert abs(points.of(points.middle(column, row + 0.5))[0] - row) <= 1  # a point shows several layers
    assert set(points.columns_of(range(3, 9))) == set(range(3, 9))
    assert set(points.columns_of(range(8, 10))) == {8, 9, 10}
