"""A part of the screen that fails leaves the rest alone: every pane is made to raise, every screen's handlers too."""

import re
from typing import Any

import pytest
from textual import events

from engine.machine.folders import find_folders
from sessions.events import RunEnded
from tui.actions.registry import all_tables
from tui.app.app import HeadcodeApp
from tui.screens.sub_screen import SubScreen
from tui.widgets.error_boundary import ErrorBoundary

PANES = ("top", "examples", "heatmap", "meaning", "scale", "ranking", "head", "progress", "keyline")


class Boom(RuntimeError):
    pass


def boom(*_: Any, **__: Any) -> Any:
    raise Boom("[/b]the pane\x1b[2J is \u202eill")


def pane_of(app: HeadcodeApp, name: str) -> Any:
    screen: Any = app.screen_stack[0]
    return getattr(screen, name, None) or getattr(screen.grid, name)


@pytest.mark.parametrize("name", PANES)
async def test_a_pane_that_fails_to_draw_is_a_panel_that_says_so(
    name: str, recorded: Any, open_screen: Any, text_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        app.survives_errors = True
        pane = pane_of(app, name)
        drawn = "render_line" if name == "heatmap" else "lines"
        monkeypatch.setattr(type(pane), drawn, _once_shielded(drawn))
        pane.refresh()
        if hasattr(pane, "_strips"):
            pane.on_resize(events.Resize(pane.size, pane.size))
        await until(lambda: pane.failed)
        assert "Boom: [/b]the pane␛[2J is �ill" in pane.failed
        if pane.size.height > 4:
            await until(lambda: "✗ The pane" in text_of(app))
            assert "reopens this pane" in re.sub(r"\s*[│┃]?\s*\n\s*[│┃]?\s*", " ", text_of(app))
        assert "Boom" in (find_folders().logs / "screen.log").read_text()
        # The others live, and what the host tells is taken in.
        await host.tell(*recorded.events(until="train"))
        await until(lambda: app.state.shown.active and app.state.shown.picture.steps)
        await host.tell(RunEnded(state="done"))
        await until(lambda: not app.state.shown.active)
        before = app.state.cursor
        await pilot.press("down", "up", "right")
        await until(lambda: app.state.cursor != before)
        monkeypatch.undo()
        await pilot.press("ctrl+l")
        await until(lambda: not pane.failed)
        assert "✗ The pane" not in text_of(app)


def _once_shielded(drawn: str) -> Any:
    from tui.widgets.error_boundary import _catch_errors

    return boom if drawn == "render_line" else _catch_errors(boom, list)


async def test_a_pane_whose_handler_fails(recorded: Any, open_screen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        app.survives_errors = True
        monkeypatch.setattr(type(app.screen.examples), "on_click", boom)
        await pilot.click(app.screen.examples, offset=(5, 3))
        await until(lambda: app.screen.examples.failed)
        monkeypatch.undo()
        await pilot.press("ctrl+l", "1", "down")
        await until(lambda: app.state.selected is not None)


async def test_a_timer_a_worker_and_an_action_that_fail(
    recorded: Any, open_screen: Any, text_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, notifications=True) as (app, pilot, until):
        app.survives_errors = True
        app.screen.set_timer(0.01, boom)
        await until(lambda: "Something on the screen failed: Boom" in text_of(app))

        async def fails() -> None:
            boom()

        app.screen.run_worker(fails(), exit_on_error=True)
        monkeypatch.setattr(type(app.screen), "action_jump", boom)
        app._reported_at = 0.0
        await pilot.press("slash")

        def traces() -> int:
            """Ends of traces; the notices are in the log, too."""
            output = (find_folders().logs / "screen.log").read_text().splitlines()
            return sum("Boom: " in line and "headcode.screen" not in line for line in output)

        await until(lambda: traces() == 3)
        await pilot.press("m")
        assert app.return_code is None


@pytest.mark.parametrize("key", ["w", "R", "L", "e", "S", "C", "comma", "enter", "p", "question_mark", "ctrl+p", "y"])
async def test_a_sheet_whose_parts_all_fail_can_be_left(key: str, recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press(key)
        await pilot.pause(0.1)
        if len(app.screen_stack) == 1:
            return
        app.survives_errors = True
        for node in app.screen.query("*"):
            if isinstance(node, ErrorBoundary):
                node.handle_error(Boom("all of it"))
                app._errors_at.clear()
        await pilot.pause(0.05)
        await pilot.press("f7" if key == "w" else "escape")
        if key == "w":
            await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 1)
        assert app.return_code is None


async def test_a_log_that_cannot_be_taken_in_is_told(recorded: Any, open_screen: Any, monkeypatch: Any) -> None:
    from tui.screens.error import ErrorSheet

    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        app.survives_errors = True
        with monkeypatch.context() as patch:
            patch.setattr(type(app.state), "fold", boom)
            await host.tell(*recorded.events(until="train"))
            await until(lambda: isinstance(app.screen, ErrorSheet))
            assert "Boom" in app.screen.failure.message
        await pilot.press("r")
        await until(lambda: len(app.state.runs) == 2)


async def test_a_screen_that_only_fails_ends(recorded: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    app = HeadcodeApp(host.connect, model="toy", task="ioi", depth="full")

    async def live() -> None:
        async with app.run_test() as pilot:
            app.survives_errors = True
            app.set_interval(0.001, boom)
            for _ in range(12_000):
                await pilot.pause(0.005)
                if not app.survives_errors:
                    break
            assert not app.survives_errors

    with pytest.raises(Boom):
        await live()


def test_every_screen_is_shielded() -> None:
    from textual.screen import Screen

    from tui.widgets.error_boundary import MessageErrorBoundary

    all_tables()
    kinds: list[Any] = [Screen]
    for kind in kinds:
        kinds += [each for each in kind.__subclasses__() if each.__module__.startswith("tui.")]
    own = [kind for kind in kinds if kind.__module__.startswith("tui.")]
    assert len(own) > 12
    assert all(issubclass(kind, MessageErrorBoundary) for kind in own)
    assert issubclass(SubScreen, MessageErrorBoundary)
