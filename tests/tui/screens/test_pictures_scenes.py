"""Pictures of every sheet and notable state, each with a line of what it shows and words that must appear.

HEADCODE_UPDATE_SNAPSHOTS=1 draws them anew.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from engine.errors import Failure
from sessions.events import RunEnded

from ..opening import at_rest
from ..worlds import WORLDS, own_settings

WIDE, SMALL = (160, 48), (80, 24)
SEEN = "seen: "


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """How to come to a picture, and what is in it."""

    sees: str
    """You should see …"""
    words: tuple[str, ...]
    """Texts to wait for before the picture is taken."""
    keys: tuple[str, ...] = ()
    """One that begins with SEEN is no key: it waits for these words, where a sheet opens when the host has answered."""
    size: tuple[int, int] = WIDE
    world: str = "done"
    options: tuple[tuple[str, Any], ...] = ()
    home: str = ""
    """Where Headcode's files lie, for a screen that names them."""
    own: bool = False
    """With some settings changed."""
    last: Callable[[Any], None] = lambda _: None
    """What is done to the app at last, as to a path of the machine that runs the tests."""


def _log_of_ada(app: Any) -> None:
    app.screen.log_list.border_title = "/home/ada/headcode/state/logs/host.log"


CHOOSE = ("seen: Subtract from run 1", *"great", "enter", "seen: this run minus")
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
        words=("Prompts by code", "attention, rows attend", "raises"),
        keys=("enter",),
        world="colours",
    ),
    "closer_small": Scene(
        sees="the same in 24 lines: two codes, the prompt, where its last token looks, what the code writes",
        words=("Prompts by code", "attends to", "raises"),
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
        words=("Evidence", "weak"),
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
        words=("Measure effects",),
        keys=("ctrl+p", *"effe"),
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
    "settings_wide": Scene(
        sees="every setting with its value and where that comes from, a swatch of the map, the files below; what the "
        "one at hand means and what it can be",
        words=("Theme", "The host and the engine", "keys.toml", "Takes effect at once."),
        keys=("comma",),
        home="/home/ada/headcode",
    ),
    "settings_small": Scene(
        sees="the map at hand, changed by its person in line 2 of the file, what it means and can be, how to get back",
        words=("magma", "line 2", "signs in the cells"),
        keys=("comma", "down"),
        size=SMALL,
        own=True,
    ),
    "sessions_wide": Scene(
        sees="five sessions with model, task, examples, runs, day and tags; the open one has a dot and is at hand; its "
        "examples below",
        words=("own words", "#draft", "2024-07-02"),
        keys=("S",),
        world="sessions",
    ),
    "sessions_small": Scene(
        sees="the same five with what there is room for; below the runs, examples and notes of the one at hand",
        words=("own words", "12 the good one done", "and 9 more", "run 1, 2.3: writes names"),
        keys=("S", "seen: own words", "down", "down"),
        size=SMALL,
        world="sessions",
    ),
    "difference_wide": Scene(
        sees="a grid in two colours from a neutral middle, signs in the cells, both values of the head at the cursor, "
        "which heads are in one circuit only",
        words=("this run minus greater/3", "+ higher here", "2.3 total variation"),
        keys=("d", *CHOOSE, "slash", "seen: Jump to head", *"2.3", "enter"),
        world="other",
    ),
    "difference_small": Scene(
        sees="the same in 24 lines, told by + and - as well as by colour",
        words=("this run minus greater/3", "2.3 total variation"),
        keys=("d", *CHOOSE, "slash", "seen: Jump to head", *"2.3", "enter"),
        size=SMALL,
        world="other",
    ),
    "choice_small": Scene(
        sees="what can be subtracted, by groups, each with a word about it, and a line to type part of its name",
        words=("Known circuits", "Runs of other sessions"),
        keys=("d",),
        size=SMALL,
        world="other",
    ),
    "progress_wide": Scene(
        sees="each stage with its time, steps done and left, the losses per seed as a curve, moving codes, and "
        "one run that is queued",
        words=("1 queued", "220"),
        keys=("i",),
        world="queued",
    ),
    "progress_small": Scene(
        sees="the same in 24 lines, the curve smaller, nothing cut off that matters",
        words=("220",),
        keys=("i",),
        size=SMALL,
        world="queued",
    ),
    "log_small": Scene(
        sees="four logs by name with their counts, the host's lines with hour and part, the error bright",
        words=("exit code -9", "MemoryError", "following"),
        keys=("G",),
        size=SMALL,
        world="logged",
        last=_log_of_ada,
    ),
    "circuits_small": Scene(
        sees="three saved circuits, two of them marked 1 and 2 to be combined, the one at the cursor previewed below",
        words=("name movers", "published", "union"),
        keys=("C", "space", "down", "space"),
        size=SMALL,
        world="circuits",
    ),
    "marks_wide": Scene(
        sees="double frames around three marked heads, signs of chance and seeds in every cell that has some, what "
        "both mean and what the marked heads come to above the grid",
        words=("3 marked", "● every seed"),
        # The ranking goes to every head at which the cursor rests.
        keys=("g", "space", "left", f"{SEEN}5.6  rank", "space", "up", f"{SEEN}4.6  rank", "space"),
    ),
    "cause_wide": Scene(
        sees="the exact effect as a measure of the grid and of the head's page, the known heads standing out",
        words=("Heads: exact effect",),
        keys=("full_stop", *"exact", "enter"),
        world="caused",
    ),
    "copy_small": Scene(
        sees="a sheet with the forms the grid can be copied in, their sizes and keys, over the dimmed grid",
        words=("Copy the grid", "Markdown", "SVG"),
        keys=("y",),
        size=SMALL,
    ),
    "note_small": Scene(
        sees="the head's page with a note of its person on it",
        words=("writes the other name",),
        keys=("3",),
        size=SMALL,
        world="noted",
    ),
    "sixteen_small": Scene(
        sees="the terminal's own sixteen colours, the grid in shades, circuit and known heads told by signs",
        words=("AUC 1.00",),
        size=SMALL,
        options=(("depth", "16"),),
    ),
    "day_wide": Scene(
        sees="dark on light, the same five framed heads, every word readable",
        words=("AUC 1.00",),
        options=(("theme", "day"),),
    ),
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
async def test_scenes(
    scene: Scene,
    recorded: Any,
    open_screen: Any,
    screenshot: Any,
    text_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = WORLDS[scene.world](recorded)
    options = dict(scene.options) | ({"settings": own_settings()} if scene.own else {})
    if scene.home:
        monkeypatch.setenv("HEADCODE_HOME", scene.home)
    async with open_screen(host, size=scene.size, **options) as (app, pilot, until):
        if scene.world == "failed":
            failure = Failure(
                family="engine", name="NotEnoughMemory", message="Not enough memory.", hint="Take fewer examples."
            )
            await host.tell(RunEnded(state="failed", failure=failure))
        for key in scene.keys:
            if key.startswith(SEEN):
                words = key.removeprefix(SEEN)
                await until(partial(lambda words: words in text_of(app), words))
            else:
                await pilot.press(key)
        await until(lambda: all(each in text_of(app) for each in scene.words))
        if scene.world == "colours":
            await until(lambda: all(app.screen.inspector.look_at(example) for example in app.screen.prompts.in_sight))
        await at_rest(app, pilot)
        for cursor in app.screen.query("Input"):
            cursor.cursor_blink = False
        scene.last(app)
        await pilot.pause()
        screenshot(app)


def test_every_scene_says_what_is_to_be_seen() -> None:
    assert len(SCENES) >= 18
    assert all(len(scene.sees.split()) > 6 and scene.words for scene in SCENES.values())
