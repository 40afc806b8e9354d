"""Pictures of every sheet and notable state, each with what a person must find in it, and words that must stand there.

HEADCODE_UPDATE_SNAPSHOTS=1 draws them anew.
"""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from engine.config import ProbeConfig, SAEConfig
from engine.errors import Failure
from engine.events import CardWritten, EdgesScored
from engine.results import Card, CardBaseline, CardHead, EdgeScore, Steadiness
from sessions.errors import StoreTooNew
from sessions.log import RunEnded

WIDE, SMALL = (160, 48), (80, 24)
CARD = Card(
    verdict="weak",
    reasons=("3 of the circuit's 5 heads stand above chance", "other seeds give other circuits (Jaccard .60)"),
    advice=("use more seeds (--seeds 8)", "write at least 10 of each side"),
    above_chance=((2, 3), (3, 6), (5, 7)),
    expected_false=0.25,
    heads=tuple(
        CardHead(layer=layer, head=head, q_value=0.04, seeds=1.0, bootstraps=0.87, effect=0.12)
        for layer, head in ((2, 3), (3, 6), (5, 7))
    ),
    steadiness=Steadiness(seeds=0.6, bootstraps=0.7, n_bootstraps=100, heads=(0.87, 0.9, 0.5)),
    truth="ioi, measured",
    codes_auc=0.95,
    baselines=(CardBaseline(measure="baseline_mean_difference", shared=0.4, auc=0.9),),
    movers=0.8,
)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """How to come to a picture, and what is in it."""

    sees: str
    """You should see …"""
    words: tuple[str, ...]
    """Texts that stand there; the picture is taken when they do."""
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = WIDE
    world: str = "done"
    options: tuple[tuple[str, Any], ...] = ()


SCENES: dict[str, Scene] = {
    "first_start_wide": Scene(
        sees="no example and no grid yet, the engine loading, the run's stages to come, every key that does something",
        words=("first light",),
        world="begun",
    ),
    "failed_small": Scene(
        sees="a run that failed: why, what to do, and a notice over the grid that says the same",
        words=("The run failed", "Not enough memory"),
        size=SMALL,
        world="failed",
        options=(("notifications", True),),
    ),
    "trouble_small": Scene(
        sees="a store of a later version: what is wrong with which file, what to do, r to try again and q to leave",
        words=("sessions.duckdb was", "Update Headcode."),
        size=SMALL,
        world="trouble",
    ),
    "closer_wide": Scene(
        sees="codes with counts on both sides, coloured prompts, a triangle of attention, words raised and lowered",
        words=("Codes and who carries them", "attention, a row looks", "raises"),
        keys=("enter",),
        world="colours",
    ),
    "closer_small": Scene(
        sees="the same in 24 lines: two codes, the prompt, where its last token looks, what the code writes",
        words=("Codes and who carries them", "looks at", "raises"),
        keys=("enter",),
        size=SMALL,
        world="colours",
    ),
    "edges_wide": Scene(
        sees="a ranked list of edges beside the circuit by layers, the chosen edge and its heads bright",
        words=("Circuit by layers", "24 of 30 edges"),
        keys=("e", "down"),
    ),
    "edges_small": Scene(
        sees="seven edges over a drawing that may be panned, the edge cut at 12",
        words=("12 of 30 edges",),
        keys=("e", *["t"] * 12),
        size=SMALL,
    ),
    "table_wide": Scene(
        sees="all 48 heads by all measures, the sorted column marked, the circuit's heads in brackets",
        words=("48 heads", "mean°"),
        keys=("L",),
    ),
    "table_filtered_small": Scene(
        sees="only heads of the later layers, what was filtered said in the title, the keys below",
        words=("layer > 3",),
        keys=("L", "slash", *"layer", "space", "greater_than_sign", "space", "3", "enter"),
        size=SMALL,
    ),
    "runs_wide": Scene(
        sees="two runs side by side, each with its settings, its best heads and a small grid; the second one shown",
        words=("2 runs by", "50 codes"),
        keys=("R",),
        world="two",
    ),
    "card_small": Scene(
        sees="the verdict weak, why, what to change, heads above chance with how many of them to expect by chance",
        words=("How far to believe it", "weak"),
        keys=("b",),
        size=SMALL,
    ),
    "options_wide": Scene(
        sees="every option of the next run with value and default, the one at hand explained, presets above",
        words=("preset", "default"),
        keys=("O",),
    ),
    "tour_wide": Scene(
        sees="a small sheet in the corner, step 3 of 7, over the grid it speaks of",
        words=("3 of 7", "The grid"),
        keys=("f1", "enter", "enter"),
    ),
    "palette_small": Scene(
        sees="a line to type in and the actions that do something now, each with its key and what it does",
        words=("Measure the cause",),
        keys=("ctrl+p", *"caus"),
        size=SMALL,
    ),
    "overlay_wide": Scene(
        sees="the known circuit taken off the grid: no ◆ and no AUC",
        words=("[ ] circuit",),
        keys=("o",),
    ),
    "head_small": Scene(
        sees="the head's page as a tab: rank, every measure with a bar, codes further down",
        words=("rank 1 of 48", "without an SAE"),
        keys=("3",),
        size=SMALL,
    ),
    "contrast_wide": Scene(
        sees="white on black, heavy lines, the same five framed heads",
        words=("AUC 1.00",),
        options=(("theme", "contrast"),),
    ),
    "mono_small": Scene(
        sees="a grid of shades and digits, no cell coloured; circuit and known heads told by brackets and ◆",
        words=("AUC 1.00",),
        size=SMALL,
        options=(("depth", "none"),),
    ),
}


def _events(recorded: Any, **more: Any) -> list[Any]:
    """A whole run with edges between its better heads and a card."""
    events = recorded.events(**more)
    draw = random.Random(3)
    heads = [(layer, draw.randrange(8)) for layer in range(6) for _ in range(2)]
    pairs = [(a, b) for a in heads for b in heads if a[0] < b[0]][:30]
    edges = [EdgeScore(source=a, target=b, score=9.0 - place / 5) for place, (a, b) in enumerate(pairs)]
    return [*events[:-2], EdgesScored(edges=tuple(edges), n_pairs=960), CardWritten(card=CARD), *events[-2:]]


def _begun(recorded: Any) -> Any:
    host = recorded.host()
    host.add(*recorded.events(until="load"))
    return host


def _failed(recorded: Any) -> Any:
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    return host


def _trouble(recorded: Any) -> Any:
    host = recorded.host()
    words = "The store /home/ada/sessions.duckdb was written by Headcode 0.9, which is later than this one."
    host.refuse_connect = StoreTooNew(words, hint="Update Headcode.")
    host.entries.clear()
    return host


def _done(recorded: Any) -> Any:
    host = recorded.host()
    host.add(*_events(recorded))
    return host


def _two(recorded: Any) -> Any:
    host = _done(recorded)
    host.add(*_events(recorded, config=ProbeConfig(sae=SAEConfig(n_codes=50, sparsity=0.02))))
    return host


WORLDS: dict[str, Callable[[Any], Any]] = {
    "begun": _begun,
    "failed": _failed,
    "trouble": _trouble,
    "done": _done,
    "colours": _done,
    "two": _two,
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
async def test_scenes(scene: Scene, recorded: Any, open_screen: Any, screenshot: Any, text_of: Any) -> None:
    host = WORLDS[scene.world](recorded)
    async with open_screen(host, size=scene.size, **dict(scene.options)) as (app, pilot, until):
        if scene.world == "failed":
            failure = Failure(
                family="engine", name="NotEnoughMemory", message="Not enough memory.", hint="Take fewer examples."
            )
            await host.tell(RunEnded(state="failed", failure=failure))
        await pilot.press(*scene.keys)
        await until(lambda: all(each in text_of(app) for each in scene.words))
        if scene.world == "colours":
            await until(lambda: all(app.screen.desk.look_at(example) for example in app.screen.prompts.in_sight))
        await pilot.pause(0.3)
        for cursor in app.screen.query("Input"):
            cursor.cursor_blink = False
        await pilot.pause()
        screenshot(app)


def test_every_scene_says_what_is_to_be_seen() -> None:
    assert len(SCENES) >= 18
    assert all(len(scene.sees.split()) > 6 and scene.words for scene in SCENES.values())
