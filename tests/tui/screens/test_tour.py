"""The tour: offered once, uses the real screen, can be left at any step and leaves nothing changed."""

from typing import Any

import pytest

from tui.screens.tour import STEPS, TourSheet
from tui.settings.remembered import load_screen_memory


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_it_is_offered_once_and_goes_through(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size, tour=True) as (app, pilot, until):
        await until(lambda: isinstance(app.screen, TourSheet))
        assert load_screen_memory().toured
        measure, cut = app.state.measure, app.state.view().cut
        for place, step in enumerate(STEPS):
            await until(lambda: f"{place + 1} of {len(STEPS)}" in text_of(app))  # noqa: B023
            assert step.title.split()[-1] in text_of(app)
            await pilot.press("enter")
        await until(lambda: len(app.screen_stack) == 1)
        await until(lambda: (app.state.measure, app.state.view().cut) == (measure, cut))
        await pilot.press("f1")
        await until(lambda: isinstance(app.screen, TourSheet))
        await pilot.press("enter", "enter", "backspace")
        assert app.screen.place == 1


@pytest.mark.parametrize("steps", range(len(STEPS)))
async def test_it_can_be_left_at_any_step(steps: int, recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        measure, cut = app.state.measure, app.state.view().cut
        await pilot.press("f1")
        await until(lambda: isinstance(app.screen, TourSheet))
        await pilot.press(*["enter"] * steps, "escape")
        await until(lambda: len(app.screen_stack) == 1)
        await until(lambda: (app.state.measure, app.state.view().cut) == (measure, cut))


async def test_a_key_of_the_workbench_leaves_it_and_does_its_work(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, tour=True) as (app, pilot, until):
        await until(lambda: isinstance(app.screen, TourSheet))
        cursor = app.state.cursor
        await pilot.press("right" if cursor.head < 7 else "left")
        await until(lambda: len(app.screen_stack) == 1 and app.state.cursor != cursor)


async def test_nobody_is_toured_twice(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, _until):
        await pilot.pause(0.05)
        assert len(app.screen_stack) == 1
    assert not load_screen_memory().toured


async def test_what_comes_under_a_sheet_is_drawn(recorded: Any, open_screen: Any, text_of: Any) -> None:
    """The sheet comes between the state's change and the next frame."""
    host, begun = recorded.host(), recorded.events(until="train")
    host.add(*begun)
    async with open_screen(host, tour=True) as (app, _pilot, until):
        await host.tell(*recorded.events()[len(begun) :])
        await until(lambda: isinstance(app.screen, TourSheet))
        app.screen.dismiss()
        await until(lambda: len(app.screen_stack) == 1)
        text = text_of(app)
        assert "still training" not in text
        assert "values are evidence for a head" in text
        assert "✓ done" in text
