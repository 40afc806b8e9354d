"""The way to every screen and sheet, for tests that visit all of them in one workbench."""

from typing import Any

from engine.errors import Failure
from engine.events import CardWritten, EdgesScored
from engine.nodes import EMBEDDING, mlp
from engine.results import Card, EdgeScore
from tui.actions.registry import all_tables
from tui.screens.document import DocumentScreen
from tui.screens.error import ErrorSheet
from tui.state.documents import documents

from ..run_parts import weak_card

WAYS: dict[str, tuple[str, ...]] = {
    "keys": (),
    "examples": ("show_pane.examples",),
    "head-page": ("show_pane.head",),
    "write": ("write",),
    "write-in-a-line": ("write", "write:choose.down", "write:edit"),
    "negatives": ("write", "write:negatives"),
    "files": ("write", "write:read"),
    "tasks": ("write", "write:take"),
    "options": ("options",),
    "progress": ("progress",),
    "close-look": ("close_up",),
    "mlp-page": ("close_up",),
    "embedding-page": ("close_up",),
    "places-by-layer": ("stream_grid",),
    "side-by-side": ("side_by_side",),
    "explanation": ("close_up", "close-look:explain"),
    "families": ("close_up", "close-look:explain", "explanation:families"),
    "switch-off": ("switch_off",),
    "steering": ("close_up", "close-look:steer"),
    "atlas": ("atlas",),
    "scatter": ("scatter",),
    "edges": ("edges",),
    "table-of-heads": ("table",),
    "runs": ("runs",),
    "circuits": ("circuits",),
    "sweeps": ("sweeps",),
    "sweep": ("sweeps", "sweeps:open"),
    "sessions": ("sessions",),
    "new-session": ("sessions", "sessions:new"),
    "copy-the-grid": ("copy",),
    "log": ("log",),
    "replay": ("replay", "replay:play", "replay:edge.start"),
    "tour": ("tour",),
    "card": ("card",),
    "help": ("keys",),
    "jump": ("jump_labels",),
    "document": (),
    "question": ("jump",),
    "choice": ("difference",),
    "settings": ("settings",),
    "trouble": (),
}
"""From the workbench to each screen, by the ids of the actions; a new one is missed by the first test."""
NODE_PAGES = {"mlp-page": mlp(1), "embedding-page": EMBEDDING}
"""Pages of a node that is no head."""
_KEYS = {action.full_id: action.keys[0] for table in all_tables().values() for action in table}


def whole(recorded: Any, *, card: Card | None = None, **more: Any) -> list[Any]:
    """A finished run with edges and a card."""
    events = recorded.events(**more)
    edges = EdgesScored(edges=(EdgeScore(source=(0, 1), target=(2, 3), score=6.3),), n_pairs=960)
    return [*events[:-2], edges, CardWritten(card=card or weak_card()), *events[-2:]]


def scopes(app: Any) -> set[str]:
    """The tables of actions that are in sight."""
    nodes = [app.screen, *(each for each in app.screen.query("*") if each.region.area)]
    found = {action.scope for node in nodes for action in getattr(node, "actions", ())}
    if hasattr(app.screen, "bound_actions"):
        found |= {action.scope for action in app.screen.bound_actions}
    return found


def put_cursor(app: Any, name: str) -> None:
    """The cursor on a node that the page of this name is of; else on one that is in the grid."""
    state = app.state
    if name in NODE_PAGES:
        state.cursor = NODE_PAGES[name]  # also of a run with heads alone, whose grid it is not in
    elif state.view() is not None and ("close_up" in WAYS.get(name, ()) or state.cursor not in state.places()):
        state.cursor = next(node for node in state.view().order if node.is_head)


async def go(app: Any, pilot: Any, name: str, text: str = "gone") -> None:
    """To a screen from any other."""
    while len(app.screen_stack) > 1:
        app.pop_screen()
        await pilot.pause()
    put_cursor(app, "")
    await pilot.press("2")
    put_cursor(app, name)
    for action in WAYS[name]:
        await pilot.press(_KEYS[action])
        await pilot.pause(0.02)
    if name == "trouble":
        app.push_screen(ErrorSheet(Failure(family="host", name="X", message=text, hint=text)))
    if name == "document":  # reached by its name in the palette
        app.push_screen(DocumentScreen(documents()[0]))
    scope = "" if name == "keys" else name
    for _ in range(12_000):
        if scope in scopes(app):
            break
        await pilot.pause(0.005)
    assert scope in scopes(app), f"{WAYS[name]} does not lead to {name}"
