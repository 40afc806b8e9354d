"""Replay: the recorded entries down the live path, through the real store and the real answers of the host."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import Scored
from sessions.events import LogEntry, RunQueued, ViewChanged
from sessions.protocol import SetExamples
from sessions.store.log_reader import timeline
from tui.app.replay_app import ReplayApp
from tui.replay.clock import PAUSE_US, ReplayClock
from tui.replay.link import ReplayIsReadOnly, ReplayReader
from tui.replay.pages import LogPages
from tui.replay.player import SPEEDS, Player
from tui.screens.replay import REPLAY_ACTIONS, ReplayScreen
from tui.state.workbench_state import WorkbenchState

SESSION = "s1"


def visible_state(state: WorkbenchState) -> tuple[Any, ...]:
    """What a person sees of it."""
    view = state.view()
    return (
        state.last_seq, state.saved_us, state.session_name, state.runs, state.examples, state.cursor, state.measure,
        state.session.notes, state.session.examples.version,
        None if view is None else (view.values, view.cut, view.order),
    )  # fmt: skip


def live(entries: list[LogEntry]) -> WorkbenchState:
    state = WorkbenchState(model="toy", task="ioi")
    state.session_id = SESSION
    state.fold(entries)
    return state


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(host: Any, *, run: str | None = None, **more: Any) -> AsyncIterator[Player]:
    player = Player(WorkbenchState(model="", task=""), ReplayReader(host.connect, SESSION), **more)
    await player.open(run=run)
    playing = asyncio.create_task(player.play())
    # A player that broke down would be waited for in vain.
    playing.add_done_callback(lambda done: done.cancelled() or done.exception() is None or broken.append(done))
    broken: list[Any] = []
    arrived = player.arrived

    async def whole() -> None:
        async with asyncio.timeout(600):
            await arrived()

    player.arrived = whole  # type: ignore[method-assign]
    yield player
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    await player.close()
    assert not broken


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(600):
        while not holds():  # noqa: ASYNC110  # many things are waited for
            await asyncio.sleep(0.002)


async def test_every_jump_shows_what_was_live_then(host: Any) -> None:
    async with opened(host) as player:
        last = len(host.entries)
        for seq in (last, 1, 40, 39, 12, last - 1, 2, last // 2, last // 2 + 1, 60):
            player.seek(seq)
            await player.arrived()
            assert visible_state(player.state) == visible_state(live(host.entries[:seq]))


async def test_played_to_the_end_every_grid_was_the_live_one(host: Any) -> None:
    grids: dict[int, Any] = {}
    player = Player(WorkbenchState(model="", task=""), ReplayReader(host.connect, SESSION), speed=math.inf)
    await player.open()
    fold = player.state.fold

    def seen(entries: list[LogEntry]) -> Any:
        parts = frozenset()
        for entry in entries:
            parts |= fold([entry])
            view = player.state.view()
            grids[entry.seq] = None if view is None else (dict(view.values), view.cut, view.circuit)
        return parts

    player.state.fold = seen  # type: ignore[method-assign, assignment]
    player.toggle()
    playing = asyncio.create_task(player.play())
    await until(lambda: player.over and not player.playing)
    playing.cancel()
    await player.close()
    assert sorted(grids) == list(range(2, len(host.entries) + 1))
    state = live(host.entries[:1])
    for entry in host.entries[1:]:
        state.fold([entry])
        view = state.view()
        assert grids[entry.seq] == (None if view is None else (dict(view.values), view.cut, view.circuit))
    assert visible_state(player.state) == visible_state(state)


async def test_it_plays_at_the_recorded_pace_with_long_pauses_shortened(host: Any) -> None:
    clock = Clock()
    async with opened(host, clock=clock, speed=10.0) as player:
        player.toggle()
        gaps: dict[int, float] = {}
        before = player.seq
        while not player.over:
            clock.now += 0.01
            await asyncio.sleep(0.006)
            if player.seq != before:
                gaps[player.seq], before = clock.now, player.seq
        assert not player.playing or player.over
        # 67 s of events and four pauses of five minutes or less, at ten times the speed; the waits are the test's.
        assert player.clock.total < 60e6
        assert player.recorded_us == host.entries[-1].at_us
    # In the pause the clock on the wall hurries, and is right at both ends.
    times = timeline(host.recorder.store, SESSION, pause_us=PAUSE_US, last_seq=len(host.entries))
    long = max(times.pauses, key=lambda pause: pause.to_us - pause.from_us)
    play = ReplayClock(times)
    end = play.played(long.seq, long.to_us)
    assert play.recorded(end) == long.to_us
    assert play.recorded(end - PAUSE_US) == long.from_us
    assert long.from_us < play.recorded(end - PAUSE_US / 2) < long.to_us


async def test_stepping_markers_speed_and_the_ends(host: Any) -> None:
    async with opened(host) as player:
        words = [marker.words for marker in player.times.markers]
        assert words[:3] == ["examples: 10 + 10", "run 1 asked for", "run 1 begins"]
        for place in range(3):
            player.jump(1)
            await player.arrived()
            assert player.seq == player.times.markers[place].seq
        player.jump(-1)
        await player.arrived()
        assert player.seq == player.times.markers[1].seq
        for _ in range(5):  # pressed faster than it can follow: none is lost
            player.step(1)
        await player.arrived()
        assert player.seq == player.times.markers[1].seq + 5
        player.step(-1)
        await player.arrived()
        assert player.seq == player.times.markers[1].seq + 4
        player.seek(10**6)
        await player.arrived()
        assert player.over
        player.jump(1)
        player.toggle()  # at the end: from the beginning again
        await player.arrived()
        assert player.playing
        assert player.seq < len(host.entries)
        player.pause()
        for _ in range(20):
            player.faster(1)
        assert player.speed == math.inf
        for _ in range(20):
            player.faster(-1)
        assert player.speed == SPEEDS[0]


async def test_a_moment_is_found_wherever_the_mouse_points(host: Any) -> None:
    async with opened(host) as player:
        for share in (0.0, 0.2, 0.5, 0.77, 1.0):
            moment = player.first + share * (player.last - player.first)
            player.seek_moment(moment)
            await player.arrived()
            due = [e.seq for e in host.entries if player.clock.played(e.seq, e.at_us) <= moment + 1]
            assert player.seq == max(due)
            assert abs(player.at - moment) < 1e6


async def test_one_run_is_played_from_its_asking_to_its_end(host: Any) -> None:
    for run, first in (("2", "r2"), ("r1", "r1")):
        async with opened(host, run=run, speed=math.inf) as player:
            of_run = [entry for entry in host.entries if entry.run_id == first]
            assert player.seq == of_run[0].seq
            assert isinstance(of_run[0].event, RunQueued)
            player.toggle()
            await until(lambda player=player: not player.playing)
            ended = next(entry.seq for entry in of_run if type(entry.event).__name__ == "RunEnded")
            assert player.seq == ended
            assert visible_state(player.state) == visible_state(live(host.entries[:ended]))
    with pytest.raises(Exception, match="has no run 7"):
        async with opened(host, run="7"):
            pass


async def test_a_lost_host_is_found_again_and_one_that_stays_away_is_told(host: Any) -> None:
    async with opened(host) as player:
        host.gone = 1
        player.seek(len(host.entries))
        await player.arrived()
        assert player.over
        assert player.failure is None
        host.gone = 10**6
        await player._archive.close()  # type: ignore[attr-defined]
        player._pages = LogPages(player._archive, len(host.entries))
        player.seek(30)
        await player.arrived()
        assert player.failure is not None
        assert player.over
        host.gone = 0
        player.seek(30)
        await player.arrived()
        assert (player.seq, player.failure) == (30, None)


async def test_pages_stay_few_and_are_read_ahead(host: Any) -> None:
    reader = ReplayReader(host.connect, SESSION)
    pages = LogPages(reader, len(host.entries))
    with mock.patch("tui.replay.pages.PAGE_BYTES", 1), mock.patch.object(reader, "piece", small(reader)):
        seq = 0
        while entries := await pages.after(seq):
            assert entries[0].seq == seq + 1
            seq = entries[-1].seq
            assert len(pages._pages) <= 6
        assert seq == len(host.entries)
    pages.close()


def small(reader: ReplayReader) -> Callable[..., Any]:
    piece = ReplayReader.piece

    async def read(**wanted: Any) -> Any:
        return await piece(reader, **{**wanted, "most_bytes": 20_000})

    return read


async def test_a_replay_asks_nothing_that_could_change_the_session(host: Any) -> None:
    reader = ReplayReader(host.connect, SESSION)
    with pytest.raises(ReplayIsReadOnly, match="cannot be changed"):
        await reader.ask(SetExamples(session=SESSION, examples=()), object)
    assert not host.asked


@given(st.lists(st.integers(-5_000_000, 400_000_000), max_size=12))
def test_the_clock_of_a_replay_never_goes_back(steps: list[int]) -> None:
    """Whatever the clock on the wall did: entries come in order, no pause is long, and the hour is found again."""
    from sessions.rows import LogPause, SessionRow, Timeline

    at = [10**15]
    for step in steps:
        at.append(at[-1] + step)
    pauses = tuple(
        LogPause(seq=place + 2, from_us=at[place], to_us=at[place + 1])
        for place, step in enumerate(steps)
        if step > PAUSE_US or step < 0
    )
    row = SessionRow(session_id="s", name="", model="", task=None, created_us=0, updated_us=0, n_runs=0, n_positive=0,
                     n_negative=0)  # fmt: skip
    times = Timeline(session=row, first_us=at[0], last_us=at[-1], last_seq=len(at), markers=(), pauses=pauses)
    play = ReplayClock(times)
    moments = [play.played(seq, at_us) for seq, at_us in enumerate(at, start=1)]
    assert moments == sorted(moments)
    assert all(after - before <= PAUSE_US for before, after in itertools.pairwise(moments))
    if all(step > 0 for step in steps):
        assert [play.recorded(moment) for moment in moments] == at


# ---- the screen


@asynccontextmanager
async def screen(host: Any, *, size: tuple[int, int] = (160, 48), **more: Any) -> AsyncIterator[Any]:
    app = ReplayApp(host.connect, session=SESSION, depth="full", playing=False, **more)
    async with app.run_test(size=size) as pilot:
        await until(app.replay._replay_link.opened.is_set)

        async def settled(holds: Callable[[], object] = lambda: True) -> None:
            await app.replay.player.arrived()
            await until(holds)
            for _ in range(12_000):
                await pilot.pause(0.01)
                if not app.replay.drawing.dirty:
                    break
            await pilot.pause(0.1)

        await settled()
        yield app, pilot, settled


EFFECTS: dict[str, tuple[int, Callable[[ReplayScreen], Any]]] = {
    "play": (30, lambda screen: screen.player.playing),
    "step.back": (30, lambda screen: screen.player.seq),
    "step.on": (30, lambda screen: screen.player.seq),
    "marker.next": (30, lambda screen: screen.player.seq),
    "marker.previous": (30, lambda screen: screen.player.seq),
    "speed.up": (30, lambda screen: screen.player.speed),
    "speed.down": (30, lambda screen: screen.player.speed),
    "edge.start": (30, lambda screen: screen.player.seq),
    "edge.end": (30, lambda screen: screen.player.seq),
    "close": (30, lambda screen: screen.app._exit),
}


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_each_key_does_it(size: tuple[int, int], host: Any, text_of: Any) -> None:
    assert set(EFFECTS) == {action.id for action in REPLAY_ACTIONS}
    async with screen(host, size=size, speed=10.0) as (app, pilot, settled):
        for action in sorted(REPLAY_ACTIONS, key=lambda action: action.id == "close"):
            at, effect = EFFECTS[action.id]
            app.replay.player.pause()
            app.replay.player.seek(at)
            await settled()
            before = effect(app.replay)
            await pilot.press(action.keys[0])
            await until(lambda effect=effect, before=before: effect(app.replay) != before)
        assert "space play" in text_of(app)


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_the_rest_of_the_screen_works_and_nothing_is_changed(
    size: tuple[int, int], host: Any, text_of: Any
) -> None:
    async with screen(host, size=size) as (app, pilot, settled):
        end = next(e.seq for e in host.entries if isinstance(e.event, Scored) and e.event.final)
        app.replay.player.seek(end + 3)
        await settled()
        state = app.replay.state
        await settled(lambda: state.codes or state.codes_key() is None)
        for key in ("r", "x", "m", "t", "t", "right_square_bracket", "right", "down"):
            await pilot.press(key)
        await settled()
        assert state.measure.id == "unique_positive"
        assert state.cursor_moved
        assert {type(request).__name__ for request in host.asked} <= {"ReadLog", "ReadTimeline", "GetCodes"}
        # What the viewer chose holds where the same run is shown.
        chosen = (state.cursor, state.measure, state.current_look())
        await pilot.press("less_than_sign")
        await settled()
        assert (state.cursor, state.measure, state.current_look()) == chosen
        assert "replay" in text_of(app)


async def test_the_same_cuts_are_shown_at_the_same_moments(host: Any) -> None:
    async with screen(host) as (app, _pilot, settled):
        for entry in host.entries:
            if isinstance(entry.event, ViewChanged):
                app.replay.player.seek(entry.seq)
                await settled()
                assert app.replay.state.current_look() == entry.event


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["replay_wide", "replay_small"])
async def test_replay(size: tuple[int, int], host: Any, screenshot: Any) -> None:
    """You should see the workbench as it was in the first run, 'replay' at the top, and under the strip of progress
    two lines: paused, 1x, the hour, what happened last and next; the rail with e, r, n and the place as a block."""
    async with screen(host, size=size) as (app, _pilot, settled):
        app.replay.player.seek(45)
        await settled()
        screenshot(app)


async def test_what_a_person_cuts_is_recorded_once_it_rests(recorded: Any, open_screen: Any) -> None:
    live_host = recorded.host()
    live_host.add(*recorded.events())
    async with open_screen(live_host) as (app, pilot, until):
        for key in ("T", "T", "m", "T"):
            await pilot.press(key)
        wanted = ("run-1", ViewChanged(measure="unique_positive", cut=8))
        # On a busy machine the keys may rest in between.
        await until(lambda: [(each.run, each.look) for each in live_host.of_kind("SetView")][-1:] == [wanted])
        n_asked, asked = len(live_host.of_kind("SetView")), live_host.of_kind("SetView")[-1]
        # The echo of another screen's look moves nothing here, and is not answered with one of ours.
        await live_host.tell(ViewChanged(measure="overlap", cut=3))
        await until(lambda: app.state.last_seq == len(live_host.entries))
        assert app.state.current_look() == asked.look
        # What was not told yet when the screen closes is told then.
        await pilot.press("t")
    (last,) = live_host.of_kind("SetView")[n_asked:]
    assert last.look.cut == 7


async def test_p_replays_the_session_at_hand_and_escape_returns(recorded: Any, open_screen: Any) -> None:
    live_host = recorded.host()
    live_host.add(*recorded.events())
    async with open_screen(live_host) as (app, pilot, until):
        await pilot.press("m")
        await pilot.press("p")
        await until(lambda: isinstance(app.screen, ReplayScreen) and app.screen.player.state.runs)
        assert app.screen.state is not app.state
        # It opens on the last state and stands still; the first entry is one key away, and playing begins there.
        await until(lambda: app.screen.state.last_seq == app.state.last_seq)
        assert not app.screen.player.playing
        await pilot.press("home")
        await until(lambda: app.screen.state.last_seq <= 1)
        # What happens meanwhile is there when the person comes back.
        await live_host.tell(*recorded.events(until="load"))
        await pilot.press("escape")
        await until(lambda: not isinstance(app.screen, ReplayScreen) and len(app.state.runs) == 2)
        assert app.state.link == "live"
