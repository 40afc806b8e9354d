"""The worst of foreign text in every place that shows some: nothing crashes, nothing reaches the terminal raw."""

import re
from typing import Any

import pytest

from engine.errors import Failure
from sessions.errors import HostError
from sessions.events import RunEnded
from tui.screens.error import ErrorSheet

from ..hostile_run import hostile_run

WORST = [
    "[/b] [/] [@click=app.quit]go[/] [bold red]x[/bold red] [$accent]v [ not ] [[dbl]]",
    "\x1b[2J\x1b]52;c;aGk=\x07\x1b]0;owned\x07 \x9b31m \x00 \x7f",
    "\u202eright to left\u2066 \u200b\ufeff \x85 \u2028 \ud800".encode("utf-8", "replace").decode(),
    "日本語の長い文 🙂🙂🙂 e\u0301e\u0301e\u0301 " * 20,
    "tab\tand\nnew\r\nlines\n" * 30,
    "x" * 100_000,
]
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@pytest.mark.parametrize("text", WORST, ids=["markup", "control", "direction", "wide", "lines", "long"])
async def test_it_is_shown_harmless_everywhere(text: str, recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host(session=text)
    host.welcome = type(host.welcome)(version="1", pid=1, store="x", notice=text)
    host.add(*hostile_run(recorded, text))
    async with open_screen(host, size=(130, 40), notifications=True) as (app, pilot, until):
        seen = text_of(app)
        for keys in (("1", "down", "down"), ("3", "end"), ("2", "right")):
            await pilot.press(*keys)
            await pilot.pause()
            seen += text_of(app)
        await host.tell(*recorded.events(until="train"))
        await until(lambda: app.state.shown.active)
        await host.tell(RunEnded(state="failed", failure=Failure(family="engine", name="X", message=text, hint=text)))
        await until(lambda: app.state.shown.state == "failed")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        seen += text_of(app)
        assert not RAW.findall(seen)
        assert app.return_code is None
        if text.startswith("[/b]"):
            assert "[@click=app.quit]go[/]" in seen


@pytest.mark.parametrize("text", WORST[:2], ids=["markup", "control"])
async def test_trouble_at_the_start_shows_it_harmless(text: str, recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.entries.clear()
    host.refuse_connect = HostError(text, hint=text)
    async with open_screen(host) as (app, _pilot, until):
        await until(lambda: isinstance(app.screen, ErrorSheet))
        assert not RAW.findall(text_of(app))


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
@pytest.mark.parametrize("text", WORST, ids=["markup", "control", "direction", "wide", "lines", "long"])
async def test_it_can_be_pasted_edited_and_graded_harmless(
    text: str, size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    from textual import events

    from tui.screens.write import WriteScreen

    host = recorded.host()
    async with open_screen(host, size=size, notifications=True) as (app, pilot, until):
        await pilot.press("w")
        await until(lambda: isinstance(app.screen, WriteScreen) and app.screen.rows.size.height > 2)
        screen = app.screen
        screen.rows.post_message(events.Paste(text))
        await until(lambda: screen.graded.examples and screen.graded.saved)
        seen = text_of(app)
        await pilot.press("a")
        screen.edit.post_message(events.Paste(text.partition("\n")[0]))
        await pilot.pause()
        await pilot.press("home", "right", "up", "down", "end", "left", "backspace")
        seen += text_of(app)
        await pilot.press("enter", "escape", "n")
        await pilot.pause(0.05)
        seen += text_of(app)
        await pilot.press("escape", "home", "enter", "end")
        await pilot.pause()
        seen += text_of(app)
        await pilot.press("escape")
        await until(lambda: screen.graded.saved)
        assert not RAW.findall(seen + text_of(app))
        assert app.return_code is None
