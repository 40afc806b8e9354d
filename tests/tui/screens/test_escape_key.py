"""Escape and the key after it that come in one piece are both taken, as over a slow line."""

from typing import Any

from textual import events
from textual._xterm_parser import XTermParser

from tui.screens.write import WriteScreen
from tui.widgets.line_edit import LineEdit


def arrive(pilot: Any, typed: str) -> None:
    """What the terminal sent in one piece, as the program's driver reads it."""
    parser = XTermParser()
    for token in [*parser.feed(typed), *parser.feed("")]:
        if isinstance(token, events.Key):
            pilot.app._driver.process_message(token)


async def test_a_sheet_is_left_and_the_key_goes_to_what_is_below(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("question_mark")
        await until(lambda: len(app.screen_stack) == 2)
        arrive(pilot, "\x1bw")
        await until(lambda: isinstance(app.screen, WriteScreen))
        assert len(app.screen_stack) == 2


async def test_a_line_is_left_by_both_and_keeps_its_own_keys_with_alt(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("w", "a")
        await until(lambda: isinstance(app.focused, LineEdit))
        edit = app.focused
        await pilot.press(*"one", "space", *"two")
        begun = edit.text
        arrive(pilot, "\x1bb")
        await until(lambda: edit.at == len(begun) - len("two"))
        assert edit.text == begun
        arrive(pilot, "\x1bw")
        await until(lambda: not edit.has_focus)
        await until(lambda: "one two" in repr(host.of_kind("SetExamples")))
        assert "twow" not in repr(host.of_kind("SetExamples"))
