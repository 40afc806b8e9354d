"""The way to every screen and sheet, for tests that visit all of them in one workbench."""

from typing import Any

from engine.errors import Failure
from engine.events import CardWritten, EdgesScored
from engine.results import Card, CircuitStability, EdgeScore
from tui.screens.error import ErrorSheet

WAYS: dict[str, tuple[str, ...]] = {
    "keys": (),
    "examples": ("1",),
    "head-page": ("3",),
    "write": ("w",),
    "write-in-a-line": ("w", "down", "e"),
    "negatives": ("w", "n"),
    "files": ("w", "i"),
    "tasks": ("w", "t"),
    "options": ("O",),
    "progress": ("i",),
    "close-look": ("enter",),
    "edges": ("e",),
    "table-of-heads": ("L",),
    "runs": ("R",),
    "circuits": ("C",),
    "sessions": ("S",),
    "copy-the-grid": ("y",),
    "log": ("G",),
    "replay": ("p", "space", "home"),
    "tour": ("f1",),
    "card": ("b",),
    "help": ("question_mark",),
    "question": ("slash",),
    "choice": ("d",),
    "settings": ("comma",),
    "trouble": (),
}
"""From the workbench to each screen; a new one is missed by the first test."""

CARD = Card(
    verdict="weak",
    reasons=("few examples",),
    advice=(),
    above_chance=(),
    expected_false=0.04,
    heads=(),
    steadiness=CircuitStability(seeds=0.6, bootstraps=0.7, n_bootstraps=100, heads=()),
    truth=None,
    codes_auc=None,
    baselines=(),
    movers=None,
)


def whole(recorded: Any, **more: Any) -> list[Any]:
    """A finished run with edges and a card."""
    events = recorded.events(**more)
    edges = EdgesScored(edges=(EdgeScore(source=(0, 1), target=(2, 3), score=6.3),), n_pairs=960)
    return [*events[:-2], edges, CardWritten(card=CARD), *events[-2:]]


def scopes(app: Any) -> set[str]:
    """The tables of actions that are in sight."""
    nodes = [app.screen, *(each for each in app.screen.query("*") if each.region.area)]
    found = {action.scope for node in nodes for action in getattr(node, "actions", ())}
    if hasattr(app.screen, "bound_actions"):
        found |= {action.scope for action in app.screen.bound_actions}
    return found


async def go(app: Any, pilot: Any, name: str, text: str = "gone") -> None:
    """To a screen from any other."""
    while len(app.screen_stack) > 1:
        app.pop_screen()
        await pilot.pause()
    await pilot.press("2")
    for key in WAYS[name]:
        await pilot.press(key)
        await pilot.pause(0.02)
    if name == "trouble":
        app.push_screen(ErrorSheet(Failure(family="host", name="X", message=text, hint=text)))
    scope = "" if name == "keys" else name
    for _ in range(12_000):
        if scope in scopes(app):
            break
        await pilot.pause(0.005)
    assert scope in scopes(app), f"{WAYS[name]} does not lead to {name}"
