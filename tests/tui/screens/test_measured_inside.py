"""Places by layer, later nodes, heads side by side and the switch: what they show, and their keys."""

from typing import Any

import pytest

from engine.errors import Failure
from engine.nodes import EMBEDDING, NodeId, mlp
from sessions.errors import Refusal
from sessions.protocol import GetAblation, GetGrid
from tui.screens.side_by_side import SideBySideScreen
from tui.screens.stream_grid import StreamGridScreen
from tui.screens.switch_off import SwitchOffScreen

SIZES = pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
DEPTHS = pytest.mark.parametrize("depth", ["full", "none"])


def show(app: Any, run_id: str) -> None:
    app.state.show_run(run_id)
    app.screen.drawing.now()


@SIZES
@DEPTHS
async def test_the_grid_fills_layer_by_layer_and_has_its_numbers_under_the_cursor(
    size: tuple[int, int], depth: str, nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host, size=size, depth=depth) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        await pilot.press("P")
        await until(lambda: isinstance(app.screen, StreamGridScreen) and app.screen.grid.done == 4)
        assert [request.layers for request in nodes_host.of_kind("GetGrid")] == [(0,), (1,), (2,), (3,)]
        await until(lambda: "mean of 11 pairs" in text_of(app))
        await pilot.press("down", "down")
        await until(lambda: "layer 2, -1" in text_of(app) and "stream -1.5" in text_of(app))
        await pilot.press("m", "left", "up")
        await until(lambda: "layer 1, -2" in text_of(app) and "attention -1.5" in text_of(app))
        assert app.screen.grid.kind == "attention"
        await pilot.press("M", "right_square_bracket")
        await until(lambda: app.screen.grid.kind == "stream" and "prompt 1" in text_of(app))
        await pilot.press("left_square_bracket", "escape", "P")
        await until(lambda: isinstance(app.screen, StreamGridScreen) and "mean of 11" in text_of(app))
        assert len(nodes_host.of_kind("GetGrid")) == 4  # what was measured is not asked again


async def test_a_layer_that_fails_ends_the_grid_and_keeps_what_is_there(
    nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    ask = nodes_host.ask

    async def refuse(request: Any, want: Any) -> Any:
        if isinstance(request, GetGrid) and request.layers == (2,):
            raise Refusal(Failure(family="engine", name="X", message="Memory ran out.", hint="Fewer examples."))
        return await ask(request, want)

    nodes_host.ask = refuse
    async with open_screen(nodes_host) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        await pilot.press("P")
        await until(lambda: "Memory ran out. Fewer examples." in text_of(app))
        assert app.screen.grid.done == 2
        assert len(nodes_host.of_kind("GetGrid")) == 2
        await pilot.press("down", "m", "left")
        await until(lambda: "attention -1.5" in text_of(app))


@SIZES
async def test_later_nodes_are_listed_with_signed_numbers(
    size: tuple[int, int], nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host, size=size) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        for node, layers in ((NodeId(1, 3), (1, 2, 3)), (mlp(2), (2, 3)), (EMBEDDING, (0, 1, 2, 3))):
            nodes_host.asked.clear()
            app.state.put_cursor(*node)
            await pilot.press("enter")
            await until(lambda: len(app.screen_stack) == 2 and app.screen.places.request in app.state.parts.answers)
            assert not nodes_host.of_kind("GetThrough")  # it costs some passes: only when it is looked at
            await pilot.press("t")
            await until(lambda node=node: f"Through whom {node} acts" in text_of(app))
            await until(lambda: "exact, each alone: logit difference of 3, 5 pairs" in text_of(app))
            assert tuple(request.layers[0] for request in nodes_host.of_kind("GetThrough")) == layers
            assert "m3   -.80 ±.02" in text_of(app)
            assert text_of(app).index("m3   -.80") < text_of(app).index("3.0   -.70")
            await pilot.press("t")
            await until(lambda: "Through whom" not in text_of(app))
            await pilot.press("escape")
            await until(lambda: len(app.screen_stack) == 1)


@SIZES
@DEPTHS
async def test_marked_heads_are_side_by_side_on_one_prompt(
    size: tuple[int, int], depth: str, nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host, size=size, depth=depth) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        app.state.marks.toggle([*(NodeId(2, head) for head in range(6)), mlp(2), EMBEDDING])
        await pilot.press("H")
        await until(lambda: isinstance(app.screen, SideBySideScreen) and "Attention of 6 marked heads" in text_of(app))
        await until(lambda: "2.0 · rank" in text_of(app) and "attends to" in text_of(app))
        await until(lambda: app.screen.view.room() >= 2)
        await until(lambda: (f"1 to {app.screen.view.room()} of 6" in text_of(app)) is (app.screen.view.room() < 6))
        await pilot.press("down", "left")
        await until(lambda: "prompt 2" in text_of(app) and "it attends to" in text_of(app))
        assert {request.example for request in nodes_host.of_kind("GetHeadInspection")} == {0, 1}
        for _ in range(6):
            await pilot.press("right_square_bracket")
        await until(lambda: "2.5 · rank" in text_of(app))
        await pilot.press("up", "right", "left_square_bracket", "escape")
        await until(lambda: len(app.screen_stack) == 1)


async def test_without_marks_the_best_heads_are_side_by_side(nodes_host: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        await pilot.press("H")
        await until(lambda: isinstance(app.screen, SideBySideScreen) and "mark others" in text_of(app))
        assert len(app.screen.panels.heads) == 4


@SIZES
@DEPTHS
async def test_marked_nodes_are_turned_off_in_one_key(
    size: tuple[int, int], depth: str, nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host, size=size, depth=depth) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        app.state.marks.toggle([NodeId(2, 6), mlp(3)])
        await pilot.press("z")
        await until(lambda: isinstance(app.screen, SwitchOffScreen) and "KL divergence 1.25" in text_of(app))
        assert "1 head and 1 MLP off on prompt 1" in text_of(app)
        assert "the other prompt" in text_of(app)
        assert ".750 #1" in text_of(app)
        assert "-.625" in text_of(app)
        (asked,) = nodes_host.of_kind("GetAblation")
        assert (asked.nodes, asked.example, asked.replacement) == (("2.6", "m3"), 0, "pair")
        await pilot.press("m", "down")
        await until(lambda: "off on prompt 2" in text_of(app) and "by their mean" in text_of(app))
        await pilot.press("M", "up", "escape")
        await until(lambda: len(app.screen_stack) == 1)
        app.state.marks.clear()
        app.state.put_cursor(*mlp(1))
        app.screen.drawing.now()
        await pilot.press("z")
        await until(lambda: "1 MLP off on prompt 1" in text_of(app) and "KL divergence" in text_of(app))


async def test_what_needs_the_model_says_so_where_there_is_none(
    nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    ask = nodes_host.ask

    async def refuse(request: Any, want: Any) -> Any:
        if isinstance(request, GetAblation):
            words = "The model is not here."
            raise Refusal(Failure(family="engine", name="X", message=words, hint="headcode models fetch it"))
        return await ask(request, want)

    nodes_host.ask = refuse
    async with open_screen(nodes_host, notifications=True) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        await pilot.press("z")
        await until(lambda: "The model is not here. headcode models fetch it" in text_of(app))
        await pilot.press("escape", "p")
        await until(lambda: len(app.screen_stack) == 2 and app.screen.player is not None)
        for key in ("enter", "P", "H", "z"):
            app.clear_notifications()
            await pilot.press(key)
            await until(lambda: "measured with the model" in text_of(app).replace("\n", " "))
            assert len(app.screen_stack) == 2
