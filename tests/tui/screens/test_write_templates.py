"""Test that the result of filling slots is shown before they are filled, and that they may also be kept."""

from pathlib import Path
from typing import Any

import pytest
from textual import events

from tui.screens import example_sources
from tui.screens.choice import ChoiceSheet
from tui.screens.write import WriteScreen

TEXT = """{who} = Mary, John, Ann
+1 {who#1} and {who#2} met; {who#1} spoke to => {who#2} | {who#1}
-1 {who#1} and {who#2} met; {who#3} spoke to => {who#2} | {who#1}
+ one more => a | b
"""
SIZES = pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])


async def opened(app: Any, pilot: Any, until: Any) -> WriteScreen:
    await pilot.press("w")
    await until(lambda: isinstance(app.screen, WriteScreen))
    screen: WriteScreen = app.screen
    return screen


async def asked(app: Any, until: Any, text_of: Any) -> None:
    await until(
        lambda: isinstance(app.screen, ChoiceSheet) and "2 lines with slots expand to 12 examples" in text_of(app)
    )
    await until(lambda: "fill: 12 examples" in text_of(app) and "keep the 2 lines as they are" in text_of(app))


@SIZES
async def test_pasted_slots_are_counted_before_they_are_filled(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(recorded.host(), size=size) as (app, pilot, until):
        screen = await opened(app, pilot, until)
        screen.rows.post_message(events.Paste(TEXT))
        await asked(app, until, text_of)
        assert not screen.graded.examples
        await pilot.press("enter")
        await until(lambda: app.screen is screen and len(screen.graded.examples) == 13)
        await pilot.press("u")
        await until(lambda: not screen.graded.examples)
        screen.rows.post_message(events.Paste(TEXT))
        await asked(app, until, text_of)
        await pilot.press("escape")
        await until(lambda: app.screen is screen and "Nothing was added." in text_of(app))
        assert not screen.graded.examples


async def test_slots_may_stay_and_be_filled_later(recorded: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(recorded.host()) as (app, pilot, until):
        screen = await opened(app, pilot, until)
        screen.rows.post_message(events.Paste(TEXT))
        await asked(app, until, text_of)
        await pilot.press("down", "enter")
        await until(lambda: app.screen is screen and len(screen.graded.examples) == 3)
        assert "{who#3}" in screen.graded.examples[1].prompt
        await pilot.press("home", "x")
        await until(lambda: len(screen.graded.examples) == 13)


async def test_text_without_slots_asks_nothing(recorded: Any, open_screen: Any) -> None:
    async with open_screen(recorded.host()) as (app, pilot, until):
        screen = await opened(app, pilot, until)
        screen.rows.post_message(events.Paste("+ {a} brace => x\n- another => x"))
        await until(lambda: len(screen.graded.examples) == 2)
        assert app.screen is screen


async def test_a_file_is_asked_about_too(recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "slots.txt"
    path.write_text(TEXT)
    async with open_screen(recorded.host()) as (app, pilot, until):
        screen = await opened(app, pilot, until)
        example_sources.read(screen, path)
        await asked(app, until, text_of)
        await pilot.press("enter")
        await until(lambda: app.screen is screen and len(screen.graded.examples) == 13)


@SIZES
async def test_a_template_is_not_graded_while_it_is_typed(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    asked: list[str] = []
    grade = host.grade

    def listening(request: Any) -> Any:
        asked.extend(each.prompt for each in request.examples)
        return grade(request)

    host.grade = listening
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = await opened(app, pilot, until)
        await pilot.press("a", *"The {colour=red,bl")
        await until(lambda: "the words of its slot are being typed" in text_of(app))
        await until(lambda: len(screen.graded.examples) == 1 and screen.graded.saved)
        await pilot.press(*"ue}")
        # What was recorded still ends within the slot that is closed by now.
        await screen.graded.grade(screen.line.draft)
        await pilot.press(*" ball")
        await until(lambda: "a template, filled into 2 examples; x fills it" in text_of(app))
        await pilot.press("escape")
        await until(lambda: "{…} 2 examples" in text_of(app))
        assert "broken" not in text_of(app)
        assert not [prompt for prompt in asked if "{" in prompt]
        await pilot.press("x")
        await until(lambda: len(screen.graded.examples) == 2 and len(screen.graded.grades) == 2)
        assert {"The red ball", "The blue ball"} <= set(asked)
