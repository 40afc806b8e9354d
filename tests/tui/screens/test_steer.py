"""The steering screen: what is chosen, what is measured on request, and what is recorded."""

from typing import Any

import pytest
from textual.geometry import Size

from engine.errors import Failure
from engine.nodes import NodeId, mlp
from engine.steering import DosePoint, SteerPlan, SteerResult
from sessions.errors import Refusal
from sessions.events import SteeringRecorded
from sessions.protocol import GetSteering
from tui.screens.steer import SteerScreen

HEAD = NodeId(2, 1)
SIZES = pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
DEPTHS = pytest.mark.parametrize("depth", ["full", "none"])


async def open_steering(app: Any, pilot: Any, until: Any, host: Any, node: NodeId = HEAD) -> None:
    app.state.show_run(host.with_mlps)
    app.screen.drawing.now()
    app.state.put_cursor(*node)
    await pilot.press("enter")
    await until(lambda: len(app.screen_stack) == 2)
    await pilot.press("d")
    await until(lambda: isinstance(app.screen, SteerScreen))


def asked(host: Any) -> list[GetSteering]:
    return host.of_kind("GetSteering")  # type: ignore[no-any-return]


@SIZES
@DEPTHS
async def test_the_answer_is_asked_at_once_and_the_curve_on_request(
    size: tuple[int, int], depth: str, nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host, size=size, depth=depth) as (app, pilot, until):
        await open_steering(app, pilot, until, nodes_host)
        await until(lambda: "KL divergence 1 nats" in text_of(app))
        first = asked(nodes_host)[-1]
        assert (first.record, first.plan.kind, first.plan.nodes) == (False, "code", ((2, 1),))
        assert (first.plan.strengths, first.plan.generate, first.plan.where) == ((), 0, "all")
        assert first.plan.code == app.screen.steer.codes[0]
        assert "Mary" in text_of(app)
        assert "enter: measure" in text_of(app)
        await pilot.press("enter")
        await until(lambda: "outside their band at 8 of 8" in " ".join(text_of(app).split()) or size[0] == 80)
        await until(lambda: "logit difference of 3, 8 prompts" in text_of(app))
        whole = asked(nodes_host)[-1]
        assert (whole.record, whole.plan.strengths) == (True, (-4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0))
        assert (whole.plan.random, whole.plan.generate, whole.plan.cost) == (20, 30, True)
        assert "+.40" in text_of(app)
        if size[0] == 160:
            assert "as ever" in text_of(app)
            assert "anew" in text_of(app)
            assert "perplexity times 1.65" in " ".join(text_of(app).split())


async def test_keys_choose_strength_code_kind_place_and_prompt(nodes_host: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        await open_steering(app, pilot, until, nodes_host)
        steer = app.screen.steer

        async def then(*keys: str, **wanted: Any) -> None:
            await pilot.press(*keys)
            await until(lambda: "KL divergence" in text_of(app) and app.screen.steer.found is not None)
            plan = asked(nodes_host)[-1].plan
            assert {name: getattr(plan, name) for name in wanted} == wanted

        await then("left", strength=3.0)
        await then("right", "right", strength=8.0)
        await then("down", code=steer.codes[1], strength=8.0)
        await then("up", "w", code=steer.codes[0], where="last")
        await then("w", where="generated")
        await then("m", kind="contrast", nodes=((2, 1),), source="node", strength=2.0)
        await then("m", kind="contrast", nodes=(tuple(mlp(2)),), source="stream")
        await then("m", kind="off", nodes=((2, 1),))
        view = app.state.view()
        await then("m", kind="only", nodes=tuple(sorted(view.circuit)))
        await then("M", "n", kind="off", example=1)
        app.state.marks.toggle([NodeId(1, 0), mlp(3)])
        await then("N", kind="off", nodes=tuple(sorted([NodeId(1, 0), mlp(3)])), example=0)
        assert not any(request.record for request in asked(nodes_host))
        await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 2)


async def test_what_is_recorded_is_shown_and_not_asked_again(nodes_host: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        await open_steering(app, pilot, until, nodes_host)
        for kl, strength in ((0.125, 2.0), (0.625, -3.0)):
            event = SteeringRecorded(
                plan=SteerPlan(kind="code", nodes=((1, 1),), code=9, seed=0, strength=strength),
                result=SteerResult(unit=1.0, prompt="the recorded prompt", kl=kl),
            )
            app.state.shown.steerings = (*app.state.shown.steerings, event)
        many = len(asked(nodes_host))
        await pilot.press("left_square_bracket")
        await until(lambda: "KL divergence 0.625" in text_of(app) and "recorded 1 of 2" in text_of(app))
        assert "code 9 of 1.1 times -3 at every token" in text_of(app)
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(lambda: "KL divergence 0.125" in text_of(app))
        await pilot.press("right_square_bracket", "right_square_bracket")
        await until(lambda: "recorded" not in app.screen.view.lines(app.screen.view.size)[0].text)
        assert len(asked(nodes_host)) <= many + 1


async def test_a_refusal_is_shown_and_the_next_choice_goes_on(nodes_host: Any, open_screen: Any, text_of: Any) -> None:
    ask = nodes_host.ask

    async def refuse(request: Any, want: Any) -> Any:
        if isinstance(request, GetSteering) and request.plan.kind == "code":
            raise Refusal(Failure(family="input", name="X", message="No weights.", hint="Run the probe again."))
        return await ask(request, want)

    nodes_host.ask = refuse
    async with open_screen(nodes_host) as (app, pilot, until):
        await open_steering(app, pilot, until, nodes_host)
        await until(lambda: "No weights. Run the probe again." in text_of(app))
        await pilot.press("enter")
        await until(lambda: text_of(app).count("No weights.") == 2)
        await pilot.press("m")
        await until(lambda: "KL divergence" in text_of(app))


async def test_an_mlps_page_opens_it_too(nodes_host: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        await open_steering(app, pilot, until, nodes_host, mlp(2))
        await until(lambda: "Steer m2 on prompt" in text_of(app) and "KL divergence" in text_of(app))
        assert asked(nodes_host)[-1].plan.nodes == (tuple(mlp(2)),)


@SIZES
async def test_the_page_of_a_head_says_what_steering_it_did(
    size: tuple[int, int], nodes_host: Any, open_screen: Any
) -> None:
    async with open_screen(nodes_host, size=size) as (app, _pilot, _until):
        app.state.show_run(nodes_host.with_mlps)
        app.state.put_cursor(1, 1)
        points = (DosePoint(strength=2.0, effect=-1.0, error=None, random=(0.5, -0.25)),)
        event = SteeringRecorded(
            plan=SteerPlan(kind="code", nodes=((1, 1),), code=9, strength=2.0),
            result=SteerResult(unit=1.0, prompt="a prompt", kl=0.125, points=points),
        )
        app.state.shown.steerings = (event,)
        rows = [strip.text for strip in app.screen.head.lines(Size(70, 60))]
        (first,) = (place for place, row in enumerate(rows) if "»" in row)
        said = " ".join(" ".join(rows[first : first + 2]).split())
        assert said.startswith("» code 9 of 1.1 times 2 at every token: KL 0.12, slope -.50 (p .333), size (p .333)")
        app.state.put_cursor(1, 2)
        assert not any("»" in strip.text for strip in app.screen.head.lines(Size(70, 60)))
