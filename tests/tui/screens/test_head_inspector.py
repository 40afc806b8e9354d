"""The close look: what it shows of a head on a prompt, and its keys."""

from typing import Any

import pytest

from sessions.errors import Refusal
from sessions.protocol import GetHeadInspection
from tui.screens.head_inspector import HeadInspectorScreen
from tui.state.head_details import CodeCarriers


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
@pytest.mark.parametrize("depth", ["full", "16"])
async def test_the_close_look_and_its_keys(
    size: tuple[int, int], depth: str, recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size, depth=depth) as (app, pilot, until):
        head = app.state.cursor
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, HeadInspectorScreen) and "What its codes write" in text_of(app))
        inspector = app.screen.inspector
        await until(lambda: inspector.look is not None and " up" in text_of(app))
        assert f"Head {head} on prompt 1" in text_of(app)
        assert "how much the head writes" in text_of(app)
        await pilot.press("c")
        await until(lambda: "where the marked token looks" in text_of(app))
        token = inspector.chosen_token(inspector.look)
        await pilot.press("left", "left", "right")
        assert inspector.chosen_token(inspector.look) == token - 1
        await pilot.press("c")
        await until(lambda: "along this prompt's code" in text_of(app))
        await pilot.press("g", "home")
        await until(lambda: not inspector.by_code)
        inspector.example = 0
        await pilot.press("down", "down", "up")
        await until(lambda: inspector.look is not None and "on prompt 2" in text_of(app))
        await pilot.press("g")
        assert inspector.by_code
        await pilot.press("s")
        await until(lambda: inspector.look is not None and "seed 1" in text_of(app))
        await pilot.press("right_square_bracket")
        await until(lambda: inspector.look is not None and app.state.cursor != head)
        await pilot.press("left_square_bracket", "escape")
        await until(lambda: len(app.screen_stack) == 1)
        asked = host.of_kind("GetHeadInspection")
        assert {request.example for request in asked} >= {0, 1}


async def test_prompts_stand_under_the_codes_they_carry_and_all_in_sight_are_coloured(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, HeadInspectorScreen) and app.state.head_codes() is not None)
        screen, inspector = app.screen, app.screen.inspector
        codes = app.state.head_codes().codes
        positive = [example.positive for example in app.state.examples]
        groups = [row for row in inspector.rows if isinstance(row, CodeCarriers)]
        assert sorted(example for group in groups for example in group.examples) == list(range(len(codes)))
        for group in groups:
            assert {codes[example] for example in group.examples} == {group.code}
            assert group.positive == sum(positive[example] for example in group.examples)
        only = next(group for group in groups if group.kind == 0)
        assert f"{only.code}".ljust(7) + f"+ {only.positive:<4}- 0   only +" in text_of(app)
        await until(lambda: all(inspector.look_at(example) for example in screen.prompts.in_sight))
        assert {request.example for request in host.of_kind("GetHeadInspection")} >= set(screen.prompts.in_sight)
        for step in (1, -1):
            await pilot.press(*["down" if step > 0 else "up"] * len(codes))
            order = [row for row in inspector.rows if isinstance(row, int)]
            assert inspector.example == order[-1 if step > 0 else 0]
            await until(lambda: screen.prompts.lines(screen.prompts.size))
            assert "▸" in "\n".join(strip.text for strip in screen.prompts.lines(screen.prompts.size))


async def test_a_refusal_is_shown_in_words(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    ask = host.ask

    async def refuse(request: Any, want: Any) -> Any:
        if isinstance(request, GetHeadInspection):
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
        await until(lambda: isinstance(app.screen, HeadInspectorScreen) and app.screen.inspector.look is not None)
        app.state.put_cursor(0, 0 if app.state.cursor != (0, 0) else 1)
        app.screen.paint()
        await until(
            lambda: app.screen.inspector.look is not None and f"Head {app.state.cursor} on prompt 1" in text_of(app)
        )
