"""A live session on the bundled model, recorded, against its replay: every event, every grid, every word."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.analysis.run_state import RunSnapshot
from engine.machine.folders import find_folders
from sessions.client.connection import HostClient
from sessions.events import LogEntry, ViewChanged
from sessions.protocol import Done, SessionAnswer, SessionDetailAnswer, SetExamples, SetView, ShowSession
from tui.replay.link import ReplayReader
from tui.replay.player import Player
from tui.state.workbench_state import WorkbenchState

COMMAND = (sys.executable, "-m", "tui.cli")
WAITING = "waiting for the engine (torch takes some seconds to load)\n"
"""The one line of a live run that depends on the wall clock and not on the run."""
SHORT = ("--steps", "150", "--shuffles", "50", "--seeds", "2")


class Live(msgspec.Struct):
    """What there was to see while it happened."""

    home: dict[str, str]
    entries: list[LogEntry]
    grids: dict[int, Any]
    pictures: dict[str, RunSnapshot]
    message: list[tuple[str, str]]
    """Of each probe: stdout and stderr."""


def grid(state: WorkbenchState) -> Any:
    """Every cell, and how it is cut."""
    view = state.view()
    return None if view is None else (view.nodes, view.values, view.order, view.circuit, view.final)


def command(home: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], env=home, capture_output=True, text=True, timeout=600, check=False)


def connect(home: dict[str, str]) -> Any:
    return HostClient.connect(find_folders({"HEADCODE_HOME": home["HEADCODE_HOME"]}))


async def watch(home: dict[str, str], live: Live, over: asyncio.Event) -> None:
    """Follows the session as a screen does, from before its second run on."""
    state = WorkbenchState(model="toy", task="ioi")
    async with await connect(home) as client:
        detail = (await client.ask(ShowSession(session="live"), SessionDetailAnswer)).detail
        state.session_id = detail.session.session_id
        async for batch in client.follow(state.session_id):
            for entry in batch:
                state.fold([entry])
                live.entries.append(entry)
                live.grids[entry.seq] = grid(state)
            live.pictures = {run.run_id: run.picture for run in state.runs}
            if len(state.runs) == 2 and not state.runs[1].active:
                over.set()


async def person(home: dict[str, str], live: Live) -> None:
    """A probe, an edit, cuts, and a second probe that is followed live."""

    async def probe(*words: str) -> None:
        ran = await asyncio.to_thread(command, home, "probe", *words, *SHORT)
        assert ran.returncode == 0, ran.stderr
        live.message.append((ran.stdout, ran.stderr))

    await probe("ioi", "--name", "live", "--pairs", "4")
    over = asyncio.Event()
    watching = asyncio.create_task(watch(home, live, over))
    async with await connect(home) as client:
        for cut in (3, 5):
            await client.ask(SetView(run="live/1", look=ViewChanged(measure="overlap", cut=cut)), Done)
        while not any(type(entry.event).__name__ == "ViewChanged" for entry in live.entries):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        examples = next(e.event.examples for e in live.entries if type(e.event).__name__ == "ExamplesSet")
        await client.ask(SetExamples(session="live", examples=examples[:6]), SessionAnswer)
    await probe("--session", "live")
    await asyncio.wait_for(over.wait(), 600)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    home = {**os.environ, "HEADCODE_HOME": str(tmp_path_factory.mktemp("home")), "OMP_NUM_THREADS": "1"}
    found = Live(home=home, entries=[], grids={}, pictures={}, message=[])
    asyncio.run(person(home, found))
    # Another host, as on another day: it has nothing but the store, and no worker.
    subprocess.run([*COMMAND, "host", "stop"], env=home, check=True, capture_output=True, timeout=600)
    yield found
    subprocess.run([*COMMAND, "host", "stop"], env=home, check=True, capture_output=True, timeout=600)


def test_every_event_is_equal(live: Live) -> None:
    ran = command(live.home, "replay", "live", "--json")
    assert ran.returncode == 0, ran.stderr
    head, *lines = ran.stdout.splitlines()
    assert msgspec.json.decode(head)["schema"] == "headcode.replay/1"
    assert [msgspec.json.decode(line, type=LogEntry) for line in lines] == live.entries
    assert len(live.entries) > 50


async def test_every_grid_is_equal_cell_by_cell_and_no_worker_is_started(live: Live) -> None:
    reader = ReplayReader(lambda: connect(live.home), "live")
    player = Player(WorkbenchState(model="", task=""), reader, speed=float("inf"))
    await player.open()
    grids, fold = {1: grid(player.state)}, player.state.fold

    def watched(entries: Any) -> Any:
        parts: frozenset[Any] = frozenset()
        for entry in entries:
            parts |= fold([entry])
            grids[entry.seq] = grid(player.state)
        return parts

    player.state.fold = watched  # type: ignore[method-assign]
    player.toggle()
    playing = asyncio.create_task(player.play())
    async with asyncio.timeout(600):
        while player.playing:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert grids == live.grids
    assert sum(found is not None and not found[-1] for found in grids.values()) > 1  # provisional ones, too
    assert {run.run_id: run.picture for run in player.state.runs} == live.pictures
    player.state.fold = fold  # type: ignore[method-assign]
    for seq in (len(grids), 12, len(grids) // 2, len(grids) - 1):
        player.seek(seq)
        await player.arrived()
        assert grid(player.state) == live.grids[seq]
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    await player.close()
    await reader.close()
    status = msgspec.json.decode(command(live.home, "host", "status", "--json").stdout)
    assert status["status"]["worker_pid"] is None


def test_plain_replay_says_what_the_live_commands_said(live: Live) -> None:
    for number, (out, err) in enumerate(live.message, start=1):
        ran = command(live.home, "replay", f"live/{number}", "--plain", "--speed", "max")
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == out
        assert ran.stderr == err.replace(WAITING, "")
    whole = command(live.home, "replay", "live", "--speed", "max")
    assert whole.stdout == "".join(out for out, _ in live.message)
    assert "  cut of run 1: 5 heads by overlap\n" in whole.stderr
    assert "  examples: " in whole.stderr


def test_it_begins_where_it_is_told_to(live: Live) -> None:
    ran = command(live.home, "replay", "live", "--from", "2", "--json")
    first = msgspec.json.decode(ran.stdout.splitlines()[1], type=LogEntry)
    assert type(first.event).__name__ == "RunQueued"
    assert first.run_id != live.entries[-1].run_id or first.seq == next(
        entry.seq for entry in live.entries if entry.run_id == live.entries[-1].run_id
    )
    ran = command(live.home, "replay", "live", "--from", "100%", "--json")
    assert len(ran.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (("nothere",), "There is no session 'nothere'"),
        (("live/7",), "has no run 7"),
        (("live", "--speed", "0.5x"), "--speed 0.5x is not a speed"),
        (("live", "--speed", "fast"), "--speed fast is not a speed"),
        (("live", "--from", "lunch"), "matches 'lunch'"),
        (("live", "--from", "25:00"), "25:00 is not a time"),
        (("live", "--size", "3x3", "--svg", "x.svg"), "--size 3x3"),
        (("live", "--plain", "--json"), "--plain and --json cannot be combined"),
        (("live", "--cast", "/nowhere/at/all.cast"), "There is no folder /nowhere/at"),
    ],
)
def test_what_cannot_be_replayed_is_said(live: Live, words: tuple[str, ...], output: str) -> None:
    ran = command(live.home, "replay", *words)
    assert ran.returncode == 2
    assert output in ran.stderr
    assert "Traceback" not in ran.stderr


def test_films_and_stills_are_files(live: Live, tmp_path: Path) -> None:
    still, film = tmp_path / "a.svg", tmp_path / "a.cast"
    assert command(live.home, "replay", "live", "--svg", str(still)).returncode == 0
    assert "run 2 done" in still.read_text().replace("&#160;", " ")
    ran = command(live.home, "replay", "live", "--cast", str(film), "--size", "80x24", "--speed", "100x")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("\n") == 1
    assert msgspec.json.decode(film.read_text().splitlines()[0])["version"] == 2
    again = command(live.home, "replay", "live", "--svg", str(still))
    assert again.returncode == 2
    assert "already exists" in again.stderr
