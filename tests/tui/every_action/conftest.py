"""A home with a measured session, and a walk: keys that are pressed, each with what a person sees change."""

import asyncio
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.message import Message
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from engine.config import ProbeConfig, SAEConfig
from engine.machine.folders import AppFolders, find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.events import RunEnded
from sessions.protocol import (
    CircuitAnswer,
    CreateSession,
    FollowSweep,
    GetSweep,
    QueueRun,
    RunAnswer,
    SaveCircuit,
    SessionAnswer,
    StartSweep,
    SweepAnswer,
    SweepDetail,
)
from tui.actions.registry import all_tables
from tui.app.app import HeadcodeApp
from tui.headless.sweeps import read_plan

from ..waiting import under_way

SHORT = ProbeConfig(sae=SAEConfig(steps=30), seeds=(0, 1), shuffles=100, bootstraps=10, nodes="heads")
"""A run of a second. A module's CONFIG takes its place there."""
SIZES = ((160, 48), (80, 24))
PATIENCE_S = 600
"""For the engine on a machine that does ten other things; an answer takes a tenth of a second on one that does not."""

Step = tuple[Any, ...]
"""An action's id, what is seen of it, and what is pressed before; then perhaps what is pressed and seen afterwards.

What is seen is a regular expression of what was not on the screen and is now. After "- ": what was there and is not
any more; after "~ ": its group is another; after "+ " and "< ": its group is a larger or a smaller number.
Or it is a function of the walk, whose answer becomes another one.
"""


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest) -> Iterator[AppFolders]:
    """Sessions of two short runs and two saved circuits, one for each size, on a host of their own."""
    folder = tempfile.mkdtemp(prefix="hc-")  # short: a socket's path has about 100 characters
    places = find_folders({"HEADCODE_HOME": folder})
    log = places.logs / "host.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"2026-11-20 10:53:41,{n:03} 1 INFO headcode.runs: run {n} begins\n" for n in range(300)))

    async def measured() -> None:
        async with await HostClient.connect(places) as client:
            for width, _ in SIZES:
                await _measure(client, f"at {width}", width, getattr(request.module, "CONFIG", SHORT))
            if getattr(request.module, "SWEEPS", False):
                await _sweep(client)

    asyncio.run(measured())
    yield places
    asyncio.run(stop_host(places))
    shutil.rmtree(folder)


async def _sweep(client: HostClient) -> None:
    """Two sweeps of the same eight short runs, over three axes."""
    axes = {"task": "addition", "model": "adder", "checkpoint": "3500,4000", "draws": "2", "lambda": ".25,.5"}
    words = {**axes, "steps": "20", "shuffles": "100", "bootstraps": "4"}
    for name in ("small", "other"):
        plan = read_plan(None, words, name=name, pairs=4, usable=False)
        news = (await client.ask(StartSweep(plan=plan, workers=1), SweepAnswer)).progress
        while news.active:
            news = (await client.ask(FollowSweep(sweep=name, seen=news.news), SweepAnswer)).progress
        assert (await client.ask(GetSweep(sweep=name), SweepDetail)).sweep.done == 8


async def _measure(client: HostClient, name: str, width: int, config: ProbeConfig) -> None:
    made = (await client.ask(CreateSession(name=name, model="toy", task="ioi", pairs=10), SessionAnswer)).session
    for _ in range(2):
        run = (await client.ask(QueueRun(session=made.session_id, config=config), RunAnswer)).run.run_id
    for word, heads in (("one", ((0, 1), (1, 3))), ("two", ((0, 1), (2, 3)))):
        kept = SaveCircuit(session=made.session_id, name=f"{word}{width}", heads=heads, source="by hand", run=run)
        await client.ask(kept, CircuitAnswer)
    async for batch in client.follow(made.session_id):
        ends = [entry.event for entry in batch if isinstance(entry.event, RunEnded) and entry.run_id == run]
        if ends:
            assert ends[0].state == "done", ends[0].failure
            return


@pytest.fixture(params=SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Each test that asks for it is done at both sizes."""
    found: tuple[int, int] = request.param
    return found


@pytest.fixture(autouse=True)
def _here(home: AppFolders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder Headcode is started in, with files in it; nothing of the person who runs the tests."""
    monkeypatch.setenv("HEADCODE_HOME", str(home.data.parent))
    folder = tmp_path / "here"
    (folder / "folder").mkdir(parents=True)
    (folder / "a.txt").write_text("+ One => two\n- One => three\n")
    (folder / ".hidden").write_text("")
    monkeypatch.chdir(folder)


class Walk:
    """A person on one screen after another."""

    def __init__(self, app: HeadcodeApp, pilot: Pilot[None], dealing: list[MessagePump]) -> None:
        self.app = app
        self.pilot = pilot
        self.dealing = dealing
        """Who deals with a message at the moment."""

    @property
    def text(self) -> str:
        """What is on the screen, as lines."""
        for field in self.app.screen.query("Input, TextArea"):
            assert isinstance(field, Input | TextArea)
            field.cursor_blink = False
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    def ink(self, x: int, y: int) -> Any:
        """The style of the cell at that column and line."""
        for segment in self.app.screen._compositor.render_strips()[y]:
            x -= segment.cell_length
            if x < 0:
                return segment.style
        raise AssertionError(f"nothing is drawn {x} cells behind the end of line {y}")

    async def until(self, holds: Callable[[], object], what: Callable[[], str]) -> None:
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while not holds():
            words = "" if asyncio.get_running_loop().time() < end else what()
            assert not words, words
            assert self.app._exception is None, self.app._exception
            await asyncio.sleep(0.02)

    async def sees(self, pattern: str) -> None:
        """Waits until the screen has that; "- " before it: has it no more."""
        gone = pattern.startswith("- ")
        regex = re.compile(pattern.removeprefix("- "))
        await self.until(lambda: bool(regex.search(self.text)) != gone, lambda: f"never seen: {pattern}\n\n{self.text}")

    async def press(self, *keys: Any) -> None:
        """Keys by name; a text between apostrophes is typed, an expression between slashes waited for."""
        for key in keys:
            if callable(key):
                key(self)
            elif len(key) > 1 and key[0] == key[-1] == "/":
                await self.sees(key[1:-1])
            else:
                for each in key[1:-1] if len(key) > 1 and key[0] == key[-1] == "'" else (key,):
                    await self.pilot.press(each)
                    await self.until(lambda: not self._queued(), lambda: f"still dealt with: {self._queued()}")

    async def on(self, scope: str, way: Sequence[Any], steps: Sequence[Step]) -> None:
        """To a screen, where each step is one of its actions."""
        actions = {action.id: action for action in all_tables()[scope]}
        await self.press(*way)
        for step in steps:
            name, seen, before, after, then = (*step, *((), (), "")[len(step) - 2 :])
            before, after = [each if isinstance(each, tuple) else (each,) for each in (before, after)]
            try:
                await self.quiet()
                await self.still()
                await self.press(*before)
                await self.try_key(actions[name].keys[0], seen)
                await self.press(*after)
                if then:
                    await self.sees(then)
            except AssertionError as error:
                raise AssertionError(f"{scope}:{name}, {actions[name].keys[0]}: {error}") from error

    async def quiet(self) -> None:
        """Notices are read and put away: they lie over what is to be seen."""
        self.app.clear_notifications()
        await self.until(lambda: not self.app.screen.query("Toast"), lambda: "a notice stays")

    async def try_key(self, key: str, seen: Any) -> None:
        """Presses a key and waits until its effect is seen; what is to be seen then may not be there before."""
        if callable(seen):
            was = seen(self)
            await self.press(key)
            await self.until(lambda: seen(self) != was, lambda: f"still {was}\n\n{self.text}")
            return
        kind = seen[0] if seen[1:2] == " " and seen[0] in "-~+<" else ""
        regex = re.compile(seen[2:] if kind else seen)
        if kind in ("", "-"):
            await self.until(
                lambda: bool(regex.search(self.text)) == bool(kind),
                lambda: f"before the key already: {seen}\n\n{self.text}",
            )
            await self.pilot.press(key)
            await self.until(
                lambda: bool(regex.search(self.text)) != bool(kind), lambda: f"not seen: {seen}\n\n{self.text}"
            )
            return
        await self.still()
        await self.until(lambda: regex.search(self.text), lambda: f"nothing to compare: {seen}\n\n{self.text}")
        was = self._group(regex)
        await self.pilot.press(key)
        await self.until(
            lambda: regex.search(self.text) and _is_so(kind, was, self._group(regex)),
            lambda: f"was {was} and is {self._group(regex)}: {seen}\n\n{self.text}",
        )

    def _queued(self) -> list[str]:
        """Who has a message to deal with: a key after one that closes a sheet belongs to the screen below."""
        pumps = [self.app, *(node for screen in self.app.screen_stack for node in screen.walk_children(with_self=True))]
        waiting = [pump for pump in pumps if pump._pending_message is not None or pump.message_queue_size]
        return [type(pump).__name__ for pump in (*self.dealing, *waiting)]

    async def still(self) -> None:
        """Waits until nothing that went before is still under way: asked of the host, to be recorded, to be drawn."""
        await self.until(lambda: not under_way(self.app), lambda: f"goes on: {under_way(self.app)}\n\n{self.text}")

    def _group(self, regex: re.Pattern[str]) -> str:
        found = regex.search(self.text)
        return found[1] if found is not None else ""


def _is_so(kind: str, was: str, now: str) -> bool:
    if kind == "~":
        return now != was
    return float(now) > float(was) if kind == "+" else float(now) < float(was)


@pytest.fixture
def opened(home: AppFolders, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Opens the workbench on the real host and waits until the newest run is there.

    After a key the Pilot waits until the process does nothing, twenty milliseconds at least and two seconds at most:
    too long for hundreds of keys, and no help on a busy machine. A walk waits until nobody has a message left.
    """
    monkeypatch.setattr("textual.app.wait_for_idle", lambda _least: asyncio.sleep(0))
    dealing: list[MessagePump] = []
    dispatch = MessagePump._dispatch_message

    async def noted(pump: MessagePump, message: Message) -> None:
        dealing.append(pump)
        try:
            await dispatch(pump, message)
        finally:
            dealing.remove(pump)

    monkeypatch.setattr(MessagePump, "_dispatch_message", noted)

    @asynccontextmanager
    async def at(
        size: tuple[int, int], session: str | None = None, *, ready: bool = True
    ) -> AsyncIterator[tuple[HeadcodeApp, Walk]]:
        async def connect() -> HostClient:
            return await HostClient.connect(home)

        name = session or f"at {size[0]}"
        app = HeadcodeApp(connect, session=name, model="toy", task="ioi", depth="full", clock=lambda: 1_790_000_000.0)
        async with app.run_test(size=size, notifications=True) as pilot:
            walk = Walk(app, pilot, dealing)
            if ready:
                await walk.until(
                    lambda: app.state.runs and all(run.state == "done" for run in app.state.runs),
                    lambda: f"no run\n\n{walk.text}",
                )
            yield app, walk

    return at


@pytest.fixture
def suspended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Signals that would have stopped this process, where the terminal is one that can go back to a shell."""
    sent: list[int] = []
    kill = os.kill

    def note(process: int, number: int) -> None:
        if number != signal.SIGTSTP:
            return kill(process, number)
        return sent.append(process)

    monkeypatch.setattr(os, "kill", note)
    monkeypatch.setattr(HeadlessDriver, "can_suspend", property(lambda _: True))
    return sent
