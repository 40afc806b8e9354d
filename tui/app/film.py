"""Recordings and screenshots of a replay: the real screen rendered headless, frame by frame."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from textual.geometry import Size
from textual.strip import Strip

from tui.app.replay_app import ReplayApp
from tui.connection.requests import Connect
from tui.headless.replay import RecordedSession, connect
from tui.terminal.sanitize import clean
from tui.terminal.textual_private import screen_strips
from tui.widgets.line_widget import changed_regions

if TYPE_CHECKING:
    from textual.pilot import Pilot

_FPS = 10
_CLOCK_EVERY = 5
"""Frames between two redraws when only the clock changes."""
_LAST_S = 2.0
"""Seconds that the last frame is shown."""
_TOP_SPEED = 100.0
_PATIENCE = 400


class FrameEncoder:
    """Encodes each frame as the difference to the previous one."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = Size(*size)
        self._console = Console(
            color_system="truecolor", force_terminal=True, width=size[0], legacy_windows=False, _environ={}
        )
        self._before: list[Strip] = []

    def next(self, strips: Sequence[Strip]) -> str:
        """Return the bytes to send for the next frame; empty if nothing changed."""
        now = list(strips)
        begin = "" if self._before else "\x1b[?25l\x1b[0m\x1b[2J"
        parts = [
            f"\x1b[{region.y + 1};{region.x + 1}H"
            + now[region.y].crop(region.x, region.x + region.width).render(self._console)
            for region in changed_regions(self._before, now, self.size)
            if region.y < len(now)
        ]
        self._before = now
        return begin + "".join(parts)


async def make_film(found: RecordedSession, *, size: tuple[int, int], speed: float, connect: Connect = connect) -> str:
    """Return the replay as an asciicast v2. Deterministic for a recording."""
    speed = min(speed, _TOP_SPEED)
    app = _app(found, connect, speed=speed)
    frames, lines = FrameEncoder(size), [json.dumps(_header(found, size))]
    async with app.run_test(size=size) as pilot:
        player = app.replay.player
        await _wait_until_open(app, pilot)
        player.playing = True
        begin, number, seconds = player.at, 0, 0.0
        while not player.over:
            seconds = number / _FPS
            moved = await player.roll(begin + seconds * 1e6 * speed)
            if moved or number % _CLOCK_EVERY == 0 or player.over:
                player.playing = not player.over
                await _draw_all(app, pilot)
                if sent := frames.next(screen_strips(app)):
                    lines.append(json.dumps([round(seconds, 3), "o", sent]))
            number += 1
    lines.append(json.dumps([round(seconds + _LAST_S, 3), "o", "\x1b[0m\x1b[?25h"]))
    return "\n".join(lines) + "\n"


async def make_still(found: RecordedSession, *, size: tuple[int, int], connect: Connect = connect) -> str:
    """Return the screen at the requested start, else at the end, as SVG."""
    app = _app(found, connect, speed=1.0)
    async with app.run_test(size=size) as pilot:
        await _wait_until_open(app, pilot)
        if found.start is None:
            app.replay.player.seek(app.replay.player.span.end)
            await app.replay.player.arrived()
        await _draw_all(app, pilot)
        return app.export_screenshot(title=f"headcode: {clean(found.times.session.name)}", simplify=True)


def _app(found: RecordedSession, connect: Connect, *, speed: float) -> ReplayApp:
    return ReplayApp(
        connect, session=found.target, speed=speed, playing=False, start=found.start, driven=True, depth="full"
    )


def _header(found: RecordedSession, size: tuple[int, int]) -> dict[str, object]:
    return {
        "version": 2,
        "width": size[0],
        "height": size[1],
        "timestamp": found.span.begin_us // 1_000_000,
        "title": f"headcode replay: {found.times.session.name}",
        "env": {"TERM": "xterm-256color"},
    }


async def _wait_until_open(app: ReplayApp, pilot: "Pilot[None]") -> None:
    link = app.replay._replay_link
    await link.opened.wait()
    await pilot.pause()
    await link.player.arrived()


async def _draw_all(app: ReplayApp, pilot: "Pilot[None]") -> None:
    """Draw all changes, including the codes of the head at the cursor."""
    state = app.replay.state
    app.replay.drawing.now()
    for _ in range(_PATIENCE):
        key = state.codes_key()
        if key is None or key in state.codes:
            break
        await pilot.pause(0.005)
    app.replay.drawing.now()
    await pilot.pause()
