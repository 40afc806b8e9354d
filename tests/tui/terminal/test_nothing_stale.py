"""Test that the terminal shows the current content although frames send only differences and reuse cached parts."""

from collections.abc import Callable
from typing import Any

import pytest
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.screen import Screen

from tui.screens.workbench import WorkbenchScreen
from tui.terminal.diff_renderer import Cell, DiffApp, _cells
from tui.terminal.textual_private import frame_pieces
from tui.widgets.heat_row import CellCache
from tui.widgets.line_widget import LineWidget, ScrollingLineWidget

Glass = dict[tuple[int, int], Cell]


@pytest.fixture
def glass(monkeypatch: pytest.MonkeyPatch) -> Glass:
    """What a terminal shows that got every frame, cell by cell."""
    shows: Glass = {}
    really = DiffApp._display

    def display(app: DiffApp, screen: Screen[object], frame: Any) -> None:
        if isinstance(frame, LayoutUpdate | ChopsUpdate) and app._running and not app._batch_count:
            for x, y, strip in frame_pieces(frame):
                for place, cell in enumerate(_cells(strip, ColorSystem.TRUECOLOR), x):
                    shows[place, y] = cell
        really(app, screen, frame)

    monkeypatch.setattr(DiffApp, "_display", display)
    return shows


def from_nothing(screen: WorkbenchScreen) -> Glass:
    """What there is to see, with nothing taken from earlier frames; the screen is left as it was."""
    heatmap = screen.grid.heatmap
    painted = [
        node for node in screen.query("*") if isinstance(node, LineWidget | ScrollingLineWidget) and node.display
    ]
    kept = [node._strips for node in painted]
    kept_faces, kept_view = heatmap._faces, heatmap._view
    heatmap._faces, heatmap._view, heatmap._looks = {}, screen.state.view(), CellCache()
    for node in painted:
        node._strips = node.lines(node.room if isinstance(node, ScrollingLineWidget) else node.size)
    for node in screen.query("*"):
        node._styles_cache.clear()
    shows: Glass = {}
    for y, strip in enumerate(screen._compositor.render_strips()):
        shows.update({(x, y): cell for x, cell in enumerate(_cells(strip, ColorSystem.TRUECOLOR))})
    for node, strips in zip(painted, kept, strict=True):
        node._strips = strips
    for node in screen.query("*"):
        node._styles_cache.clear()
    heatmap._faces, heatmap._view = kept_faces, kept_view
    return shows


KEYS = ["m", "M", "l", "j", "]", "[", "T", "t", "g", "m", "g", "space", "l", "A", "m", "u", "k", "m", "s"]


@pytest.mark.parametrize(("layers", "heads", "size"), [(80, 64, (160, 48)), (12, 12, (160, 48))])
async def test_what_a_key_leaves_on_the_terminal_is_what_there_is_to_see(
    layers: int, heads: int, size: tuple[int, int], glass: Glass, recorded: Any, open_screen: Callable[..., Any]
) -> None:
    """Key after key: other measures, cuts, marks, signs and places of the cursor, the grid scrolled or whole."""
    host = recorded.host()
    host.add(*recorded.events(n_layers=layers, n_heads=heads))
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = app.screen
        assert isinstance(screen, WorkbenchScreen)
        await until(lambda: app.state.view() is not None and glass == from_nothing(screen))
        for key in KEYS:
            await pilot.press(key)
            await until(lambda: glass == from_nothing(screen))


@pytest.mark.parametrize("size", [(160, 48), (60, 24)], ids=["whole", "scrolled"])
async def test_mlps_and_the_embedding_are_drawn_again_like_heads(
    size: tuple[int, int], glass: Glass, nodes_host: Any, open_screen: Callable[..., Any]
) -> None:
    """The cursor at an MLP, at the embedding and back, marks there, cuts that let an MLP in, other measures."""
    async with open_screen(nodes_host.only(nodes_host.with_mlps), size=size) as (app, pilot, until):
        screen = app.screen
        assert isinstance(screen, WorkbenchScreen)
        app.state.put_cursor(0, 7)
        screen.drawing.now()
        await until(lambda: app.state.view() is not None and glass == from_nothing(screen))
        for key in ("right", "space", "up", "space", "down", "t", "t", "T", "T", "T", "m", "down", "left", "g", "a"):
            await pilot.press(key)
            await until(lambda: glass == from_nothing(screen))


async def test_a_title_that_changes_draws_its_line_alone(recorded: Any, open_screen: Callable[..., Any]) -> None:
    """The pane's other lines, and the panes within it, are not drawn for it."""
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, _pilot, until):
        screen = app.screen
        assert isinstance(screen, WorkbenchScreen)
        pane = screen.head
        pane._exchange_repaint_regions()
        pane.put_title("[red]another")
        (region,) = pane._repaint_regions
        assert (region.y, region.height, region.width) == (0, 1, pane.outer_size.width)
        y, x = pane.region.y, pane.region.x
        await until(lambda: "[red]another" in screen._compositor.render_strips()[y].text[x:])
