"""The close look: what it shows of a head on a prompt, and its keys."""

from typing import Any

import pytest

from sessions.errors import Refusal
from sessions.wire import LookAtHead
from tui.screens.closeup import CloseUp


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
@pytest.mark.parametrize("depth", ["full", "16"])
async def test_the_close_look_and_its_keys(
    size: tuple[int, int], depth: str, recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size, depth=depth) as (app, pilot, until):
        head = app.bench.cursor
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, CloseUp) and "What its codes write" in text_of(app))
        desk = app.screen.desk
        await until(lambda: desk.look is not None and " up" in text_of(app))
        assert f"Head {head} on prompt 1" in text_of(app)
        assert "how much the head writes" in text_of(app)
        await pilot.press("c")
        await until(lambda: "where the marked token looks" in text_of(app))
        token = desk.chosen_token(desk.look)
        await pilot.press("left", "left", "right")
        assert desk.chosen_token(desk.look) == token - 1
        await pilot.press("c")
        await until(lambda: "along this prompt's code" in text_of(app))
        await pilot.press("down", "down", "up")
        await until(lambda: desk.look is not None and "on prompt 2" in text_of(app))
        await pilot.press("s")
        await until(lambda: desk.look is not None and "seed 1" in text_of(app))
        await pilot.press("right_square_bracket")
        await until(lambda: desk.look is not None and app.bench.cursor != head)
        await pilot.press("left_square_bracket", "escape")
        await until(lambda: len(app.screen_stack) == 1)
        asked = host.of_kind("LookAtHead")
        assert {request.example for request in asked} >= {0, 1}


async def test_a_refusal_is_shown_in_words(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    ask = host.ask

    async def refuse(request: Any, want: Any) -> Any:
        if isinstance(request, LookAtHead):
            from engine.errors import Failure

            raise Refusal(Failure(family="engine", name="X", message="[b]The model\x1b[2J is gone.", hint="Fetch it."))
        return await ask(request, want)

    host.ask = refuse
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("enter")
        await until(lambda: "is gone. Fetch it." in text_of(app))
        assert "\x1b" not in text_of(app)
        assert "[b]The model" in text_of(app)


async def test_it_follows_a_cursor_that_is_moved_elsewhere(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, CloseUp) and app.screen.desk.look is not None)
        app.bench.put_cursor(0, 0 if app.bench.cursor != (0, 0) else 1)
        app.screen.paint()
        await until(lambda: app.screen.desk.look is not None and f"Head {app.bench.cursor} on prompt 1" in text_of(app))
