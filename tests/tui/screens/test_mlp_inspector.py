"""The page of an MLP and that of the embedding: neurons, places, and what they say without an engine."""

from typing import Any

import pytest

from engine.errors import Failure
from engine.nodes import EMBEDDING, mlp
from sessions.errors import Refusal
from sessions.protocol import GetMlp, GetPlaces
from tui.screens.embedding_page import EmbeddingScreen
from tui.screens.mlp_inspector import MlpScreen

SIZES = pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])


@SIZES
@pytest.mark.parametrize("depth", ["full", "none"])
async def test_neurons_are_walked_with_their_effects_and_tokens(
    size: tuple[int, int], depth: str, nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host, size=size, depth=depth) as (app, pilot, until):
        app.state.show_run(nodes_host.with_mlps)
        app.state.put_cursor(*mlp(2))
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, MlpScreen) and "12 of 64" in text_of(app))
        await until(lambda: "Neuron 2.0 on prompt 1" in text_of(app) and "up0" in text_of(app))
        # Exact effects arrive by themselves, those of the next neurons with them.
        await until(lambda: "replacing it 0 ±.01" in text_of(app))
        await pilot.press("right_square_bracket", "right_square_bracket")
        await until(lambda: "Neuron 2.2 on" in text_of(app) and "-.50 ±.01 (-17% of 3) exact" in text_of(app))
        assert "fires2" in text_of(app)
        assert "down2 -2" in text_of(app)
        exact = [request for request in nodes_host.of_kind("GetMlp") if request.neurons]
        assert [request.neurons for request in exact] == [tuple(range(8))]
        await pilot.press("g")
        await until(lambda: "neurons by difference" in text_of(app))
        assert app.screen.inspector.neuron.neuron == 2  # the same one, elsewhere in the list
        assert [each.neuron for each in app.screen.inspector.neurons[:3]] == [11, 10, 9]
        await pilot.press("left_square_bracket")
        assert app.screen.inspector.neuron.neuron == 3
        await pilot.press("down")
        await until(lambda: "Neuron 2.3 on prompt 2" in text_of(app) and app.screen.inspector.current)
        assert {request.example for request in nodes_host.of_kind("GetMlp")} == {0, 1}
        await until(lambda: "not measured on this prompt" in text_of(app))  # a negative
        await pilot.press("up", "left", "left")
        await until(lambda: "Neuron 2.3 on prompt 1" in text_of(app) and ", mean -" in text_of(app))
        await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 1)


async def test_what_was_measured_is_not_asked_again(nodes_host: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        app.state.show_run(nodes_host.with_mlps)
        app.state.put_cursor(*mlp(2))
        for _ in range(2):
            await pilot.press("enter")
            await until(lambda: isinstance(app.screen, MlpScreen) and " here " in text_of(app))
            await until(lambda: "±.01" in text_of(app))
            await pilot.press("escape")
            await until(lambda: len(app.screen_stack) == 1)
        # First on the prompt at hand, then on all; the second visit asks for neither.
        assert [each.example for each in nodes_host.of_kind("GetPlaces")] == [0, None]
        assert len(nodes_host.of_kind("GetMlp")) == 2  # all by attribution; some exactly


@SIZES
async def test_the_embedding_says_what_it_is_and_shows_its_places(
    size: tuple[int, int], nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host, size=size) as (app, pilot, until):
        app.state.show_run(nodes_host.with_mlps)
        app.state.put_cursor(*EMBEDDING)
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, EmbeddingScreen) and "no attention and no neurons" in text_of(app))
        await until(lambda: " here " in text_of(app))
        await pilot.press("left")
        await until(lambda: "< other" in text_of(app))
        await pilot.press("right_square_bracket")
        await until(lambda: "prompt 2" in text_of(app) and "not measured on this prompt" in text_of(app))
        await pilot.press("left_square_bracket", "right")
        await until(lambda: "prompt 1" in text_of(app) and "< other" in text_of(app))


async def test_a_model_that_is_not_there_is_said_and_asked_for_again(
    nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    ask, gone = nodes_host.ask, True

    async def refuse(request: Any, want: Any) -> Any:
        if gone and isinstance(request, GetMlp | GetPlaces):
            words = "There is no model [b]gone\x1b[2J."
            raise Refusal(Failure(family="engine", name="ModelError", message=words, hint="headcode models fetch gone"))
        return await ask(request, want)

    nodes_host.ask = refuse
    async with open_screen(nodes_host) as (app, pilot, until):
        app.state.show_run(nodes_host.with_mlps)
        app.state.put_cursor(*mlp(1))
        await pilot.press("enter")
        await until(lambda: text_of(app).count("fetch gone") == 2)
        assert "no model [b]gone" in text_of(app)
        assert "\x1b" not in text_of(app)
        await pilot.press("right_square_bracket", "g", "left", "escape")
        await until(lambda: len(app.screen_stack) == 1)
        gone = False
        await pilot.press("enter")
        await until(lambda: "12 of 64" in text_of(app) and " here " in text_of(app))
