"""Test that the change of a proposal is visible anywhere in the prompt, on any width."""

from typing import Any

import pytest

from engine.examples import Example, content_hash
from sessions.events import ExamplesSet
from tui.screens.negatives import NegativesScreen, format_edit
from tui.screens.write import WriteScreen

SENTENCE = "The friends Charles and Edward found a snack near the old kitchen of the school. Charles passed it to"
LONG = "Nobody had seen them since the morning of that day, and it was late. " * 12 + SENTENCE


@pytest.mark.parametrize("prompt", [SENTENCE, LONG], ids=["sentence", "long"])
@pytest.mark.parametrize("size", [(160, 48), (80, 24), (60, 18)], ids=["160x48", "80x24", "60x18"])
async def test_every_change_is_seen(size: tuple[int, int], prompt: str, recorded: Any, open_screen: Any) -> None:
    examples = (Example(prompt=prompt, polarity="positive", expected=(" Edward",), foils=(" Charles",)),)
    host = recorded.host()
    async with open_screen(host, size=size) as (app, pilot, until):
        await host.tell(ExamplesSet(examples=examples, content_hash=content_hash(examples)))
        await until(lambda: app.state.session.examples.current == examples)
        await pilot.press("w")
        await until(lambda: isinstance(app.screen, WriteScreen))
        await pilot.press("n")
        await until(
            lambda: isinstance(app.screen, NegativesScreen) and app.screen.list.found and app.screen.list.size.height
        )
        shown = app.screen.list
        rows = ["".join(segment.text for segment in strip) for strip in shown.lines(shown.size)]
        starts = [*shown._starts, len(rows)]
        assert len(shown.found) >= 3
        for place, (edit, _) in enumerate(shown.found):
            block = "\n".join(rows[starts[place] + 1 : starts[place + 1]])
            came = [text for text, ink in format_edit(prompt, edit.prompt) if ink == "come"]
            assert came
            assert all(word in block for word in came), (edit.kind, block)


def test_few_words_stay_around_a_change_where_there_is_little_room() -> None:
    pieces = format_edit("one two three four five six seven", "one two three FOUR five six seven", around=1)
    assert "".join(text for text, _ in pieces) == "…  four→FOUR  … "
