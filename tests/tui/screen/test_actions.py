"""Every action of the table does something at both sizes, and every one has its key, title and tooltip."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.events import CardWritten, EdgesScored
from engine.results import Card, CardBaseline, CardHead, EdgeScore, Steadiness
from tui.actions import ACTIONS, Action
from tui.against import side_of
from tui.screens.workbench import Workbench
from tui.workbench import HeadcodeApp

SIZES = [(160, 48), (80, 24)]
Effect = Callable[[HeadcodeApp], Any]

CARD = Card(
    verdict="weak",
    reasons=("3 positives and 20 negatives are few",),
    advice=("write at least 10 of each side",),
    above_chance=((3, 6),),
    expected_false=0.04,
    heads=(CardHead(layer=3, head=6, q_value=0.04, seeds=1.0, bootstraps=0.87, effect=0.12),),
    steadiness=Steadiness(seeds=0.6, bootstraps=0.7, n_bootstraps=100, heads=(0.87,)),
    truth=None,
    codes_auc=None,
    baselines=(CardBaseline(measure="baseline_mean_difference", shared=0.4, auc=None),),
    movers=None,
)

EFFECTS: dict[str, Effect] = {
    "write": lambda app: type(app.screen).__name__,
    "run": lambda app: len(app.link._host.of_kind("QueueRun")),  # type: ignore[union-attr]
    "options": lambda app: type(app.screen).__name__,
    "progress": lambda app: type(app.screen).__name__,
    "stop": lambda app: app.bench.stopping,
    "card": lambda app: type(app.screen).__name__,
    "cause": lambda app: len(app.link._host.of_kind("AskCause")),  # type: ignore[union-attr]
    "measure.next": lambda app: app.bench.measure.id,
    "measure.previous": lambda app: app.bench.measure.id,
    "cut.fewer": lambda app: app.bench.view().cut,  # type: ignore[union-attr]
    "cut.more": lambda app: app.bench.view().cut,  # type: ignore[union-attr]
    "seed": lambda app: app.bench.seed,
    "close_up": lambda app: type(app.screen).__name__,
    "replay": lambda app: type(app.screen).__name__,
    "edges": lambda app: type(app.screen).__name__,
    "runs": lambda app: type(app.screen).__name__,
    "table": lambda app: type(app.screen).__name__,
    "copy": lambda app: type(app.screen).__name__,
    "pick_measure": lambda app: type(app.screen).__name__,
    "jump": lambda app: type(app.screen).__name__,
    "difference": lambda app: type(app.screen).__name__,
    "end_difference": lambda app: app.bench.subtraction.side,
    "overlay": lambda app: app.bench.overlay.chosen,
    "keep": lambda app: type(app.screen).__name__,
    "circuits": lambda app: type(app.screen).__name__,
    "verify": lambda app: len(app.link._host.of_kind("VerifyRun")),  # type: ignore[union-attr]
    "mark": lambda app: app.bench.marked,
    "mark_box.left": lambda app: app.bench.marked,
    "mark_box.down": lambda app: app.bench.marked,
    "mark_box.up": lambda app: app.bench.marked,
    "mark_box.right": lambda app: app.bench.marked,
    "mark_layer": lambda app: app.bench.marked,
    "mark_circuit": lambda app: app.bench.marked,
    "unmark": lambda app: app.bench.marked,
    "signs": lambda app: app.bench.signs,
    "ranking.next": lambda app: app.bench.cursor,
    "ranking.previous": lambda app: app.bench.cursor,
    "move.left": lambda app: app.bench.cursor,
    "move.down": lambda app: app.bench.cursor,
    "move.up": lambda app: app.bench.cursor,
    "move.right": lambda app: app.bench.cursor,
    "next_pane": lambda app: pane(app),
    "next_pane.back": lambda app: pane(app),
    "show_pane.examples": lambda app: pane(app),
    "show_pane.grid": lambda app: pane(app),
    "show_pane.head": lambda app: pane(app),
    "sessions": lambda app: type(app.screen).__name__,
    "note.head": lambda app: type(app.screen).__name__,
    "note.run": lambda app: type(app.screen).__name__,
    "log": lambda app: type(app.screen).__name__,
    "tour": lambda app: type(app.screen).__name__,
    "theme": lambda app: app.theme,
    "settings": lambda app: type(app.screen).__name__,
    "palette": lambda app: type(app.screen).__name__,
    "keys": lambda app: type(app.screen).__name__,
    "reopen": lambda app: app.screen_stack[0].head.failed,  # type: ignore[attr-defined]
    "suspend": lambda app: app.suspensions,  # type: ignore[attr-defined]
    "leave": lambda app: app._exit,
}


def pane(app: HeadcodeApp) -> str:
    screen = app.screen_stack[0]
    assert isinstance(screen, Workbench)
    shown = [widget.id for widget in (screen.examples, screen.grid, screen.head) if widget.display]
    assert screen.pane in shown
    return screen.pane


def test_every_action_is_tried() -> None:
    assert set(EFFECTS) == {action.id for action in ACTIONS}


def test_every_action_says_what_it_does() -> None:
    keys = [key for action in ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    assert all(action.title and action.tooltip and action.group for action in ACTIONS)


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_each_key_does_it(
    size: tuple[int, int], recorded: Any, open_screen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HeadcodeApp, "suspensions", 0, raising=False)

    def suspend(app: HeadcodeApp) -> None:
        app.suspensions += 1  # type: ignore[attr-defined]

    monkeypatch.setattr(HeadcodeApp, "action_suspend_process", suspend)
    host = recorded.host()
    host.add(*with_edges(recorded.events()))
    async with open_screen(host, size=size) as (app, pilot, until):
        for action in sorted(ACTIONS, key=lambda action: action.id == "leave"):
            for key in action.keys[: 1 if action.id == "leave" else None]:
                await prepare(app, pilot, action, host, recorded)
                effect = EFFECTS[action.id]
                was = effect(app)
                await pilot.press(key)
                await until(lambda: effect(app) != was)  # noqa: B023  # awaited in the same round
                while len(app.screen_stack) > 1:
                    await pilot.press("escape")
                    await pilot.pause()


def with_edges(events: list[Any]) -> list[Any]:
    edges = EdgesScored(edges=(EdgeScore(source=(0, 1), target=(2, 3), score=6.3),), n_pairs=960)
    return [*events[:-2], edges, CardWritten(card=CARD), *events[-2:]]


async def prepare(app: HeadcodeApp, pilot: Any, action: Action, host: Any, recorded: Any) -> None:
    """Brings the screen to where the action has something to do."""
    await pilot.press("1" if action.id == "show_pane.grid" else "2")
    app.bench.put_cursor(3, 3)
    app.bench.marks.clear()
    if action.id == "unmark":
        app.bench.marks.toggle([app.bench.cursor])
    if action.id == "reopen":
        app.screen_stack[0].head.failed = "as if"  # type: ignore[attr-defined]
    if action.id == "end_difference":
        view = app.bench.view()
        assert view is not None
        app.bench.subtraction.begin(side_of(view))
    if action.id == "stop":
        await host.tell(*recorded.events(until="train"))
        for _ in range(100):
            await pilot.pause(0.005)
            if app.bench.shown is not None and app.bench.shown.active:
                return
    elif action.id not in ("run", "leave") and app.bench.shown is not None and app.bench.shown.active:
        await host.tell(*with_edges(recorded.events())[-5:])
        await pilot.pause(0.15)


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_vi_keys_move_the_cursor_in_every_pane(size: tuple[int, int], recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, until):
        await until(lambda: app.bench.shape() is not None)
        for number in "123":
            app.bench.put_cursor(2, 2)
            await pilot.press(number, "l", "j", "j", "h", "h", "k")
            assert app.bench.cursor == (3, 1)


async def test_the_card_says_how_far_to_believe_a_run(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*with_edges(recorded.events()))
    async with open_screen(host, size=(120, 40)) as (app, pilot, until):
        await until(lambda: app.bench.shown is not None and app.bench.shown.picture.card is not None)
        await pilot.press("b")
        await until(lambda: "How far to believe it" in text_of(app))
        text = text_of(app)
        for words in ("│ weak ", "· 3 positives and 20 negatives are few", "3.6 9 of 10", "mean difference 40%"):
            assert words in text
        await pilot.press("b")
        await until(lambda: "How far to believe it" not in text_of(app))
