"""Every action of the pages inside nodes, by its key on real sessions with MLPs, at both sizes."""

from typing import Any

import msgspec

from .conftest import SHORT

CONFIG = msgspec.structs.replace(SHORT, nodes="all")
"""Of this module's runs."""


def node(walk: Any) -> Any:
    """The node that the page is of."""
    return walk.app.state.cursor


def token(walk: Any) -> Any:
    """The token at hand, with what is said of it."""
    return walk.app.screen.places.lines(walk.app.screen.places.size)[0].text


def replaced(walk: Any) -> Any:
    """What is replaced, as it is drawn: the stream, attention or MLPs."""
    view = walk.app.screen.view
    return str(view.lines(view.size)[0])


def steered(name: str) -> Any:
    """What is chosen on the steering screen."""
    return lambda walk: getattr(walk.app.screen.steer, name)


def first(walk: Any) -> Any:
    """The first line of the explanation in sight."""
    return walk.app.screen.explaining.first


def top(walk: Any) -> Any:
    """The first line of the families in sight."""
    return walk.app.screen.view.first


MLP_PAGE = (
    ("neuron.next", r"~ Neuron 2\.(\d+) on"),
    ("neuron.previous", r"~ Neuron 2\.(\d+) on"),
    ("order", "neurons by difference", (), "g", "neurons by attribution"),
    ("step.down", "on prompt 2"),
    ("step.up", "on prompt 1", (), (), " here "),
    ("walk.left", token),
    ("walk.right", token),
    ("through", "Through whom m2 acts", (), ("/each alone/", "t"), "- Through whom"),
    ("steer", "Dose and response", (), ("/KL divergence/", "escape"), " here "),
    ("explain", "read from their end", (), "escape", "- read from their end"),
    ("rank.next", node, (), ("escape", "slash", "'m2'", "enter", "enter"), "MLP m2 neurons"),
    ("rank.previous", node, (), ("escape", "slash", "'m2'", "enter", "enter"), "MLP m2 neurons"),
    ("close", "2 Nodes: "),
)
EMBEDDING_PAGE = (
    ("step.next", "prompt 2"),
    ("step.previous", "prompt 1", (), (), " here "),
    ("walk.left", token),
    ("walk.right", token),
    ("through", "Through whom emb acts", (), ("/each alone/", "t"), "- Through whom"),
    ("explain", "read from their end", (), "escape", "- read from their end"),
    ("rank.previous", node, (), ("escape", "slash", "'emb'", "enter", "enter"), "in every circuit"),
    ("close", "2 Nodes: "),
)
EXPLANATION = (
    ("scroll.down", first),
    ("scroll.up", first),
    ("code.next", r"~ Code (\d+) of"),
    ("code.previous", r"~ Code (\d+) of"),
    ("families", "the side", (), "escape", "- the side"),
    ("close", "MLP m2 neurons"),
)
FAMILIES = (
    ("scroll.down", top),
    ("scroll.up", top),
    ("page.down", top),
    ("page.up", top),
    ("close", "read from their end"),
)
PLACES_BY_LAYER = (
    ("kind.next", replaced),
    ("kind.previous", replaced),
    ("move.down", "layer 1, "),
    ("move.up", "layer 0, "),
    ("move.left", r"~ layer 0, (\S+)"),
    ("move.right", "layer 0, -1"),
    ("prompt.next", ", prompt 1"),
    ("prompt.previous", ", mean of"),
    ("close", "2 Nodes: "),
)
SIDE_BY_SIDE = (
    ("step.down", "prompt 2"),
    ("step.up", "prompt 1", (), (), "attends to"),
    ("walk.left", r"~ (\S+) attends to"),
    ("walk.right", r"~ (\S+) attends to"),
    ("page.next", r"~ (\d+) to \d+ of 32"),
    ("page.previous", r"~ (\d+) to \d+ of 32"),
    ("close", "2 Nodes: "),
)
SWITCH_OFF = (
    ("kind.next", "by their mean", (), (), "KL divergence"),
    ("kind.previous", "by their value on the paired", (), (), "KL divergence"),
    ("step.down", "off on prompt 2"),
    ("step.up", "off on prompt 1"),
    ("close", "2 Nodes: "),
)
KL = "KL divergence"
STEERING = (
    ("kind.next", steered("choice"), (), (), KL),
    ("kind.previous", steered("choice"), (), (), KL),
    ("strength.down", steered("strength"), (), (), KL),
    ("strength.up", steered("strength"), (), (), KL),
    ("code.next", steered("code"), (), (), KL),
    ("code.previous", steered("code"), (), (), KL),
    ("where", steered("where"), (), (), KL),
    ("prompt.next", "on prompt 2", (), (), KL),
    ("prompt.previous", "on prompt 1", (), (), KL),
    ("measure", "░ 20 random directions", (), ("w",), KL),
    ("recorded.older", "recorded 1 of 1"),
    ("recorded.newer", "- recorded 1 of 1"),
    ("close", "Prompts by code"),
)


def first(walk: Any) -> Any:
    """The node at the top of the list."""
    return walk.app.screen.atlas.listed()[0]


def scrolled(walk: Any) -> Any:
    return walk.app.screen.page.first


def fetched(walk: Any) -> Any:
    """Which atlas is asked for: at first that of the model, then the one that was read."""
    return walk.app.screen.atlas.request


def axes(walk: Any) -> Any:
    """What the scatter shows."""
    return walk.app.screen.scatter.vertical.id, walk.app.screen.scatter.horizontal.id


ATLAS = (
    ("read", fetched, (), ("/tokens of toy/",), "kind"),
    ("stop", "nothing is being read"),
    ("step.down", node),
    ("step.up", node),
    ("step.page_down", node),
    ("step.page_up", node),
    ("sort.right", "▾previous"),
    ("turn", first),
    ("sort.left", "- ▴previous"),
    ("search", "Search the atlas", (), "escape", "Atlas · "),
    ("place", "Search the atlas", (), "escape", "Atlas · "),
    ("scroll.down", scrolled),
    ("scroll.up", scrolled),
    ("mark", "1 marked", (), ("space",), "- 1 marked"),
    ("show", "2 Nodes: ", (), ("F", "/Atlas · /"), "Atlas · "),
    ("close", "2 Nodes: "),
)
SCATTER = (
    ("move.down", node),
    ("move.up", node),
    ("move.left", node),
    ("move.right", node),
    ("rank.next", node),
    ("rank.previous", node),
    ("across.next", axes),
    ("across.previous", axes),
    ("up.next", axes),
    ("up.previous", axes),
    ("choose_across", "Across", (), "escape", "by copying"),
    ("choose_up", "words to search for", (), "escape", "by copying"),
    ("swap", axes),
    ("mark", "1 marked", (), ("space",), "- 1 marked"),
    ("show", "2 Nodes: ", (), ("Y", "/by copying/"), "by copying"),
    ("close", "2 Nodes: "),
)
ALL_HEADS = tuple(key for layer in range(4) for key in ("slash", f"'{layer}.1'", "enter", "a"))
INSIDE: dict[str, Any] = {
    "mlp-page": (("slash", "'m2'", "enter", "enter", "/exact ·/"), MLP_PAGE),
    "embedding-page": (("slash", "'emb'", "enter", "enter", "/ here /"), EMBEDDING_PAGE),
    "places-by-layer": (("P", "/mean of/"), PLACES_BY_LAYER),
    "side-by-side": ((*ALL_HEADS, "H", "/attends to/"), SIDE_BY_SIDE),
    "explanation": (("slash", "'m2'", "enter", "enter", "/exact ·/", "x", "/read from their end/"), EXPLANATION),
    "families": (("x", "/read from their end/", "f", "/the side/"), FAMILIES),
    "switch-off": (("escape", "escape", "z", "/KL divergence/"), SWITCH_OFF),
    "steering": (("slash", "'1.2'", "enter", "enter", "/attends to/", "d", "/KL divergence/"), STEERING),
    "atlas": (("escape", "u", "F", "/Atlas · /"), ATLAS),
    "scatter": (("Y", "/by copying/"), SCATTER),
}
"""By table of actions: the way there from where the one before ended, and the steps."""


async def test_every_key_inside_nodes(size: tuple[int, int], opened: Any) -> None:
    async with opened(size) as (_app, walk):
        for scope, (way, steps) in INSIDE.items():
            await walk.on(scope, way, steps)
