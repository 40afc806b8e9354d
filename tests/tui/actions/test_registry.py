"""Every action of the table has its keys, title and tooltip; vi keys; the card."""

from typing import Any

import pytest

from engine.results import CardBaseline, CardNode
from tui.actions import ACTIONS

from ...run_parts import weak_card
from ..visits import whole

SIZES = [(160, 48), (80, 24)]

CARD = weak_card(
    reasons=("3 positives and 20 negatives are few",),
    advice=("write at least 10 of each side",),
    above_chance=((3, 6),),
    heads=(CardNode(layer=3, head=6, q_value=0.04, seeds=1.0, bootstraps=0.87, effect=0.12),),
    baselines=(CardBaseline(measure="baseline_mean_difference", shared=0.4, auc=None),),
)


def test_every_action_says_what_it_does() -> None:
    keys = [key for action in ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    assert all(action.title and action.tooltip and action.group for action in ACTIONS)


async def test_every_key_of_an_action_leads_to_it(recorded: Any, open_screen: Any) -> None:
    """That an action does what it says is seen in tests/tui/every_action, where each is done by its first key."""
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, _pilot, _until):
        bound = app.screen.active_bindings
        for action in ACTIONS:
            found = {bound[key].binding.action for key in action.keys}
            # ctrl+p and ctrl+q are Textual's own, and do the same.
            assert found - {"command_palette", "quit"} == {action.call}


async def test_ctrl_q_leaves_as_q_does(recorded: Any, open_screen: Any) -> None:
    async with open_screen(recorded.host()) as (app, pilot, until):
        app.link.exit_code = 4
        await pilot.press("ctrl+q")
        await until(lambda: app._exit)
    assert app.return_code == 4


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_vi_keys_move_the_cursor_in_every_pane(size: tuple[int, int], recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, until):
        await until(lambda: app.state.shape() is not None)
        for number in "123":
            app.state.put_cursor(2, 2)
            await pilot.press(number, "l", "j", "j", "h", "h", "k")
            assert app.state.cursor == (3, 1)


async def test_the_card_says_how_far_to_believe_a_run(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*whole(recorded, card=CARD))
    async with open_screen(host, size=(120, 40)) as (app, pilot, until):
        await until(lambda: app.state.shown is not None and app.state.shown.picture.card is not None)
        await pilot.press("b")
        await until(lambda: "Evidence" in text_of(app))
        text = text_of(app)
        for words in ("│ weak ", "· 3 positives and 20 negatives are few", "3.6 9 of 10", "mean difference 40%"):
            assert words in text
        await pilot.press("b")
        await until(lambda: "Evidence" not in text_of(app))
