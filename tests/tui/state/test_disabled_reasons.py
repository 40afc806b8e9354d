"""Test that tooltips say what a key does, and why it is disabled."""

from typing import Any

import pytest
from textual.widgets import Tooltip

from tui.actions import ACTIONS
from tui.screens.workbench import WorkbenchScreen
from tui.state.disabled_reasons import disabled_reason


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_the_line_of_keys_tells_and_does(size: tuple[int, int], recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size, tooltips=True) as (app, pilot, until):
        spots = app.screen.keyline.spots
        assert len(spots) > 5
        for end, action in spots:
            await pilot.hover(app.screen.keyline, offset=(end - 1, 0))
            output = app.screen.keyline.tooltip.plain
            assert action.title in output
            assert action.tooltip in output
        await until(lambda: app.screen.get_child_by_type(Tooltip).display)
        measure = next(end for end, action in spots if action.id == "measure.next")
        before = app.state.measure
        await pilot.click(app.screen.keyline, offset=(measure - 1, 0))
        await until(lambda: app.state.measure is not before)


async def test_a_sheet_answers_the_mouse_too(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("R")
        await until(lambda: len(app.screen_stack) == 2)
        keys = app.screen.query_one("SubScreenKeys")
        await until(lambda: keys.spots)
        back = next(end for end, action in keys.spots if action.id == "close")
        await pilot.click(keys, offset=(back - 1, 0))
        await until(lambda: len(app.screen_stack) == 1)


async def test_what_cannot_be_done_says_what_it_waits_for(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, notifications=True) as (app, pilot, until):
        await pilot.press("e", "e", "e")
        await until(lambda: "Edges: run 1 has no edges" in text_of(app))
        assert len(app._notifications) == 1
        await pilot.press("escape", "ctrl+p", *"edges")
        await until(lambda: "Edges  – disabled" in text_of(app))


async def test_every_action_that_can_be_impossible_has_words(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    async with open_screen(host) as (app, _pilot, _until):
        screen = app.screen
        assert isinstance(screen, WorkbenchScreen)
        closed = [action for action in ACTIONS if screen.disabled_reason(action)]
        assert len(closed) > 5
        assert all(disabled_reason(app.state, action.id) for action in closed)
