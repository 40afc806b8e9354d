"""Pictures of the pages inside nodes and of the edges of a run with MLPs, at both sizes.

Each has a line of what it shows and words that must appear. HEADCODE_UPDATE_SNAPSHOTS=1 draws them anew.
"""

from functools import partial
from typing import Any

import msgspec
import pytest

from engine.nodes import EMBEDDING, NodeId, mlp
from sessions.events import DrawingChanged, NodeGroup

from ..opening import at_rest

SIZES = {"wide": (160, 48), "small": (80, 24)}
SEEN = "seen: "
HEAD = NodeId(2, 3)
SCENES: dict[str, tuple[str, NodeId, tuple[str, ...], tuple[str, ...]]] = {
    "head_places": (
        "a head's page: below its attention, its effect at each token of the prompt, on this one and as the mean",
        HEAD,
        ("enter", "seen: attends to"),
        (" here ", "mean"),
    ),
    "head_through": (
        "the same with the later nodes through which the head acts, each with its own signed bar",
        HEAD,
        ("enter", "seen: attends to", "t"),
        ("Through whom 2.3 acts", "each alone"),
    ),
    "neurons": (
        "an MLP's page: neurons by attribution, the prompt's tokens coloured by one's activation, what it writes",
        mlp(2),
        ("enter", "seen: Neuron 2.0 on", "right_square_bracket"),
        ("MLP m2 neurons", "Neuron 2.1 on prompt 1", " here "),
    ),
    "embedding": (
        "the embedding's page: what it is, and the effect of replacing each of its tokens",
        EMBEDDING,
        ("enter",),
        ("in every circuit", " here "),
    ),
    "places_by_layer": (
        "a grid of layers by tokens, the numbers of the place under the cursor below",
        HEAD,
        ("P", "seen: mean of", "down", "down"),
        ("layer 2, -1",),
    ),
    "side_by_side": (
        "the attention of three marked heads side by side on one prompt, with where the last token looks",
        HEAD,
        ("space", "left", "space", "left", "space", "H"),
        ("attends to",),
    ),
    "switched_off": (
        "the most probable next tokens before and after a node is turned off, and the divergence",
        HEAD,
        ("z",),
        ("KL divergence",),
    ),
    "folded_edges": (
        "edges of heads and MLPs, three heads in one box, its edges as sums with how many were added up",
        HEAD,
        ("e", "seen: ( ) folded"),
        ("(a early heads ×3)", "Σ"),
    ),
}
EARLY = NodeGroup(name="early heads", nodes=((0, 0), (0, 5), (1, 2)), folded=True)


@pytest.mark.parametrize("picture", [f"{name}_{size}" for name in SCENES for size in SIZES])
async def test_inside(picture: str, nodes_host: Any, open_screen: Any, screenshot: Any, text_of: Any) -> None:
    name, _, size = picture.rpartition("_")
    _, node, keys, words = SCENES[name]
    host = nodes_host.only(nodes_host.with_mlps)
    last = host.entries[-1]
    drawn = DrawingChanged(groups=(EARLY,), most=40)
    host.entries.append(msgspec.structs.replace(last, seq=last.seq + 1, run_id=host.with_mlps, event=drawn))
    async with open_screen(host, size=SIZES[size]) as (app, pilot, until):
        await pilot.press("2")
        app.state.put_cursor(*node)
        app.screen.drawing.now()
        await until(lambda: app.state.cursor == node)  # and its codes are here
        for key in keys:
            if key.startswith(SEEN):
                await until(partial(lambda seen: seen in text_of(app), key.removeprefix(SEEN)))
            else:
                await pilot.press(key)
        await until(lambda: all(each in text_of(app) for each in words))
        await at_rest(app, pilot)
        screenshot(app)


def test_every_scene_says_what_is_to_be_seen() -> None:
    assert all(len(sees.split()) > 6 and words for sees, _, _, words in SCENES.values())
