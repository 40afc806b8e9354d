"""Draw the pictures of docs/inside.md with the real program: real host, real worker, bundled model.

.venv/bin/python docs/make_inside_pictures.py
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from make_pictures import WAIT_S, save, text_of

JUMP = ("slash",)
INSIDE: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    ((*JUMP, *"2.6", "enter", "enter"), ("attends to", " here ", "mean"), ""),
    (("t",), ("Through whom 2.6 acts", "each alone"), "inside-head.svg"),
    (("escape", *JUMP, *"m2", "enter", "enter"), ("MLP m2 neurons", " here ", "mean", "exact"), "inside-mlp.svg"),
    (("escape", "P"), ("mean of",), "inside-places.svg"),
    (("escape", *JUMP, *"1.2", "enter", "z"), ("KL divergence",), "inside-off.svg"),
    (("escape", "e"), ("Circuit by layers",), ""),
    (("G",), ("alike 1",), ""),
    (("f",), ("( ) folded",), "inside-folded.svg"),
)
"""Keys from one picture to the next, words to wait for, and the file; no name: no picture."""
_SETTLED_S = 4
"""Time for what is asked in the background, layer by layer, after the words are there."""


async def draw_inside() -> None:
    """Measure a run of the bundled model and draw its pages inside nodes."""
    from engine.machine.folders import find_folders
    from sessions.client.connection import HostClient
    from tui.app.app import HeadcodeApp

    headcode = Path(sys.executable).with_name("headcode")
    probe = await asyncio.create_subprocess_exec(headcode, "probe", "ioi", "--name", "inside", "--cause", "combined")
    if await probe.wait():
        raise SystemExit("The probe failed; headcode host log says why.")

    async def connect() -> HostClient:
        return await HostClient.connect(find_folders())

    app = HeadcodeApp(connect, session="inside", model="toy", task="ioi", depth="full", theme="night")  # type: ignore[arg-type]
    async with app.run_test(size=(160, 48)) as pilot:
        while app.state.shown is None:
            await pilot.pause(0.2)
        for keys, seen, name in INSIDE:
            for key in keys:
                await pilot.press(key)
                await pilot.pause(0.5)
            begun = time.monotonic()
            while not all(words in text_of(app) for words in seen):
                if time.monotonic() - begun > WAIT_S:
                    raise SystemExit(f"After {keys} there is no {seen}:\n{text_of(app)}")
                await pilot.pause(0.2)
            if name:
                await pilot.pause(_SETTLED_S)
                save(app.export_screenshot(title="headcode", simplify=True), name)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hc") as home:
        os.environ["HEADCODE_HOME"] = home
        try:
            asyncio.run(draw_inside())
        finally:
            subprocess.run([Path(sys.executable).with_name("headcode"), "host", "stop"], check=False)


if __name__ == "__main__":
    main()
