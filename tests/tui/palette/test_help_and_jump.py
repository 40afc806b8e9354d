"""Typing narrows the help; two letters lead to every node and pane in sight."""

from typing import Any

import pytest

from tui.screens.help import HelpSheet
from tui.screens.jump import JumpScreen, JumpTarget, label_targets

from ..visits import whole


async def test_typing_in_the_help_narrows_its_list(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*whole(recorded))
    async with open_screen(host, size=(160, 48)) as (app, pilot, until):
        await pilot.press("question_mark")
        await until(lambda: "Run the probe" in text_of(app) and "type to narrow" in text_of(app))
        await pilot.press(*"quit")
        await until(lambda: "Keys: quit" in text_of(app) and "Run the probe" not in text_of(app))
        assert "Leave" in text_of(app)
        await pilot.press(*["backspace"] * 4)
        await until(lambda: "Run the probe" in text_of(app))
        await pilot.press(*"zzzzq")
        await until(lambda: "No action is called that." in text_of(app))
        await pilot.press("question_mark")
        await until(lambda: not isinstance(app.screen, HelpSheet))


def test_labels_are_two_letters_in_reading_order() -> None:
    targets = [JumpTarget(place % 30, place // 30, lambda: None) for place in range(700)]
    labels = label_targets(targets[::-1])
    assert len(labels) == 676
    assert all(len(label) == 2 for label in labels)
    assert labels["aa"] == targets[0]
    assert list(labels.values()) == targets[:676]


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_two_letters_lead_to_every_node_and_pane_in_sight(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*whole(recorded))
    async with open_screen(host, size=size) as (app, pilot, until):
        await until(lambda: app.state.shape() is not None)
        heatmap = app.screen.grid.heatmap
        spots = heatmap.spots()
        places = app.state.places()
        if size[0] == 160:
            assert {node for node, _, _ in spots} == {node for row in range(places.rows) for node in places.in_row(row)}
        for node, x, y in spots:
            assert heatmap.head_at(x - heatmap.region.x, y - heatmap.region.y) == node
        for node, x, y in (spots[0], spots[len(spots) // 2], spots[-1]):
            await pilot.press("f")
            await until(lambda: isinstance(app.screen, JumpScreen) and "Two letters go there" in text_of(app))
            at = {(target.x, target.y): label for label, target in app.screen._labels.items()}
            label = at[x, y]
            assert text_of(app).splitlines()[y][x : x + 2] == label
            await pilot.press(label[0])
            await until(lambda: text_of(app).splitlines()[y][x + 1] == label[1])  # noqa: B023
            await pilot.press(label[1])
            await until(lambda: app.state.cursor == node and not isinstance(app.screen, JumpScreen))  # noqa: B023
        if size[0] == 160:
            examples = app.screen.examples
            await pilot.press("f")
            await until(lambda: isinstance(app.screen, JumpScreen))
            at = {(target.x, target.y): label for label, target in app.screen._labels.items()}
            await pilot.press(*at[examples.region.x + 1, examples.region.y])
            await until(lambda: app.screen.pane == "examples")
            await until(lambda: app.screen.head.code_spots())
            example, x, y = app.screen.head.code_spots()[0]
            await pilot.press("f")
            await until(lambda: isinstance(app.screen, JumpScreen))
            at = {(target.x, target.y): label for label, target in app.screen._labels.items()}
            await pilot.press(*at[x, y])
            await until(lambda: f"on prompt {example + 1} " in text_of(app))
            await pilot.press("escape")
        else:
            await pilot.press("f")
            await until(lambda: isinstance(app.screen, JumpScreen))
            tabs = app.screen_stack[0].tabs
            at = {(target.x, target.y): label for label, target in app.screen._labels.items()}
            await pilot.press(*at[dict(tabs.spots())["head"], tabs.region.y])
            await until(lambda: app.screen.pane == "head")
        await pilot.press("f", "escape")
        await until(lambda: not isinstance(app.screen, JumpScreen))
