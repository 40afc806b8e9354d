"""Draw the pictures of README and docs with the real program: real host, real worker, bundled model.

.venv/bin/python docs/make_pictures.py
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.app.app import HeadcodeApp

FOLDER = Path(__file__).parent
WAIT_S = 120


async def draw() -> None:
    """Draw the workbench and its main screens."""
    from engine.machine.folders import find_folders
    from sessions.client.connection import HostClient
    from tui.app.app import HeadcodeApp

    async def connect() -> HostClient:
        return await HostClient.connect(find_folders())

    # Full colours, whatever the calling terminal supports.
    app = HeadcodeApp(connect, session=None, model="toy", task="ioi", depth="full", theme="night")  # type: ignore[arg-type]
    async with app.run_test(size=(160, 48)) as pilot:
        begun = time.monotonic()
        # The recorded run is shown at once; the pictures of single heads need the engine.
        while app.state.shown is None or app.state.worker is None or app.state.worker.worker_state != "warm":
            if time.monotonic() - begun > WAIT_S:
                raise SystemExit(f"No grid or no engine after {WAIT_S} s; headcode host log says why.")
            await pilot.pause(0.2)
        await pilot.pause(1)
        save(app.export_screenshot(title="headcode", simplify=True), "screen.svg")
        shots = ((("e",), "edges.svg"), (("enter", "c"), "closer.svg"), (("p", "end", "less_than_sign"), "replay.svg"))
        for keys, name in shots:
            for key in keys:
                await pilot.press(key)
                await pilot.pause(2)
            begun = time.monotonic()
            while "asking the model" in text_of(app):
                if time.monotonic() - begun > WAIT_S:
                    raise SystemExit(f"No answer of the engine after {WAIT_S} s; headcode host log says why.")
                await pilot.pause(0.2)
            save(app.export_screenshot(title="headcode", simplify=True), name)
            await pilot.press("escape")
            await pilot.pause(1)
        await pilot.press("m")
        await pilot.resize_terminal(80, 24)
        await pilot.pause(1)
        save(app.export_screenshot(title="headcode", simplify=True), "screen-80x24.svg")


async def draw_walks() -> None:
    """Press the keys of docs/first-hour.md and draw the pictures that it names."""
    from engine.machine.folders import find_folders
    from sessions.client.connection import HostClient
    from tui.app.app import HeadcodeApp

    sys.path.insert(0, str(FOLDER))
    from walk import FILE, keys_of, read_walks

    async def connect() -> HostClient:
        return await HostClient.connect(find_folders())

    app = HeadcodeApp(connect, session=None, model="toy", task="ioi", depth="full", theme="night", tour=True)  # type: ignore[arg-type]
    async with app.run_test(size=(160, 48)) as pilot:
        for stroke in (stroke for each in read_walks(FILE.read_text(encoding="utf-8")) for stroke in each):
            for key in keys_of(stroke):
                await pilot.press(key)
            begun = time.monotonic()
            while not all(each in text_of(app) for each in stroke.sees):
                if time.monotonic() - begun > WAIT_S:
                    raise SystemExit(f"After {stroke.keys} there is no {stroke.sees}:\n{text_of(app)}")
                await pilot.pause(0.1)
            if stroke.picture:
                await pilot.pause(3)  # answers of the host still arrive
                save(app.export_screenshot(title="headcode", simplify=True), stroke.picture)


async def draw_sweep() -> None:
    """Run the adder's checkpoints and draw the sweep as a table, and its births."""
    from engine.machine.folders import find_folders
    from sessions.client.connection import HostClient
    from tui.app.app import HeadcodeApp

    axes = ["--task", "addition", "--model", "adder", "--checkpoint", "all", "--draws", "3", "--cause", "exact"]
    swept = await asyncio.create_subprocess_exec(Path(sys.executable).with_name("headcode"), "sweep", *axes)
    if await swept.wait():
        raise SystemExit("The sweep failed; headcode host log says why.")

    async def connect() -> HostClient:
        return await HostClient.connect(find_folders())

    app = HeadcodeApp(connect, session=None, model="toy", task="ioi", depth="full", theme="night")  # type: ignore[arg-type]
    async with app.run_test(size=(160, 48)) as pilot:
        shots = (
            (("W",), "39", ""),
            (("enter",), "39 of 39 done", ""),
            (("m", "m"), "exact effect of", "sweep.svg"),
            (("b",), "steps later", "births.svg"),
        )
        while app.state.shown is None:
            await pilot.pause(0.2)
        for keys, seen, name in shots:
            await pilot.press(*keys)
            begun = time.monotonic()
            while seen not in text_of(app):
                if time.monotonic() - begun > WAIT_S:
                    raise SystemExit(f"After {keys} there is no {seen!r}:\n{text_of(app)}")
                await pilot.pause(0.2)
            await pilot.pause(1)
            if name:
                save(app.export_screenshot(title="headcode", simplify=True), name)


def text_of(app: "HeadcodeApp") -> str:
    """Return the screen as lines of text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def save(svg: str, name: str) -> None:
    """Save the picture without ids that differ between drawings, in a font that every viewer has."""
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    (FOLDER / name).write_text(svg.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")


def main() -> None:
    for drawing in (draw, draw_walks, draw_sweep):
        with tempfile.TemporaryDirectory(prefix="hc") as home:
            os.environ["HEADCODE_HOME"] = home
            try:
                asyncio.run(drawing())
            finally:
                subprocess.run([Path(sys.executable).with_name("headcode"), "host", "stop"], check=False)


if __name__ == "__main__":
    main()
