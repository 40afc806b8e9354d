"""Opens the workbench in this process, waits until it has drawn what it knows, and reads what is on it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from tui.app.app import HeadcodeApp
from tui.screens.workbench import WorkbenchScreen

from .recorded import START_US
from .scripted import ScriptedHost
from .waiting import under_way


@asynccontextmanager
async def opened(
    host: ScriptedHost, *, size: tuple[int, int] = (160, 48), depth: str = "full", **more: Any
) -> AsyncIterator[tuple[HeadcodeApp, Pilot[None], Callable[..., Any]]]:
    """The app on that host, its pilot, and a way to wait until something is so."""
    options: dict[str, Any] = {"model": "toy", "task": "ioi", "clock": lambda: START_US / 1e6 + 10} | more
    notifications, tooltips = options.pop("notifications", False), options.pop("tooltips", False)
    app = HeadcodeApp(host.connect, depth=depth, **options)
    async with app.run_test(size=size, notifications=notifications, tooltips=tooltips) as pilot:

        async def until(holds: Callable[[], object]) -> None:
            for _ in range(12_000):
                await pilot.pause(0.005)
                if holds():
                    break
            assert holds()
            await settled(app, pilot)

        await until(lambda: app.state.link != "connecting" and app.state.last_seq == len(host.entries))
        yield app, pilot, until


async def at_rest(app: App[Any], pilot: Pilot[None]) -> None:
    """Waits until nothing changes by itself any more: before a picture is taken, or what is drawn is counted."""
    for _ in range(12_000):
        await pilot.pause(0.005)
        if not under_way(app):
            break
    assert not under_way(app)
    await pilot.pause()


async def settled(app: HeadcodeApp, pilot: Pilot[None]) -> None:
    """Waits until everything that changed is drawn and the codes of the head at the cursor are here."""
    idle = 0
    for _ in range(12_000):
        screen = app.screen_stack[0]
        assert isinstance(screen, WorkbenchScreen)
        key = app.state.codes_key()
        if app.state.preflight is None and app.state.link == "live" and idle < 200:
            idle += not under_way(app)  # of a log that cannot be taken in nothing is ever asked
            await pilot.pause(0.005)
            continue
        hidden = screen is not app.screen  # what changed is drawn when it is in sight again
        if (hidden or not screen.drawing.dirty) and (key is None or key in app.state.codes or app.state.link != "live"):
            break
        await pilot.pause(0.005)
    else:
        raise AssertionError(f"not settled: to be drawn {screen.drawing.dirty}, codes {key}")
    await pilot.pause()


def shown_text(app: App[Any]) -> str:
    """What is on the screen, as lines of text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)
