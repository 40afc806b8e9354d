"""A film shows what the screen showed: played into a small terminal of our own, frame by frame."""

import json
import re
from typing import Any

import pytest

from tui.app.film import FrameEncoder, make_film, make_still, screen_strips
from tui.app.replay_app import ReplayApp
from tui.headless.replay import RecordedSession
from tui.replay.clock import ReplayClock
from tui.replay.player import span_of

from ..opening import at_rest

_TOKEN = re.compile(r"\x1b\[(\?25[lh]|2J|[\d;]*m|\d+;\d+H)|([^\x1b])")


class Terminal:
    """Understands the four things a film may say; anything else is an error."""

    def __init__(self, width: int, height: int) -> None:
        self.cells = [[" "] * width for _ in range(height)]
        self.row = self.column = 0

    def take(self, text: str) -> None:
        place = 0
        while place < len(text):
            found = _TOKEN.match(text, place)
            assert found is not None, text[place : place + 20]
            place = found.end()
            output, sign = found.groups()
            if sign is not None:
                self.cells[self.row][self.column] = sign
                self.column += 1
            elif output.endswith("H"):
                self.row, self.column = (int(part) - 1 for part in output[:-1].split(";"))
            elif output == "2J":
                self.cells = [[" "] * len(row) for row in self.cells]

    @property
    def text(self) -> str:
        return "\n".join("".join(row) for row in self.cells)


@pytest.fixture
def found(host: Any) -> RecordedSession:
    return recording(host, None)


def recording(host: Any, start: str | None) -> RecordedSession:
    from sessions.store.log_reader import timeline

    times = timeline(host.recorder.store, "s1", pause_us=3_000_000, last_seq=len(host.entries))
    return RecordedSession(target="s1", times=times, span=span_of(times), clock=ReplayClock(times), start=start)


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
async def test_the_last_picture_of_a_film_is_the_last_screen(
    host: Any, found: RecordedSession, size: tuple[int, int]
) -> None:
    film = await make_film(found, size=size, speed=100.0, connect=host.connect)
    head, *lines = map(json.loads, film.splitlines())
    assert (head["version"], head["width"], head["height"]) == (2, *size)
    assert [kind for _, kind, _ in lines] == ["o"] * len(lines)
    assert [at for at, _, _ in lines] == sorted(at for at, _, _ in lines)
    terminal = Terminal(*size)
    for _, _, text in lines:
        terminal.take(text)
    app = ReplayApp(host.connect, session="s1", playing=False, start="100%", depth="full", speed=100.0, driven=True)
    async with app.run_test(size=size) as pilot:
        await app.replay._replay_link.opened.wait()
        await pilot.pause()
        await app.replay.player.arrived()
        for _ in range(12_000):
            await pilot.pause(0.01)
            if app.replay.state.head_codes() is not None and not app.replay.drawing.dirty:
                break
        await at_rest(app, pilot)
        shown = "\n".join("".join(segment.text for segment in strip) for strip in screen_strips(app))
    assert terminal.text == shown
    assert "\x1b[2J" not in film[200:].replace("\\u001b", "\x1b").partition("\n")[2]


async def test_the_same_recording_gives_the_same_film_and_colours(host: Any, found: RecordedSession) -> None:
    once, again = [await make_film(found, size=(100, 30), speed=100.0, connect=host.connect) for _ in range(2)]
    assert once == again
    assert "48;2;" in once


async def test_a_still_shows_the_moment_that_was_asked_for(host: Any) -> None:
    begun = await make_still(recording(host, "run 1 begins"), size=(120, 36), connect=host.connect)
    ended = await make_still(recording(host, None), size=(120, 36), connect=host.connect)
    assert "engine&#160;starting" in begun
    assert "engine&#160;starting" not in ended
    assert "&#160;done" in ended


def test_nothing_is_sent_for_a_picture_that_did_not_change() -> None:
    from rich.segment import Segment
    from textual.strip import Strip

    frames = FrameEncoder((10, 2))
    first = [Strip([Segment("abc")]), Strip([Segment("def")])]
    assert frames.next(first).startswith("\x1b[?25l")
    assert frames.next(list(first)) == ""
    assert frames.next([first[0], Strip([Segment("dxf")])]) == "\x1b[2;1Hdxf"
