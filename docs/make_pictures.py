"""Draw the pictures of README and docs with the real program: real host, real worker, bundled model.

.venv/bin/python docs/make_pictures.py [DRAWING ...]     # main, walks, codes, text, sweep; all of them without one
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App
    from textual.pilot import Pilot

    from tui.app.app import HeadcodeApp

FOLDER = Path(__file__).parent
WAIT_S = 120
Shot = tuple[tuple[str, ...], str, str]
"""Keys, a text that the screen then shows, and the picture's name; empty: none is drawn."""


async def draw() -> None:
    """Draw the workbench and its main screens."""
    async with opened(None) as (app, pilot):
        # The recorded run is shown at once; the pictures of single heads need the engine.
        await wait(pilot, lambda: app.state.worker is not None and app.state.worker.worker_state == "warm", "engine")
        await pilot.pause(1)
        save(app.export_screenshot(title="headcode", simplify=True), "screen.svg")
        shots = ((("e",), "edges.svg"), (("enter", "c"), "closer.svg"), (("p", "end", "less_than_sign"), "replay.svg"))
        for keys, name in shots:
            for key in keys:
                await pilot.press(key)
                await pilot.pause(2)
            await wait(pilot, lambda: "asking the model" not in text_of(app), "answer")
            save(app.export_screenshot(title="headcode", simplify=True), name)
            await pilot.press("escape")
            await pilot.pause(1)
        await pilot.press("m")
        await pilot.resize_terminal(80, 24)
        await pilot.pause(1)
        save(app.export_screenshot(title="headcode", simplify=True), "screen-80x24.svg")


async def draw_walks() -> None:
    """Press the keys of docs/first-hour.md and draw the pictures that it names."""
    sys.path.insert(0, str(FOLDER))
    from walk import FILE, keys_of, read_walks

    async with opened(None, tour=True) as (app, pilot):
        for stroke in (stroke for each in read_walks(FILE.read_text(encoding="utf-8")) for stroke in each):
            for key in keys_of(stroke):
                await pilot.press(key)
            sees = stroke.sees
            await wait(pilot, lambda sees=sees: all(each in text_of(app) for each in sees), f"{sees}")  # type: ignore[misc]
            if stroke.picture:
                await pilot.pause(3)  # answers of the host still arrive
                save(app.export_screenshot(title="headcode", simplify=True), stroke.picture)


async def draw_codes() -> None:
    """Draw a steered head, what a code answers to, and families of codes."""
    asked = ["probe", "greater_than", "--codes", "32", "--seeds", "1", "--name", "the later year", "-q"]
    await run_headcode(*asked)
    async with opened("the later year") as (app, pilot):
        shots: tuple[Shot, ...] = (
            (("enter",), "Head 2.6 on prompt 1", ""),
            (("d", "m", "w"), "strength 1 is", ""),
            (("enter",), "as it is", "steer.svg"),
            (("escape", "escape", "slash", *"2.3", "enter"), "2.3 total variation", ""),
            (("enter",), "Head 2.3 on prompt 1", ""),
            (("x",), "now recorded with the run", "explain.svg"),
            (("f",), "chance: mean of 20 shuffles", "families.svg"),
        )
        await shoot(app, pilot, shots)


async def draw_text() -> None:
    """Draw what heads do on ordinary text, and the form of a new session."""
    async with opened(None) as (app, pilot):
        shots: tuple[Shot, ...] = (
            (("F",), "r read", ""),
            (("r",), "passages; read in", ""),
            (("pause",), "on these", "atlas.svg"),
            (("escape", "Y"), "total variation by copying", "scatter.svg"),
            (("escape", "S"), "first light", ""),
            (("n", *"gifts", "enter"), "fits: ", ""),
            (("down",) * 6, "chosen: smollm2-135m", "new-session.svg"),
        )
        await shoot(app, pilot, shots)


async def draw_sweep() -> None:
    """Run the adder's checkpoints and draw the sweep as a table, and its births."""
    axes = ["--task", "addition", "--model", "adder", "--checkpoint", "all", "--draws", "3", "--cause", "exact"]
    await run_headcode("sweep", *axes)
    async with opened(None) as (app, pilot):
        shots: tuple[Shot, ...] = (
            (("W",), "39", ""),
            (("enter",), "39 of 39 done", ""),
            (("m", "m"), "exact effect of", "sweep.svg"),
            (("b",), "steps later", "births.svg"),
        )
        await shoot(app, pilot, shots)


async def run_headcode(*arguments: str) -> None:
    """Run a command. Raises SystemExit if it fails."""
    ran = await asyncio.create_subprocess_exec(Path(sys.executable).with_name("headcode"), *arguments)
    if await ran.wait():
        raise SystemExit(f"headcode {arguments[0]} failed; headcode host log says why.")


@asynccontextmanager
async def opened(session: str | None, *, tour: bool = False) -> "AsyncIterator[tuple[HeadcodeApp, Pilot[None]]]":
    """Open the workbench in full colours, whatever the calling terminal supports; wait for its run."""
    from engine.machine.folders import find_folders
    from sessions.client.connection import HostClient
    from tui.app.app import HeadcodeApp

    async def connect() -> HostClient:
        return await HostClient.connect(find_folders())

    app = HeadcodeApp(connect, session=session, model="toy", task="ioi", depth="full", theme="night", tour=tour)  # type: ignore[arg-type]
    async with app.run_test(size=(160, 48)) as pilot:
        await wait(pilot, lambda: app.state.shown is not None, "a run")
        yield app, pilot


async def shoot(app: "HeadcodeApp", pilot: "Pilot[None]", shots: Sequence[Shot]) -> None:
    """Press the keys of every shot, wait until its text is on the screen, and draw it if it has a name."""
    for keys, seen, name in shots:
        await pilot.press(*(key for key in keys if key != "pause"))
        await wait(pilot, lambda seen=seen: seen in text_of(app), f"{seen!r} after {keys}")  # type: ignore[misc]
        if name:
            await pilot.pause(3)  # answers of the host still arrive
            save(app.export_screenshot(title="headcode", simplify=True), name)


async def wait(pilot: "Pilot[None]", holds: Callable[[], object], words: str) -> None:
    """Wait for it. Raises SystemExit after two minutes."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > WAIT_S:
            raise SystemExit(f"No {words} within {WAIT_S} s; headcode host log says why.\n{text_of(pilot.app)}")
        await pilot.pause(0.1)


def text_of(app: "App[Any]") -> str:
    """Return the screen as lines of text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def save(svg: str, name: str) -> None:
    """Save the picture without ids that differ between drawings, in a font that every viewer has."""
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    (FOLDER / name).write_text(svg.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")


DRAWINGS = {"main": draw, "walks": draw_walks, "codes": draw_codes, "text": draw_text, "sweep": draw_sweep}


def main() -> None:
    for name in sys.argv[1:] or DRAWINGS:
        with tempfile.TemporaryDirectory(prefix="hc") as home:
            os.environ["HEADCODE_HOME"] = home
            try:
                asyncio.run(DRAWINGS[name]())
            finally:
                subprocess.run([Path(sys.executable).with_name("headcode"), "host", "stop"], check=False)


if __name__ == "__main__":
    main()
