"""Pictures of notable states, each with a line of what it shows. HEADCODE_UPDATE_SNAPSHOTS=1 draws them again."""

from typing import Any


async def test_done_wide(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see three panes: graded examples, a grid with five framed heads marked ◆, the page of head 5.7."""
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, _pilot, _until):
        screenshot(app)


async def test_training_wide(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see a faded grid called provisional, a bar at 220/500 steps and a falling loss."""
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    async with open_screen(host) as (app, _pilot, _until):
        screenshot(app)


async def test_done_small(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see tabs, the whole grid in 24 lines with its cut and ranking, all keys from r to q."""
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=(80, 24)) as (app, _pilot, _until):
        screenshot(app)


async def test_example_open_small(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see the sixth example whole, broken, with what the model says instead."""
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=(80, 24)) as (app, pilot, until):
        await pilot.press("1", *["down"] * 6)
        await until(lambda: app.state.selected == 5)
        screenshot(app)


async def test_day_large_grid(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see, dark on light, a grid of 80 x 64 heads scrolled to its middle, the cursor at 40.32."""
    host = recorded.host()
    host.add(*recorded.events(n_layers=80, n_heads=64))
    async with open_screen(host, theme="day") as (app, pilot, until):
        app.state.put_cursor(40, 31)
        await pilot.press("right")
        await until(lambda: app.state.cursor == (40, 32))
        screenshot(app)


async def test_keys_sheet(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see every key with its title and what it does, over the dimmed screen."""
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("question_mark")
        await until(lambda: len(app.screen_stack) == 2)
        screenshot(app)
